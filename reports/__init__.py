"""What the stored rows come to: metrics, queries, statistics, and their views for people and programs.

Reports read; nothing here writes to the database, and nothing but the command line imports it.
"""
