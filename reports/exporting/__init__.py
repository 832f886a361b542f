"""The events for other programs: NDJSON, CSV, Parquet and OpenTelemetry attributes, newest first.

One query for each export, read row by row: memory does not grow with the number of events.
"""
