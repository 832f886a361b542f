"""Times as the database writes them: naive UTC, always `YYYY-MM-DD HH:MM:SS.ffffff`."""

from __future__ import annotations

from datetime import UTC, datetime


def time_text(moment: datetime) -> str:
    """Write an aware time as the database does."""
    return moment.astimezone(UTC).isoformat(sep=" ", timespec="microseconds")[:26]


def moment_of(text: str) -> datetime:
    """Read an aware time back; what names no offset is UTC.

    Raises:
        ValueError: it is no such text.
    """
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
