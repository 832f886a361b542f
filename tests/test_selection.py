"""Which events a report is about, and in which stratum: SQL held against plain Python."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from conftest import Tokentail
from event_rows import Row, event_row, holding, stored
from ingest.cli import cli
from ingest.errors import UsageMistake
from ingest.storing.database import open_for_writing
from reports.commands.filters import know_days
from reports.replaying.events import replay_events
from reports.selection import CATEGORY_NAMES, Population, Selection, normalized_category, population
from reports.strata import DEFAULT_BUCKETS, DIMENSIONS, Bucket, Strata, parse_buckets
from reports.tokens import tokens_by_stratum
from selection_oracle import SELECTIONS, bucket_of, is_selected, key_of, passes, rows


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Open a database without events, for many tests that leave it so."""
    with open_for_writing(tmp_path_factory.mktemp("selection") / "telemetry.db") as db:
        know_days(db, Selection())
        yield db


# Filters

SEARCH = settings(max_examples=250)


@SEARCH
@given(rows(), SELECTIONS)
def test_filters_select_what_plain_python_selects(
    empty: Database, events: list[Row], selection: Selection
) -> None:
    """Each filter and all of them together take exactly the events that a few lines of Python take."""
    with holding(empty, events):
        query = f"SELECT event_key FROM token_estimation_v2_events WHERE {selection.where()}"
        found = {key for (key,) in empty.conn.execute(query, selection.values())}
    assert found == {row["event_key"] for row in events if is_selected(row, selection)}


@SEARCH
@given(rows(), SELECTIONS)
def test_every_event_is_selected_or_left_out_for_one_reason(
    empty: Database, events: list[Row], selection: Selection
) -> None:
    """All events = selected + not passed + totals + short, each counted as plain Python counts them."""
    with holding(empty, events):
        found = population(empty, selection)
    passed = [row for row in events if passes(row, selection)]
    totals = [row for row in passed if row["actual_is_total"] and not selection.with_totals]
    times = [row["timestamp"] for row in events if is_selected(row, selection)]
    assert found == Population(
        events=len(events),
        selected=sum(is_selected(row, selection) for row in events),
        left_out_filtered=len(events) - len(passed),
        left_out_totals=len(totals),
        left_out_short=sum(
            row["actual_output_tokens"] < selection.min_actual for row in passed if row not in totals
        ),
        min_actual=selection.min_actual,
        first=min(times, default=None),
        last=max(times, default=None),
        hints=found.hints,
    )
    left_out = found.left_out_filtered + found.left_out_totals + found.left_out_short
    assert found.events == found.selected + left_out


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({}, "abcdefg"),
        ({"runs": ("r2",)}, "b"),
        ({"phases": ("p2",)}, "c"),
        ({"categories": ("tests",)}, "d"),
        ({"complexities": ("high",)}, "e"),
        ({"models": ("m2",)}, "f"),
        ({"success_only": True}, "abcdef"),
        ({"min_actual": 801}, "a"),
        ({"with_totals": True}, "abcdefgh"),
        ({"since": datetime(2026, 1, 15, tzinfo=UTC)}, "b"),
        ({"until": datetime(2026, 1, 15, tzinfo=UTC)}, "acdefg"),
        ({"runs": ("r2", "run-1"), "phases": ("p2", "nothing")}, "c"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else value,
)
def test_each_filter_alone_takes_its_own(empty: Database, filters: dict[str, Any], kept: str) -> None:
    """One event for each filter: alone it takes that event, several names of one kind take any of them."""
    events = {
        "a": event_row(actual_output_tokens=900),
        "b": event_row(run_id="r2", timestamp="2026-01-15 00:00:00.000000"),
        "c": event_row(phase_id="p2"),
        "d": event_row(category="tests"),
        "e": event_row(complexity="high"),
        "f": event_row(model="m2"),
        "g": event_row(success=None),
        "h": event_row(actual_is_total=1),
    }
    selection = Selection(**filters)
    by_key = {row["event_key"]: name for name, row in events.items()}
    with holding(empty, events.values()):
        query = f"SELECT event_key FROM token_estimation_v2_events WHERE {selection.where()}"
        found = [by_key[key] for (key,) in empty.conn.execute(query, selection.values())]
    assert "".join(sorted(found)) == kept


EVIL = (
    "'; DROP TABLE token_estimation_v2_events; --",
    "' OR '1'='1",
    '") OR 1=1 --',
    ":min_actual",
    "%",
    "_",
    "*",
    "[",
    "\\",
    '"]',
    "x' UNION SELECT event_key FROM token_estimation_v2_events --",
    "docs\x1b[2J",
    "𝒳\u202e",
)


@pytest.mark.parametrize("field", ["runs", "phases", "categories", "complexities", "models"])
def test_names_are_values_never_sql(empty: Database, field: str) -> None:
    """A name that is SQL, JSON, a pattern or a parameter is just a name: it finds itself and nothing else."""
    column = {"runs": "run_id", "phases": "phase_id", "complexities": "complexity"}.get(field)
    column = column or {"categories": "category", "models": "model"}[field]
    events = [event_row(**{column: name}) for name in EVIL]
    with holding(empty, [*events, event_row()]):
        for name in EVIL:
            selection = Selection(**{field: (name,)})
            query = f"SELECT {column} FROM token_estimation_v2_events WHERE {selection.where()}"
            assert empty.conn.execute(query, selection.values()).fetchall() == [(name,)]
        assert population(empty, Selection(**{field: EVIL})).selected == len(EVIL)
    assert empty.table("token_estimation_v2_events").exists()


# Categories


@settings(max_examples=500)
@given(
    st.one_of(
        st.none(),
        st.text(st.characters(exclude_categories=("Cs",)), max_size=12),
        st.tuples(
            st.sampled_from(("", " ", "  ", "\t", "\xa0", "\0")),
            st.sampled_from((*CATEGORY_NAMES, *CATEGORY_NAMES.values(), "İ", "K", "ẞ", "ÀÉ")),
            st.sampled_from(("", " ", "\n", "\x1f", "s", "\0")),
            st.booleans(),
        ).map(lambda drawn: drawn[0] + (drawn[1].upper() if drawn[3] else drawn[1].title()) + drawn[2]),
    )
)
@example("  DOCUMENTATION ")
@example("Doc_Write")
@example("\u2003docs")
def test_sql_and_python_normalize_any_category_the_same(empty: Database, category: str | None) -> None:
    """What a filter asks for and what a row is taken for agree: spaces, case, scripts, control codes."""
    expression = Selection(normalize_categories=True).category
    ((found,),) = empty.conn.execute(f"SELECT {expression} FROM (SELECT ? AS category)", (category,))
    assert found == normalized_category(category)
    assert normalized_category(found) == found


@pytest.mark.parametrize(
    ("logged", "name"),
    [
        ("documentation", "docs"),
        ("Doc_Write", "docs"),
        (" DOC ", "docs"),
        ("docs", "docs"),
        ("testing", "tests"),
        ("Tests", "tests"),
        ("implement_feature", "implementation"),
        ("Refactoring", "refactoring"),
        ("doc write", "doc write"),
        ("É", "É"),
        (None, None),
    ],
)
def test_categories_that_mean_the_same_have_one_name(logged: str | None, name: str | None) -> None:
    """The names that the executor used for one thing are put together, others only lose their case."""
    assert normalized_category(logged) == name


# Strata


@SEARCH
@given(
    rows(),
    SELECTIONS,
    st.permutations(DIMENSIONS).flatmap(lambda all_of: st.integers(1, 4).map(lambda n: tuple(all_of[:n]))),
    st.sampled_from((DEFAULT_BUCKETS, (Bucket(1, 1), Bucket(2, None)), (Bucket(4, 7),))),
)
def test_strata_hold_what_plain_python_puts_in_them(
    empty: Database,
    events: list[Row],
    selection: Selection,
    dimensions: tuple[str, ...],
    buckets: tuple[Bucket, ...],
) -> None:
    """By any dimensions: each selected event is in its own stratum once, in the report and in the replay."""
    strata = Strata(dimensions, buckets)
    expected = Counter(
        (key_of(row, selection, strata), row["predicted_output_tokens"], row["actual_output_tokens"])
        for row in events
        if is_selected(row, selection)
    )
    with holding(empty, events):
        by_stratum = tokens_by_stratum(empty, selection, strata)
        replayed = list(replay_events(empty, selection, strata))
    assert expected == Counter(
        (key, predicted, actual)
        for key, kinds in by_stratum.items()
        for tokens in kinds.values()
        for predicted, actual in zip(tokens.predicted, tokens.actual, strict=True)
    )
    assert expected == Counter((event.key, event.predicted, event.actual) for event in replayed)
    assert list(by_stratum) == sorted(by_stratum, key=strata.place)


@SEARCH
@given(rows())
def test_tokens_keep_what_the_log_says_of_each_event(empty: Database, events: list[Row]) -> None:
    """Parsed, truncated and real paths stay as logged, NULL as `None`, and the ceiling is the final one."""
    selection = Selection(min_actual=0, with_totals=True)
    with holding(empty, [row | {"selected_budget": 7, "actual_max_tokens": None} for row in events]):
        by_stratum = tokens_by_stratum(empty, selection, Strata(()))
    found = Counter(
        (kind.parsed, kind.truncated, kind.real, kind.clean, actual, ceiling)
        for kinds in by_stratum.values()
        for kind, tokens in kinds.items()
        for actual, ceiling in zip(tokens.actual, tokens.ceiling, strict=True)
    )
    assert found == Counter(
        (
            None if row["success"] is None else row["success"] == 1,
            None if row["truncated"] is None else row["truncated"] == 1,
            row["deliverables_complete"] == 1 and row["deliverables_json"] != "[]",
            row["success"] == 1 and row["truncated"] == 0,
            row["actual_output_tokens"],
            7,
        )
        for row in events
    )


@pytest.mark.parametrize(
    ("final", "selected", "ceiling"), [(8192, 4096, 8192), (None, 4096, 4096), (None, 0, 0), (5, 0, 5)]
)
def test_ceiling_is_the_final_one_or_else_the_selected_budget(
    empty: Database, final: int | None, selected: int, ceiling: int
) -> None:
    """A selected budget of 0 is one that the line doesn't have, not a ceiling of no tokens."""
    with holding(empty, [event_row(actual_max_tokens=final, selected_budget=selected)]):
        ((kinds,),) = (tokens_by_stratum(empty, Selection(), Strata(())).values(),)
    ((tokens,),) = (kinds.values(),)
    assert list(tokens.ceiling) == [ceiling]


@pytest.mark.parametrize(
    ("columns", "bucket"),
    [
        ({"deliverable_count": 3, "estimated_deliverable_count": 9}, "1-3"),
        ({"deliverable_count": 0, "estimated_deliverable_count": 9}, "8-15"),
        (
            {"deliverable_count": 0, "deliverables_json": '["a","b","c","d"]', "deliverables_complete": 1},
            "4-7",
        ),
        ({"deliverable_count": 0, "deliverables_json": '["a"]', "deliverables_complete": 0}, None),
        ({"deliverable_count": 0, "estimated_deliverable_count": 0}, None),
        ({"deliverable_count": 10**18}, "16+"),
        ({"deliverable_count": 2**63 - 1}, "16+"),
        *(
            ({"deliverable_count": 0, "deliverables_json": text, "deliverables_complete": 1}, None)
            for text in ("[", "nonsense", "", "\0", '{"a": [1]}', "null", "[" * 5000, '["a"', "[]")
        ),
    ],
)
def test_number_of_deliverables_is_the_best_that_is_known(
    empty: Database, columns: dict[str, object], bucket: str | None
) -> None:
    """The event line's number, where it is 0 the estimate's, else that of a complete list; never a crash."""
    row = event_row(**columns)
    with holding(empty, [row]):
        assert list(tokens_by_stratum(empty, Selection(), Strata(("bucket",)))) == [(bucket,)]
        (event,) = replay_events(empty, Selection(), Strata(("bucket",)))
    assert event.key == (bucket,) == (bucket_of(row, DEFAULT_BUCKETS),)


# Buckets


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1-3,4-7,8-15,16+", ["1-3", "4-7", "8-15", "16+"]),
        (" 1-3 , 4+ ", ["1-3", "4+"]),
        ("1,2,3+", ["1", "2", "3+"]),
        ("2-2", ["2"]),
        ("5", ["5"]),
        ("0-4,9-99", ["0-4", "9-99"]),
        ("007-009", ["7-9"]),
        ("1-999999999", ["1-999999999"]),
    ],
)
def test_buckets_are_read_as_people_write_them(text: str, names: list[str]) -> None:
    """Ranges, single numbers and an open end, with spaces or not; gaps are allowed."""
    assert [bucket.name for bucket in parse_buckets(text)] == names


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ",", "1-3,", ",1-3", "a", "1-", "-3", "-", "+", "1--3", "1-3-5", "1 - 3", "3+4", "1-3+"),
        *("1.5", "1e3", "1-3;4+", "1-1000000000", "١-٣", "1-3,4-7)", "1' OR '1", "∞"),
    ],
)
def test_what_is_no_bucket_is_named(text: str) -> None:
    """The message quotes the part that is wrong and shows how to write it."""
    with pytest.raises(UsageMistake, match="is no bucket: write for example 1-3,4-7,8-15,16"):
        parse_buckets(text)


@pytest.mark.parametrize("text", ["4-7,1-3", "1-3,3-5", "1-3,2", "16+,17+", "1+,20", "7-4", "5,5"])
def test_buckets_must_rise_and_not_overlap(text: str) -> None:
    """An event can be in one bucket only, and an open one is the last."""
    with pytest.raises(UsageMistake, match="must rise and not overlap"):
        parse_buckets(text)


@given(st.text(st.sampled_from("0123456789-+, "), max_size=14))
def test_buckets_that_are_read_never_overlap(text: str) -> None:
    """Whatever is accepted is in order, each number in one bucket at most, and written out it is the same."""
    buckets = parsed(text)
    for before, after in pairwise(buckets):
        assert before.high is not None
        assert before.low <= before.high < after.low
    if buckets:
        assert parse_buckets(",".join(bucket.name for bucket in buckets)) == buckets


def parsed(text: str) -> tuple[Bucket, ...]:
    """Read buckets; none of what is none."""
    try:
        return parse_buckets(text)
    except UsageMistake:
        return ()


# Order


def test_strata_stand_in_the_order_that_people_expect() -> None:
    """Categories by name, low before high, 4-7 before 16+, others after those, the untold last."""
    strata = Strata(("category", "complexity", "bucket"))
    keys = [
        ("docs", "low", "4-7"),
        ("docs", "low", "8-15"),
        ("docs", "low", "16+"),
        ("docs", "low", None),
        ("docs", "medium", "1-3"),
        ("docs", "high", "1-3"),
        ("docs", "Low", "1-3"),
        ("docs", "epic", "1-3"),
        ("docs", None, "1-3"),
        ("tests", "low", "1-3"),
        (None, "low", "1-3"),
    ]
    shuffled = sorted(keys, key=repr)
    assert shuffled != keys
    assert sorted(shuffled, key=strata.place) == keys


KEYS = st.tuples(
    st.one_of(st.none(), st.text(max_size=3)),
    st.sampled_from((None, "", "low", "medium", "high", "other")),
    st.sampled_from((None, "1-3", "4-7", "16+", "gone")),
    st.one_of(st.none(), st.text(max_size=3)),
)


@given(st.lists(KEYS, unique=True, max_size=8), st.randoms(use_true_random=False))
def test_order_of_strata_is_the_same_from_any_start(keys: list[Any], chance: Any) -> None:
    """The order is total: however rows come from SQLite, the strata stand the same."""
    strata = Strata(DIMENSIONS[:4])
    shuffled = list(keys)
    chance.shuffle(shuffled)
    assert sorted(shuffled, key=strata.place) == sorted(keys, key=strata.place)
    assert len({strata.place(key) for key in keys}) == len(keys)


# The options


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["calibrate", "--by", "category,nonsense"],
            "'nonsense' is none of category, complexity, bucket, model, run, phase, day, week, month",
        ),
        (["replay", "--by", "Category", "--predictions", "x"], "'Category' is none of"),
        (["coverage", "--buckets", "4-7,1-3"], "must rise and not overlap"),
        (["coverage", "--min-actual", "-1"], "--min-actual"),
    ],
)
def test_options_that_mean_nothing_are_wrong_use(arguments: list[str], said: str) -> None:
    """Wrong use exits with 2, prints no result, and says what may be written."""
    done = CliRunner().invoke(cli, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in " ".join(done.stderr.split())


def test_filters_reach_the_numbers_and_are_said(called: Tokentail, tmp_path: Path) -> None:
    """The filters of the command line are those of the selection, and what they left out is a sentence."""
    stored(
        tmp_path / "telemetry.db",
        [
            event_row(category="Documentation", model="m", timestamp="2026-01-14 23:59:59.999999"),
            event_row(category="docs", model="m", run_id="other"),
            event_row(category="docs", model="m", phase_id="other"),
            event_row(category="docs", model="m", complexity="high"),
            event_row(category="docs", model="m", success=0),
            event_row(category="docs", model="m", timestamp="2026-01-15 00:00:00.000000"),
            event_row(category="docs", model="m", timestamp="2026-01-13 23:59:59.999999"),
            event_row(category="docs", model="other"),
            event_row(category="tests", model="m"),
            event_row(category="doc", model="m", actual_is_total=1),
            event_row(category="doc", model="m", actual_output_tokens=79),
        ],
    )
    arguments = ["--run", "run-1", "--phase", "phase-1", "--category", "DOC_WRITE", "--complexity", "low"]
    arguments += ["--model", "m", "--since", "2026-01-14", "--until", "2026-01-14", "--success-only"]
    arguments += ["--min-actual", "80", "--normalize-categories"]
    found = json.loads(called("coverage", "--json", *arguments).stdout)["population"]
    assert found == {
        "events": 11,
        "selected": 1,
        "left_out_filtered": 8,
        "left_out_totals": 1,
        "left_out_short": 1,
        "min_actual": 80,
        **dict.fromkeys(("first", "last"), "2026-01-14 23:59:59.999999"),
        "zone": "UTC",
        "hints": [],
    }
    shown = called("calibrate", *arguments).stdout
    assert shown.startswith(
        "1 event of 11 in telemetry.db; left out: 8 not selected, 1 whose actual is a total of input and "
        "output, 1 with fewer than 80 actual tokens\n"
    )
