"""The logs as files: which there are, on a disk or behind a URL, what each is, and its bytes, decompressed.

Nothing here knows what stands in them.
"""
