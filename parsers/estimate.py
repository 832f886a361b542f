"""The lines before a call: its estimate, its model and attempt, its ceiling.

None of them names its phase. They belong to the call that follows, which only the order of the
lines tells; the linker trusts them only where a single executor writes.
"""

from __future__ import annotations

import re

from parsers.family import Family
from parsers.numbers import decimal
from parsers.records import BuilderModel, Ceiling, Estimate

_ESTIMATE = re.compile(
    r"\[BUILD-1[0-9]{2}(?::\w+)?\] Token estimate: (?P<tokens>[0-9]{1,18}) (?:output )?tokens "
    r"\((?P<count>[0-9]{1,9}) deliverables, confidence=(?P<confidence>[0-9.]+)\), "
    r"selected budget: (?P<budget>[0-9]{1,18})",
    re.ASCII,
)
_SELECTION = re.compile(
    r"\[TokenEstimator\] Budget selection: base=[0-9]+, estimated=(?P<tokens>[0-9]{1,18}), "
    r"with_buffer=[0-9]+, selected=(?P<budget>[0-9]{1,18}), confidence=(?P<confidence>[0-9.]+)%",
    re.ASCII,
)
_CEILING = re.compile(
    r"\[BUILD-129:P4\] Final max_tokens enforcement: (?P<max>[0-9]{1,18})"
    r"(?: \(token_selected_budget=(?P<budget>[0-9]{1,18}|None)\))?",
    re.ASCII,
)
_MODEL = re.compile(
    r"\[MODEL-SELECT\] Builder: model=(?P<model>[^,]+), complexity=[^,]*, attempt=(?P<attempt>[0-9]{1,9}), "
    r"category=(?P<category>.+)",
    re.ASCII,
)


def read_estimate(message: str) -> Estimate | None:
    """Read the builder client's line: tokens, deliverables, confidence (0..1), budget."""
    found = _ESTIMATE.match(message)
    confidence = decimal(found["confidence"]) if found else None
    if found is None or confidence is None:
        return None
    return Estimate(int(found["tokens"]), int(found["budget"]), confidence, int(found["count"]))


def read_selection(message: str) -> Estimate | None:
    """Read the estimator's own line, whose confidence is in percent."""
    found = _SELECTION.match(message)
    percent = decimal(found["confidence"]) if found else None
    if found is None or percent is None:
        return None
    return Estimate(int(found["tokens"]), int(found["budget"]), round(percent / 100, 6), None)


def read_ceiling(message: str) -> Ceiling | None:
    """Read the max tokens that the call will be given."""
    found = _CEILING.match(message)
    if found is None:
        return None
    budget = found["budget"]
    return Ceiling(int(found["max"]), int(budget) if budget and budget != "None" else None)


def read_model(message: str) -> BuilderModel | None:
    """Read the model, attempt (0-based) and category of a builder call."""
    found = _MODEL.fullmatch(message.rstrip())
    if found is None:
        return None
    return BuilderModel(found["model"], int(found["attempt"]), found["category"])


FAMILIES = (
    Family(
        name="estimate",
        markers=("Token estimate: ",),
        opening=r"\[BUILD-1\d\d(?::\w+)?\] Token estimate: ",
        read=read_estimate,
        samples=(
            "[BUILD-129] Token estimate: 5200 output tokens (1 deliverables, confidence=0.80), "
            "selected budget: 8192 (P4 enforcement applied before API call)",
            "[BUILD-129] Token estimate: 448 tokens (1 deliverables, confidence=0.80), selected budget: 8192",
            "[BUILD-142:OpenAI] Token estimate: 5200 output tokens (1 deliverables, confidence=0.80), "
            "selected budget: 8192",
        ),
        near_misses=("[BUILD-129] Token estimate: none",),
    ),
    Family(
        name="selection",
        markers=("Budget selection: ",),
        opening=r"\[TokenEstimator\] Budget selection: ",
        read=read_selection,
        samples=(
            "[TokenEstimator] Budget selection: base=8192, estimated=5200, with_buffer=6240, "
            "selected=8192, confidence=80.0%, buffer_margin=1.20x",
        ),
        near_misses=("[TokenEstimator] Budget selection: skipped",),
    ),
    Family(
        name="ceiling",
        markers=("Final max_tokens enforcement: ",),
        opening=r"\[BUILD-129:P4\] Final max_tokens enforcement: ",
        read=read_ceiling,
        samples=("[BUILD-129:P4] Final max_tokens enforcement: 16384 (token_selected_budget=8192)",),
        near_misses=("[BUILD-129:P4] Final max_tokens enforcement: off",),
    ),
    Family(
        name="builder_model",
        markers=("[MODEL-SELECT] Builder: ",),
        opening=r"\[MODEL-SELECT\] Builder: ",
        read=read_model,
        samples=(
            "[MODEL-SELECT] Builder: model=some-model-4, complexity=low->low, attempt=1, category=docs",
        ),
        near_misses=("[MODEL-SELECT] Builder: none left",),
    ),
)
