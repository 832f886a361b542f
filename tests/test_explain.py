"""A line is explained: its family, where it stops matching, what said what of an event, what is stored."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Tokentail
from event_lines import event_message, fallback_message, logged
from parsers.explain import explain, stop_in
from parsers.line import parse_line
from parsers.records import Malformed
from parsers.registry import FAMILIES

PREFIX = "[2026-01-14 09:12:03] INFO: "
RUN = "Initialized autonomous executor for run: run-1"
ANCHOR = (
    "[TOKEN_BUDGET] phase=p1 complexity=low input=5056 output=1157/16384 total=6213 utilization=7.1% "
    "model=some-model-4"
)
MESSAGES = (
    RUN,
    "[BUILD-041] Next phase: p1",
    "[MODEL-SELECT] Builder: model=some-model-4, complexity=low->low, attempt=1, category=docs",
    ANCHOR,
    event_message(),
    "[p1] Builder succeeded (6213 tokens)",
    "[p1] Applied files: ['src/a.py']",
    "Updated phase p1 status to COMPLETE",
    "[TokenEstimationV2] predicted_output=5200 actual_out",
    "nothing of ours",
)


def write_log(path: Path, *messages: str, prefix: str = PREFIX) -> Path:
    path.write_text("".join(f"{prefix}{message}\n" for message in messages), encoding="utf-8")
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log of one run with an event, its context, and a marker line that is cut off."""
    return write_log(tmp_path / "run.log", *MESSAGES)


def explained(called: Tokentail, *arguments: object) -> list[dict[str, object]]:
    done = called("explain", *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    lines: list[dict[str, object]] = json.loads(done.stdout)["lines"]
    return lines


# One line


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_samples_of_families_are_whole_and_near_misses_say_why_they_are_not(family: object) -> None:
    """What a family understands stops nowhere; what it refuses says why."""
    for message in family.samples:  # type: ignore[attr-defined]
        found = explain(f"{PREFIX}{message}".encode())
        assert (found.family, found.stop, found.why) == (family.name, None, None)  # type: ignore[attr-defined]
        assert found.record is not None
    for message in family.near_misses:  # type: ignore[attr-defined]
        found = explain(f"{PREFIX}{message}".encode())
        assert found.record is None
        assert found.why


@pytest.mark.parametrize(
    ("message", "reached", "expected"),
    [
        ("[TokenEstimationV2] predicted_output=5200 actual_out", 52, "` actual_output=`"),
        ("[TokenEstimationV2] predicted_output=-5 actual_output=3", 37, "a number"),
        ("[TokenEstimationV2] predicted_output=1e3 actual_output=3", 38, "` actual_output=`"),
        (event_message(success="Yes"), event_message().index("True"), "True, False or None"),
        (event_message(smape="many"), event_message().index("127.2"), "a number"),
        (fallback_message(deliverables="x"), fallback_message().index("3 success"), "a number"),
        (ANCHOR.replace("output=1157/", "output=1157:"), ANCHOR.index("/16384"), "`/`"),
        ("[p1] Builder succeeded, it seems", 22, "`] Builder succeeded (`"),
        ("Updated phase p1", 16, "` status to `"),
        ("[BUILD-129:P4] Final max_tokens enforcement: off", 45, "a number"),
        (
            "[TOKEN_ESCALATION] phase=p1 attempt=1 tokens=8192→ (truncation)",
            len("[TOKEN_ESCALATION] phase=p1 attempt=1 tokens=8192→"),
            "a number",
        ),
    ],
)
def test_a_line_stops_matching_where_it_goes_wrong(message: str, reached: int, expected: str) -> None:
    """The place is that of the first character that doesn't fit, and what should stand there is said."""
    stop = explain(f"{PREFIX}{message}".encode()).stop
    assert stop is not None
    assert (stop.reached, stop.expected) == (reached, expected)
    assert message[reached:].startswith(stop.found[:1])


@pytest.mark.parametrize(
    "message", [event_message(), fallback_message(), ANCHOR], ids=["full", "total", "budget"]
)
def test_a_line_that_is_cut_matches_to_its_end(message: str) -> None:
    """Wherever a writer was killed, the beginning that is there matches, and the rest is missed."""
    family = next(family for family in FAMILIES if message.startswith(family.markers[:1] or "\n"))
    whole = message.rfind("model=") + len("model=x")
    for end in range(len(message[: message.index("]") + 2]), whole - 1):
        stop = stop_in(family, message[:end])
        assert stop is not None, message[:end]
        assert stop.reached + len(stop.found) == len(message[:end].rstrip())
        assert len(stop.found) < len("False")  # of a number or a name, which is one only when it is whole


@given(st.sampled_from([sample for family in FAMILIES for sample in family.samples]), st.data())
def test_an_explanation_agrees_with_the_parser(message: str, data: st.DataObject) -> None:
    """Whatever becomes of a line, it is explained as it is read, and a place is one within it."""
    at = data.draw(st.integers(0, len(message)))
    line = f"{PREFIX}{message[:at]}{data.draw(st.text(max_size=5))}{message[at:]}".partition("\n")[0].encode()
    found, parsed = explain(line), parse_line(line)
    assert found.record == (None if parsed is None else parsed.record)
    if found.stop is not None:
        assert 0 <= found.stop.reached <= len(found.message)
    assert found.record is not None or found.why


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"{PREFIX}DEBUG: quoted {event_message()}", "14 characters stand before it"),
        (ANCHOR, "it counts only behind a prefix"),
        (f"{PREFIX}hello", "no family of lines opens like this"),
    ],
    ids=["quoted", "bare", "prose"],
)
def test_a_line_that_says_nothing_says_why(line: str, why: str) -> None:
    """A marker at the wrong place, a bare context line and prose are distinguished."""
    found = explain(line.encode())
    assert found.record is None
    assert why in (found.why or "")


# A line of a log


def test_an_event_is_explained_with_the_lines_it_comes_from(called: Tokentail, log: Path) -> None:
    """Run, phase, paths and outcome of an event come each with the kind and the number of its line."""
    (line,) = explained(called, f"{log}:5", "--tz", "Australia/Sydney")
    assert (line["family"], line["stored"], line["stopped_at"]) == ("event", "event", None)
    assert (line["timestamp"], line["timezone"]) == ("2026-01-13 22:12:03.000000", "Australia/Sydney")
    facts = {fact["what"]: (fact["value"], fact["source"], fact["line"]) for fact in line["facts"]}  # type: ignore[attr-defined]
    assert facts["run"] == ("run-1", "initialized", 1)
    assert facts["phase"] == ("p1", "budget", 4)
    assert facts["attempt"] == (1, "model", 3)
    assert facts["deliverables"] == (["src/a.py"], "applied", 7)
    assert facts["outcome"] == ("COMPLETE", "status", 8)


def test_what_is_explained_is_what_an_ingest_stores(called: Tokentail, log: Path) -> None:
    """The row that is shown beforehand is the row of the database."""
    (line,) = explained(called, f"{log}:5", "--tz", "UTC")
    called("ingest", log, "--tz", "UTC")
    (row,) = json.loads(called("events", "--json").stdout)["events"]
    explained_event = line["event"]
    assert isinstance(explained_event, dict)
    assert {name: row[name] for name in explained_event} == {
        name: int(v) if v is True or v is False else v for name, v in explained_event.items()
    }


def test_a_list_of_paths_is_named_by_its_head(called: Tokentail, tmp_path: Path) -> None:
    """A list of required deliverables ends at the line below it; what is named is the line that begins it."""
    head = [
        RUN,
        "[BUILD-041] Next phase: p1",
        ANCHOR,
        event_message(),
        "[p1] Builder succeeded (6213 tokens)",
    ]
    log = write_log(tmp_path / "run.log", *head, "[p1] ❌ DELIVERABLES VALIDATION FAILED")
    with log.open("a", encoding="utf-8") as more:
        more.write(f"📋 REQUIRED DELIVERABLES:\n  ✓ src/a.py\n{PREFIX}something else\n")
    (line,) = explained(called, f"{log}:4")
    facts = {fact["what"]: (fact["value"], fact["source"], fact["line"]) for fact in line["facts"]}  # type: ignore[attr-defined]
    assert facts["deliverables"] == (["src/a.py"], "required", 7)


def test_a_context_line_names_its_events(called: Tokentail, log: Path) -> None:
    """The budget line and a line after the event are shown with what they say of which event."""
    budget, applied = explained(called, f"{log}:4", f"{log}:7")
    assert budget["tells"] == [{"line_number": 5, "what": "phase, max tokens, input tokens, total tokens"}]
    assert applied["tells"] == [{"line_number": 5, "what": "deliverables"}]
    assert (budget["stored"], applied["stored"]) == (None, None)


def test_a_reject_names_the_character_of_the_line(called: Tokentail, log: Path) -> None:
    """The place is counted from the line's first character, prefix and all."""
    (line,) = explained(called, f"{log}:9")
    assert (line["stored"], line["reason"]) == ("reject", "cut off")
    assert line["stopped_at"] == len(PREFIX) + len(MESSAGES[8]) + 1
    shown = called("explain", f"{log}:9").stdout
    assert f"up to character {len(PREFIX) + len(MESSAGES[8])} of the line" in shown
    assert "it should be ` actual_output=`" in shown
    assert "stored" in shown
    assert "a reject: cut off" in shown


def test_lines_that_are_pasted_are_all_explained(tokentail: Tokentail) -> None:
    """`-` explains each line; an event without its surroundings has no run."""
    text = f"{PREFIX}{event_message()}\nhello\n".encode()
    found = json.loads(tokentail("explain", "-", "--json", stdin=text).stdout)["lines"]
    assert [(line["line_number"], line["stored"]) for line in found] == [(1, "event"), (2, None)]
    assert "unknown: no line tells it beyond doubt" in tokentail("explain", "-", stdin=text).stdout


@pytest.mark.parametrize("form", ["gzip", "utf-16", "docker", "crlf"])
def test_a_line_is_explained_in_every_form_of_log(called: Tokentail, tmp_path: Path, form: str) -> None:
    """Compressed, UTF-16, in a container's objects, with CRLF: the same facts of the same lines."""
    text = "".join(f"{PREFIX}{message}\n" for message in MESSAGES)
    log = tmp_path / "run.log"
    if form == "gzip":
        log.write_bytes(gzip.compress(text.encode()))
    elif form == "docker":
        objects = [
            {"log": f"{line}\n", "stream": "stderr", "time": "2026-01-14T09:12:03Z"}
            for line in text.splitlines()
        ]
        log.write_text("".join(json.dumps(entry) + "\n" for entry in objects), encoding="utf-8")
    else:
        encoding = "utf-16" if form == "utf-16" else "utf-8"
        log.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    (line,) = explained(called, f"{log}:5")
    facts = {fact["what"]: fact["line"] for fact in line["facts"]}  # type: ignore[attr-defined]
    assert (facts["run"], facts["phase"], facts["outcome"]) == (1, 4, 8)


def test_the_zone_is_that_in_which_the_log_was_read(called: Tokentail, log: Path) -> None:
    """A log that the database knows is explained in its zone; --tz stands above that."""
    called("ingest", log, "--tz", "Australia/Sydney")
    assert explained(called, f"{log}:5")[0]["timezone"] == "Australia/Sydney"
    assert explained(called, f"{log}:5", "--tz", "UTC")[0]["timezone"] == "UTC"
    assert "see `tokentail events 1`" in called("explain", f"{log}:5").stdout


def test_a_prefix_of_ones_own_is_offered_and_taken(called: Tokentail, tmp_path: Path) -> None:
    """What would read a line is said as `ingest` says it; once read so, it is an event for all commands."""
    write_log(tmp_path / "own.log", RUN, event_message(), prefix=f"a says> {PREFIX}")
    offered = called("ingest", "own.log", "--tz", "UTC").stderr.rpartition(" read by ")[2].strip()
    assert offered == "`tokentail backfill --full --prefix '{word} {word}> ' own.log`"
    assert f"would be read by        {offered}" in called("explain", "own.log:2").stdout
    assert explained(called, "own.log:2", "--prefix", "{word} {word}> ")[0]["stored"] == "event"
    called("backfill", "--full", "own.log", "--tz", "UTC", "--prefix", "{word} {word}> ")
    (line,) = explained(called, "own.log:2")
    assert (line["prefix"], line["stored"], line["event_id"]) == (
        "that of --prefix around the executor's own",
        "event",
        1,
    )
    assert ("run", 1) in [(fact["what"], fact["line"]) for fact in line["facts"]]  # type: ignore[attr-defined]
    shown = called("events", "1")
    assert ("own.log:1" in shown.stdout, shown.stderr) == (True, "")
    assert "not understood" not in called("backfill", "--full", "own.log", "--tz", "UTC", "--dry-run").stdout


def test_a_line_that_grep_numbered_is_explained_as_it_is_read(called: Tokentail, tmp_path: Path) -> None:
    """What `grep -n` puts before a line is no hindrance; escapes of a terminal aren't either."""
    write_log(tmp_path / "found.log", event_message(), prefix=f"5122:{PREFIX}")
    write_log(tmp_path / "red.log", event_message(), prefix=f"\x1b[31m{PREFIX}")
    assert [line["stored"] for line in explained(called, "found.log:1", "red.log:1")] == ["event", "event"]


def test_explaining_makes_no_database_and_changes_none(called: Tokentail, log: Path, tmp_path: Path) -> None:
    """A look at a line stores nothing."""
    called("explain", f"{log}:5")
    assert [path.name for path in tmp_path.iterdir()] == ["run.log"]


@pytest.mark.parametrize(
    ("place", "code", "said"),
    [
        ("run.log", 2, "write FILE:LINE"),
        ("run.log:0", 2, "write FILE:LINE"),
        ("run.log:abc", 2, "for a whole log: `tokentail ingest --dry-run FILE`\n"),
        ("run.log:11", 1, "there is no such line"),
        ("gone.log:1", 1, "gone.log: no such file: give the path of a log"),
    ],
)
def test_a_place_that_is_none_is_named(
    called: Tokentail, log: Path, place: str, code: int, said: str
) -> None:
    """What isn't a place is a mistake of use, a line that isn't there is trouble; both are named."""
    assert log.exists()
    done = called("explain", place)
    assert done.returncode == code
    assert said.lower() in done.stderr.lower()


def test_a_hostile_line_is_shown_and_not_obeyed(called: Tokentail, tmp_path: Path) -> None:
    """Escapes of a terminal in a line are shown as text."""
    log = write_log(
        tmp_path / "run.log", "\x1b[31m" + event_message(model="\x1b]0;x\x07"), event_message(model="\x1b[2J")
    )
    done = called("explain", f"{log}:1", f"{log}:2")
    assert "\x1b" not in done.stdout
    assert "\\x1b" in done.stdout


def test_malformed_lines_of_the_real_logs_have_a_place(corpus: Path, called: Tokentail) -> None:
    """Each reject of the real logs is explained with the character at which it stops."""
    for log in sorted(corpus.glob("*.[lt][ox][gt]")):
        for number, line in enumerate(log.read_bytes().splitlines(), 1):
            parsed = parse_line(line)
            if (
                parsed is not None
                and isinstance(parsed.record, Malformed)
                and parsed.record.reason != "no timestamp"
            ):
                (explanation,) = explained(called, f"{log}:{number}")
                assert explanation["stored"] == "reject"
                assert explanation["stopped_at"]


@pytest.mark.parametrize("rest", ["[2025-12-29 19:45:00] INFO: x", "Traceback (most recent call last):"])
def test_line_in_which_another_begins_is_said_to_be_cut(rest: str) -> None:
    """Its own prefix is there, and it goes on as its family does."""
    explained = explain(logged(f"Next phase: p{rest}").encode())
    assert (explained.family, explained.record) == ("phase_requested", None)
    assert explained.why == "another line begins within it, so that its last value may be cut"
