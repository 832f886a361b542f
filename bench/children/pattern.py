"""The event line as one regular expression, as a script would have it."""

from __future__ import annotations

SOURCE = (
    r"^\[(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\] (?P<level>[A-Z]+): \[TokenEstimationV2\] "
    r"predicted_output=(?P<predicted>\d+) "
    r"(?:actual_output=(?P<actual>\d+) smape=(?P<smape>[\d.]+)%|actual_total=(?P<total>\d+)) "
    r"selected_budget=(?P<budget>\w+) category=(?P<category>.*?) complexity=(?P<complexity>\w+) "
    r"deliverables=(?P<deliverables>\d+) success=(?P<success>\w+)"
    r"(?: stop_reason=(?P<stop_reason>\w+) truncated=(?P<truncated>\w+))? model=(?P<model>.*)$"
)

CONVERT = f"""
found = re.match(r'''{SOURCE}''', line)
row = found.groupdict()
for name in ('predicted', 'actual', 'total', 'budget', 'deliverables'):
    row[name] = int(row[name]) if row[name] and row[name] != 'None' else None
return row
"""
"""The same for `sqlite-utils insert --lines --convert`."""
