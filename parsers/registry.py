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
