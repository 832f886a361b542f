"""From records to events: what the lines around an event tell of it, and when two lines are one.

Pure: no file, no database, only values.
"""
