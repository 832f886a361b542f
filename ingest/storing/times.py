"""The one form in which the database holds a time: it sorts as text as it does as a time."""

from __future__ import annotations

from datetime import UTC, datetime


def time_text(moment: datetime) -> str:
    """Write an aware time as the database does: UTC, `YYYY-MM-DD HH:MM:SS.ffffff`."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
