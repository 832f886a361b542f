"""What may go wrong, made to happen: hostile input and hostile sizes. For development; not shipped."""
