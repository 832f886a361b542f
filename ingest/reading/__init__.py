"""From the bytes of a log to linked batches: where it goes on, its lines, one pass over it.

Nothing here knows the database; what a scan yields is all that storing needs.
"""
