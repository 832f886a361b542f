"""What linking remembers of a source, and what it tells of events already seen: values, no rules.

`LinkerState` is stored with the checkpoint as JSON; everything in it is bounded, whatever the log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.linking.calls import Anchors, Preparation
from ingest.linking.context import Context, Told
from ingest.linking.declared import Declared
from ingest.linking.runs import LiveRuns
from ingest.linking.windows import OpenEvent, Windows


class Logged(NamedTuple):
    """The time of an event's line: as the database writes it, and as logged."""

    moment: str
    text: str


class Amendment(NamedTuple):
    """Context that came after its event, which was seen at `offset` of the same source.

    `logged` is that sighting's own time, where the context tells its phase.
    """

    offset: int
    context: Context
    logged: Logged | None = None


class Unanchored(NamedTuple):
    """The last event, while its phase may still be told from behind."""

    offset: int
    ordinal: int
    success: bool | None
    opened: OpenEvent
    logged: Logged | None = None


@dataclass(slots=True)
class LinkerState:
    """All that linking must remember of what was read; bounded, whatever the log."""

    runs: LiveRuns = field(default_factory=LiveRuns)
    windows: Windows = field(default_factory=Windows)
    anchors: Anchors = field(default_factory=Anchors)
    preparation: Preparation = field(default_factory=Preparation)
    unanchored: Unanchored | None = None
    declared: Declared = field(default_factory=Declared)
    calls_lost: int = 0


class EscalationContext(NamedTuple):
    """What is known around an escalation: its run, and the answer that led to it."""

    run: Told | None
    selected_budget: int | None
    actual_max_tokens: int | None
    tokens_used: int | None
