"""The events for other programs: NDJSON, CSV, Parquet and OpenTelemetry attributes, newest first.

An export is one query, read row by row: memory does not grow with the number of events.
"""
