"""Builders for the executor's lines: event messages with chosen fields, and prefixes before them."""

from __future__ import annotations

import json

from parsers.records import EstimationEvent

FULL = {
    "predicted_output": "5200",
    "actual_output": "1157",
    "smape": "127.2%",
    "selected_budget": "8192",
    "category": "implementation",
    "complexity": "low",
    "deliverables": "1",
    "success": "True",
    "stop_reason": "end_turn",
    "truncated": "False",
    "model": "some-model-4",
}
FALLBACK = {
    "predicted_output": "900",
    "actual_total": "5200",
    "selected_budget": "8192",
    "category": "docs",
    "complexity": "low",
    "deliverables": "3",
    "success": "True",
    "model": "some-model-4",
}

PLAIN_EVENT = EstimationEvent(
    predicted_output_tokens=5200,
    actual_output_tokens=1157,
    actual_is_total=False,
    smape_percent=127.2,
    selected_budget=8192,
    category="implementation",
    complexity="low",
    deliverable_count=1,
    success=True,
    stop_reason="end_turn",
    truncated=False,
    model="some-model-4",
)
"""What `event_message()` says."""

EXECUTOR_TIME = "2025-12-29 19:40:02"


def event_message(**fields: object) -> str:
    """Build an event message of the full form, with these fields changed."""
    return _message(FULL, fields)


def fallback_message(**fields: object) -> str:
    """Build an event message of the fallback form, with these fields changed."""
    return _message(FALLBACK, fields)


def _message(template: dict[str, str], fields: dict[str, object]) -> str:
    if unknown := fields.keys() - template.keys():
        raise KeyError(*unknown)
    values = {**template, **fields}
    return "[TokenEstimationV2] " + " ".join(f"{key}={value}" for key, value in values.items())


def anchor_message(phase: str, output: int = 1157, **fields: object) -> str:
    """Build the anchor of a call that used so many output tokens."""
    values = {"complexity": "low", "input": 5056, "max": 16384, "model": "some-model-4", **fields}
    return (
        f"[TOKEN_BUDGET] phase={phase} complexity={values['complexity']} input={values['input']} "
        f"output={output}/{values['max']} total={int(str(values['input'])) + output} utilization=7.1% "
        f"model={values['model']}"
    )


def logged(message: str, at: str = EXECUTOR_TIME, level: str = "INFO") -> str:
    """Put the executor's own prefix before a message."""
    return f"[{at}] {level}: {message}"


def docker(line: str, at: str = "2025-12-29T08:40:02.123456789Z") -> str:
    """Wrap a line as Docker's json-file driver does."""
    return json.dumps({"log": line + "\n", "stream": "stderr", "time": at}, separators=(",", ":"))


def json_line(message: str, at: str = EXECUTOR_TIME) -> str:
    """Write a message as one JSON object, as the executor's code can be configured to."""
    return json.dumps({"timestamp": at, "level": "INFO", "message": message})


PREFIX_FORMS = {
    "executor": (logged, EXECUTOR_TIME),
    "executor-error": (lambda text: logged(text, level="ERROR"), EXECUTOR_TIME),
    "bracketed": (lambda text: f"[2025-12-23 19:47:57] [INFO] {text}", "2025-12-23 19:47:57"),
    "script": (
        lambda text: f"2025-12-23 19:47:57,427 - executor.anthropic_clients - INFO - {text}",
        "2025-12-23 19:47:57,427",
    ),
    "level-logger": (
        lambda text: f"2025-12-23 19:47:57,427 [INFO] executor.clients: {text}",
        "2025-12-23 19:47:57,427",
    ),
    "level-only": (lambda text: f"2025-12-23 19:47:57,427 [INFO] {text}", "2025-12-23 19:47:57,427"),
    "json": (json_line, EXECUTOR_TIME),
    "json-iso": (lambda text: json_line(text, "2025-12-29T19:40:02.5"), "2025-12-29T19:40:02.5"),
    "powershell": (lambda text: "python : " + logged(text), EXECUTOR_TIME),
    "powershell-script": (
        lambda text: f"python : 2025-12-23 19:47:57,427 - a.b - WARNING - {text}",
        "2025-12-23 19:47:57,427",
    ),
    "docker": (docker, "2025-12-29T08:40:02.123456789Z"),
    "docker-executor": (lambda text: docker(logged(text)), EXECUTOR_TIME),
    "cri": (
        lambda text: f"2025-12-29T08:40:02.123456789Z stderr F {text}",
        "2025-12-29T08:40:02.123456789Z",
    ),
    "cri-executor": (
        lambda text: f"2025-12-29T08:40:02.123456789Z stdout F {logged(text)}",
        EXECUTOR_TIME,
    ),
    "journal": (
        lambda text: f"2025-12-29T19:40:02+1100 box executor[77]: {text}",
        "2025-12-29T19:40:02+1100",
    ),
    "journal-executor": (
        lambda text: f"2025-12-29T19:40:02+1100 box executor[77]: {logged(text)}",
        EXECUTOR_TIME,
    ),
    "syslog-executor": (lambda text: f"Dec 29 19:40:02 box executor[77]: {logged(text)}", EXECUTOR_TIME),
    "syslog-script": (
        lambda text: f"Dec  9 19:40:02 box executor: 2025-12-23 19:47:57,427 - a - INFO - {text}",
        "2025-12-23 19:47:57,427",
    ),
}
"""Every prefix that gives a time: how to put it before a message, and the time's text."""
