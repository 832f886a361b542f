"""Every number of the report over the real logs, worked out again by a few independent lines."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from conftest import Tokentail

Event = dict[str, Any]


def smape(event: Event) -> float:
    predicted, actual = event["predicted_output_tokens"], event["actual_output_tokens"]
    return 100 * abs(predicted - actual) / ((predicted + actual) / 2)


def waste(event: Event) -> float:
    return float(event["predicted_output_tokens"] / event["actual_output_tokens"])


def p90(values: list[float]) -> float:
    return statistics.quantiles(values, n=10)[8] if len(values) >= 10 else max(values)


def numbers(events: list[Event]) -> dict[str, Any]:
    """Work out a stratum's numbers, each in the plainest way there is."""
    clean = [event for event in events if event["success"] == 1 and event["truncated"] == 0]
    ceilings = [event["actual_max_tokens"] or event["selected_budget"] for event in clean]
    found: dict[str, Any] = {
        "n": len(events),
        "mean_predicted": statistics.mean(event["predicted_output_tokens"] for event in events),
        "mean_actual": statistics.mean(event["actual_output_tokens"] for event in events),
        "smape_mean": statistics.mean(map(smape, events)),
        "smape_median": statistics.median(map(smape, events)),
        "smape_sd": statistics.stdev(map(smape, events)) if len(events) > 1 else None,
        "smape_min": min(map(smape, events)),
        "smape_max": max(map(smape, events)),
        "underestimated": sum(
            event["actual_output_tokens"] > event["predicted_output_tokens"] for event in events
        ),
        "truncated": sum(event["truncated"] for event in events),
        "parsed": sum(event["success"] for event in events),
        "waste_median": statistics.median(map(waste, clean)) if clean else None,
        "waste_mean": statistics.mean(map(waste, clean)) if clean else None,
        "waste_p90": p90(list(map(waste, clean))) if clean else None,
    }
    if clean and all(ceilings):
        used = [
            ceiling / event["actual_output_tokens"] for ceiling, event in zip(ceilings, clean, strict=True)
        ]
        found |= {
            "ceiling_waste_median": statistics.median(used),
            "ceiling_waste_mean": statistics.mean(used),
            "ceiling_waste_p90": p90(used),
        }
    return found


@pytest.fixture
def events(corpus: Path, called: Tokentail) -> list[Event]:
    """Ingest the real logs and return what a separate slow reading found in them."""
    assert called("ingest", corpus, "--tz", "Australia/Sydney").returncode == 0
    found: list[Event] = json.loads((corpus / "expected_events.json").read_text(encoding="utf-8"))["events"]
    return found


def agree(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        assert found[name] == (None if value is None else pytest.approx(value, rel=1e-12)), name


def test_report_equals_an_independent_calculation(called: Tokentail, events: list[Event]) -> None:
    """Overall and for every stratum each number is that of the plain calculation."""
    report = json.loads(called("report", "--json").stdout)
    agree(report["overall"], numbers(events))
    strata = defaultdict(list)
    for event in events:
        strata[event["category"], event["complexity"]].append(event)
    assert len(report["strata"]) == len(strata) == 11
    for found in report["strata"]:
        agree(found, numbers(strata[found["category"], found["complexity"]]))


def test_normalized_categories_are_one_stratum(called: Tokentail, events: list[Event]) -> None:
    """IMPLEMENT_FEATURE is implementation, where that is asked for."""
    names = {"IMPLEMENT_FEATURE": "implementation"}
    strata = defaultdict(list)
    for event in events:
        strata[names.get(event["category"], event["category"])].append(event)
    report = json.loads(called("report", "--json", "--normalize-categories", "--by", "category").stdout)
    assert {found["category"] for found in report["strata"]} == set(strata)
    for found in report["strata"]:
        agree(found, numbers(strata[found["category"]]))


def test_calibration_equals_an_independent_calculation(called: Tokentail, events: list[Event]) -> None:
    """Means, SMAPE and ratios of the clean events are those of the plain calculation."""
    strata = defaultdict(list)
    for event in events:
        if event["success"] == 1 and event["truncated"] == 0:
            strata[event["category"], event["complexity"]].append(event)
    calibration = json.loads(called("calibrate", "--json", "--all-time").stdout)
    for found in calibration["strata"]:
        clean = strata[found["category"], found["complexity"]]
        assert found["n"] == len(clean)
        if clean:
            ratios = [event["actual_output_tokens"] / event["predicted_output_tokens"] for event in clean]
            agree(
                found,
                {
                    "mean_predicted": statistics.mean(event["predicted_output_tokens"] for event in clean),
                    "mean_actual": statistics.mean(event["actual_output_tokens"] for event in clean),
                    "smape_mean": statistics.mean(map(smape, clean)),
                    "smape_sd": statistics.stdev(map(smape, clean)) if len(clean) > 1 else None,
                    "ratio_median": statistics.median(ratios),
                    "ratio_min": min(ratios),
                    "ratio_max": max(ratios),
                },
            )


def test_coverage_equals_an_independent_count(called: Tokentail, events: list[Event]) -> None:
    """Each cell has as many as there are such events; those without a number are said."""
    with_count = [event for event in events if event["deliverable_count"]]
    edges = {"1-3": range(1, 4), "4-7": range(4, 8), "8-15": range(8, 16), "16+": range(16, 10**6)}
    found = json.loads(called("coverage", "--json").stdout)
    by_name = {
        (cell["category"], cell["complexity"], cell["bucket"]): cell["have"] for cell in found["cells"]
    }
    for event in with_count:
        bucket = next(name for name, counts in edges.items() if event["deliverable_count"] in counts)
        by_name[event["category"], event["complexity"], bucket] -= 1
    without_count = len(events) - len(with_count)
    assert sum(by_name.values()) + found["without_bucket"] == without_count
