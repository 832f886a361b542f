"""From log files on disk to linked batches: what a file is, its bytes, its lines, one pass over it.

Nothing here knows the database; what a scan yields is all that storing needs.
"""
