"""What the rows say: small pure metrics, queries over them, and their views for people.

Reports read; nothing here writes to the database, and nothing but the command line imports it.
"""
