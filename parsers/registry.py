"""Every family of lines, in an explicit tuple: to add a family, write its module and list it here."""

from __future__ import annotations

from parsers import budget, deliverables, escalation, estimate, event, legacy, phase, run
from parsers.family import Family

FAMILIES: tuple[Family, ...] = (
    event.FAMILY,
    legacy.FAMILY,
    budget.FAMILY,
    *run.FAMILIES,
    *phase.FAMILIES,
    *estimate.FAMILIES,
    *deliverables.FAMILIES,
    *escalation.FAMILIES,
)

MARKERS: tuple[bytes, ...] = tuple(marker.encode() for family in FAMILIES for marker in family.markers)
"""Every line that says anything holds one of these, but for those directly below the header of a list."""

EVENT_MARKER = MARKERS.index(event.MARKER.encode())
"""The number of the event line's marker among them."""
