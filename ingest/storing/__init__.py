"""Batches into SQLite, each with the checkpoint that covers it, or not at all.

The only modules that write: one ingest at a time, one transaction for each batch.
"""
