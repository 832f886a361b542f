"""The values of events as an executor would have them: what is estimated, what came, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from parsers.event import MARKER

_CATEGORIES = {
    "implementation": 5200,
    "tests": 3900,
    "docs": 1800,
    "doc write": 2400,
    "refactoring": 6100,
    "configuration": 700,
    "integration": 7400,
    "backend": 6600,
    "frontend": 5800,
    "research": 4300,
}
_COMPLEXITIES = {"low": 0.6, "medium": 1.0, "high": 1.9}
_MODELS = (
    "northwind-coder-2",
    "northwind-coder-2-mini",
    "northwind-review-1",
    "contoso-large-4-20250929",
    "contoso-small-4",
    "fabrikam pro 3",
)
_BUDGETS = (4096, 8192, 12288, 16384, 32768)
_FALLBACK_SHARE = 0.01
"""The share of events of which only the total is known, not the output alone."""

_LOW, _MEDIUM, _HIGH = _COMPLEXITIES
_DRAWN_COMPLEXITIES = (_LOW, _LOW, _MEDIUM, _MEDIUM, _MEDIUM, _HIGH)
_DRAWN_CATEGORIES = ("implementation", "implementation", "tests", *_CATEGORIES)


@dataclass(frozen=True, slots=True)
class Values:
    """One event's values; `actual` is the output, or the total in the fallback form."""

    predicted: int
    actual: int
    output: int
    input: int
    budget: int
    max_tokens: int
    category: str
    complexity: str
    deliverables: int
    success: bool
    stop_reason: str | None
    truncated: bool
    model: str
    is_total: bool

    def line(self) -> str:
        """Return the message of the event line."""
        start = f"{MARKER} predicted_output={self.predicted} "
        shared = (
            f"selected_budget={self.budget} category={self.category} complexity={self.complexity} "
            f"deliverables={self.deliverables} success={self.success} "
        )
        if self.is_total:
            return f"{start}actual_total={self.actual} {shared}model={self.model}"
        smape = 200 * abs(self.predicted - self.actual) / (self.predicted + self.actual)
        return (
            f"{start}actual_output={self.actual} smape={smape:.1f}% {shared}"
            f"stop_reason={self.stop_reason} truncated={self.truncated} model={self.model}"
        )


def draw(rng: Random) -> Values:
    """Draw the values of one call: estimate, budget and outcome go together as they do in life."""
    random = rng.random
    category = _DRAWN_CATEGORIES[int(random() * len(_DRAWN_CATEGORIES))]
    complexity = _DRAWN_COMPLEXITIES[int(random() * len(_DRAWN_COMPLEXITIES))]
    deliverables = 0 if random() < 0.04 else 1 + int(random() ** 3 * 20)
    size = _CATEGORIES[category] * _COMPLEXITIES[complexity] * (0.7 + 0.15 * deliverables)
    predicted = min(24_000, int(size * (0.8 + 0.4 * random())) + 50)
    budget = next((size for size in _BUDGETS if size >= predicted * 1.2), _BUDGETS[-1])
    max_tokens = max(16_384, budget)
    output = max(51, int(predicted * rng.lognormvariate(-0.05, 0.55)))
    truncated = output >= max_tokens
    output = min(output, max_tokens)
    is_total = random() < _FALLBACK_SHARE
    prompt = 1500 + int(random() * 30_000)
    return Values(
        predicted=predicted,
        actual=output + prompt if is_total else output,
        output=output,
        input=prompt,
        budget=budget,
        max_tokens=max_tokens,
        category=category,
        complexity=complexity,
        deliverables=deliverables,
        success=random() < (0.2 if truncated else 0.96),
        stop_reason=None if random() < 0.01 else "max_tokens" if truncated else "end_turn",
        truncated=truncated,
        model=_MODELS[int(random() * len(_MODELS))],
        is_total=is_total,
    )
