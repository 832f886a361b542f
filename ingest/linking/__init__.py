"""From records to events with context: run, phase, budget and paths, read from the lines around them.

Pure: no file, no database, only values.
"""
