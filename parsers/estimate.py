"""The lines before a call: its estimate, its model and attempt, its ceiling.

None of them names its phase. Only their order shows that they belong to the next call, so the linker trusts
them only while a single executor writes.
"""

from __future__ import annotations

from parsers.family import TO_END, Family, Shape
from parsers.numbers import DECIMAL
from parsers.records import BuilderModel, Ceiling, Estimate

_ESTIMATE = (
    r"\[BUILD-1[0-9]{2}(?::\w+)?\] Token estimate: ([0-9]{1,18}) (?:output )?tokens "
    rf"\(([0-9]{{1,9}}) deliverables, confidence=({DECIMAL})\), selected budget: ([0-9]{{1,18}}).*"
)
_SELECTION = (
    r"\[TokenEstimator\] Budget selection: base=[0-9]+, estimated=([0-9]{1,18}), "
    rf"with_buffer=[0-9]+, selected=([0-9]{{1,18}}), confidence=({DECIMAL})%.*"
)
_CEILING = (
    r"\[BUILD-129:P4\] Final max_tokens enforcement: ([0-9]{1,18})"
    r"(?: \(token_selected_budget=([0-9]{1,18}|None)\))?.*"
)
_MODEL = (
    r"\[MODEL-SELECT\] Builder: model=([^,\n]+), complexity=[^,\n]*, "
    rf"attempt=([0-9]{{1,9}}), category={TO_END}"
)


def _estimate(tokens: str, count: str, confidence: str, budget: str) -> Estimate:
    """Read the builder client's line: tokens, deliverables, confidence (0..1), budget."""
    return Estimate(int(tokens), int(budget), float(confidence), int(count))


def _selection(tokens: str, budget: str, confidence: str) -> Estimate:
    """Read the estimator's own line, whose confidence is in percent."""
    return Estimate(int(tokens), int(budget), round(float(confidence) / 100, 6), None)


def _ceiling(tokens: str, budget: str | None) -> Ceiling:
    """Read the max tokens that the call will be given."""
    return Ceiling(int(tokens), int(budget) if budget and budget != "None" else None)


def _model(model: str, attempt: str, category: str) -> BuilderModel:
    """Read the model, attempt (0-based) and category of a builder call."""
    return BuilderModel(model, int(attempt), category)


FAMILIES = (
    Family(
        name="estimate",
        markers=("Token estimate: ",),
        opening=r"\[BUILD-1\d\d(?::\w+)?\] Token estimate: ",
        read=Shape(_ESTIMATE, _estimate),
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
        read=Shape(_SELECTION, _selection),
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
        read=Shape(_CEILING, _ceiling),
        samples=("[BUILD-129:P4] Final max_tokens enforcement: 16384 (token_selected_budget=8192)",),
        near_misses=("[BUILD-129:P4] Final max_tokens enforcement: off",),
    ),
    Family(
        name="builder_model",
        markers=("[MODEL-SELECT] Builder: ",),
        opening=r"\[MODEL-SELECT\] Builder: ",
        read=Shape(_MODEL, _model),
        samples=(
            "[MODEL-SELECT] Builder: model=some-model-4, complexity=low->low, attempt=1, category=docs",
        ),
        near_misses=("[MODEL-SELECT] Builder: none left",),
    ),
)
