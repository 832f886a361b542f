"""Logs as files: which there are, on disk or at a URL, what each one is, and its decompressed bytes.

Nothing here knows what the logs contain.
"""
