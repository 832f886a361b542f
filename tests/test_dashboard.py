"""The dashboard: the report's numbers on one page that loads nothing, drawn by a real browser."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, Tokentail
from event_lines import event_message, logged
from event_rows import event_row, stored
from ingest.storing.database import open_for_reading
from reports.dashboard.board import Board, read_board
from reports.dashboard.choices import choices
from reports.dashboard.page import json_text, page
from reports.dashboard.points import packed, points
from reports.selection import Selection
from reports.strata import Strata
from reports.validation import validate
from reports.validation_record import validation_record

EVIL = "<script>alert(1)</script>"
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --enable-logging=stderr --v=0 --virtual-time-budget=20000"
)
SMALL = [
    event_message(category="docs", model="alpha", predicted_output=900, actual_output=1100),
    event_message(category="docs", model="beta 2", predicted_output=900, actual_output=400),
    event_message(category="tests", model="alpha", predicted_output=900, actual_output=950),
    event_message(category="tests", model="None", complexity="None", truncated="True", success="False"),
]


@pytest.fixture
def ingested(called: Tokentail, tmp_path: Path) -> Any:
    """Return a function that makes `telemetry.db` of event messages."""

    def ingest(messages: list[str]) -> Path:
        lines = ["[2026-01-14 08:59:59] INFO: Initialized autonomous executor for run: once-upon-a-run"]
        lines += [
            logged(message, f"2026-01-14 {9 + at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}")
            for at, message in enumerate(messages)
        ]
        (tmp_path / "run.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
        assert called("ingest", "run.log", "--tz", "UTC").returncode == 0
        return tmp_path / "telemetry.db"

    return ingest


@pytest.fixture
def board(ingested: Any) -> Any:
    """Return a function that reads the board of event messages."""

    def read(messages: list[str], selection: Selection | None = None) -> Board:
        with open_for_reading(ingested(messages)) as db:
            return read_board(db, selection or Selection(), Strata())

    return read


@pytest.fixture
def opened(ingested: Any, tmp_path: Path) -> Any:
    """Return a function that draws a page in Chromium: its document, and what the console said."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip("no browser to draw the page: install the package chromium")
    flags = [
        *FLAGS.split(),
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]

    def draw(messages: list[str] | None, fragment: str = "", *more: str) -> tuple[str, list[str]]:
        if messages is not None:
            with open_for_reading(ingested(messages)) as db:
                made = page(read_board(db, Selection(min_actual=0), Strata()), "telemetry.db", "all of it")
            (tmp_path / "page.html").write_text(made, encoding="utf-8")
        address = (tmp_path / "page.html").as_uri() + fragment
        done = subprocess.run(
            [browser, *flags, *more, "--dump-dom", address], capture_output=True, check=True, timeout=120
        )
        console = [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]
        return _without_scripts(done.stdout.decode()), console

    return draw


def _without_scripts(document: str) -> str:
    return re.sub(r"<script[^>]*>.*?</script>", "", document, flags=re.DOTALL)


def _board_in(made: str) -> Any:
    (text,) = re.findall(r'<script type="application/json" id="board">(.*?)</script>', made)
    return json.loads(text)


def _state(document: str) -> dict[str, str]:
    (root,) = re.findall(r"<html[^>]*>", document)
    return dict(re.findall(r'data-(\w+)="([^"]*)"', root))


def test_page_loads_nothing_and_allows_only_its_own_scripts(
    ingested: Any, called: Tokentail, tmp_path: Path
) -> None:
    """No part of ours names a host, and the policy has the hash of every script and style, no more."""
    ingested(SMALL)
    called("dashboard", "--html", "page.html")
    made = (tmp_path / "page.html").read_text(encoding="utf-8")
    for name in ("page.html", "page.css", "page.js"):
        part = files("reports.dashboard").joinpath(name).read_text(encoding="utf-8")
        assert not re.search(r"https?:|@import|import\s*\(|\bsrc\s*=|innerHTML", part), name
        assert re.findall(r'href="([^"]*)"', part) in ([], ["data:,"])
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', made)
    bodies = re.findall(r"<script>(.*?)</script>|<style>(.*?)</style>", made, re.DOTALL)
    hashes = [b64encode(sha256((one or two).encode()).digest()).decode() for one, two in bodies]
    assert sorted(re.findall(r"'sha256-([^']*)'", policy)) == sorted(hashes)
    assert len(hashes) == 3
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert made.count("once-upon-a-run") == 1  # the data stands in the page once


def test_numbers_of_every_choice_are_those_of_the_report(
    ingested: Any, called: Tokentail, tmp_path: Path
) -> None:
    """What the page shows over all, of a category, of a model and of a pair is what `report` says of it."""
    ingested(SMALL)
    called("dashboard", "--html", "page.html", "--success-only")
    found = _board_in((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert (found["categories"], found["models"]) == (["docs", "tests"], ["alpha", "beta 2"])
    assert set(found["reports"]) == {"/", "0/", "1/", "/0", "/1", "0/0", "0/1", "1/0"}
    said = {}
    with open_for_reading(tmp_path / "telemetry.db") as db:
        for key in found["reports"]:
            category, model = ((int(place),) if place else () for place in key.split("/"))
            categories = tuple(found["categories"][place] for place in category)
            models = tuple(found["models"][place] for place in model)
            selection = Selection(categories=categories, models=models, success_only=True)
            said[key] = json.loads(json.dumps(validation_record(validate(db, selection, Strata()))))
            del said[key]["population"]
    for report in found["reports"].values():
        for stratum in report["strata"]:
            del stratum["stratum"], stratum["place"]
    assert found["reports"] == said
    printed = json.loads(called("report", "--json", "--success-only", "--model", "alpha").stdout)
    assert {name: printed[name] for name in said["/0"]} == said["/0"]


def test_normalized_names_are_shown_and_chosen(board: Any) -> None:
    """With normalized categories there is one name for what means the same, in charts and choices."""
    messages = [
        event_message(category=name, actual_output=900 + at) for at, name in enumerate(("Doc", "docs"))
    ]
    found = board(messages, Selection(normalize_categories=True))
    assert found.choices.categories == ["docs"]
    assert {row["stratum"] for row in [*found.points.rows, *found.cells]} == {"docs · low"}
    assert [report["overall"]["n"] for (category, _), report in found.chosen if category == "docs"] == [2, 2]


def test_many_events_are_drawn_as_every_kth(ingested: Any) -> None:
    """A sample is every k-th event by its id, the same every time, and says so with both numbers."""
    messages = [event_message(actual_output=1000 + at) for at in range(25)]
    with open_for_reading(ingested(messages)) as db:
        places = {"implementation · low": 0}
        sample = points(db, Selection(), 25, places, limit=10)
        whole = points(db, Selection(), 25, places, limit=25)
        found = read_board(db, Selection(), Strata())
    assert sample.rows == whole.rows[::3]
    assert (sample.step, whole.step, found.notes()) == (3, 1, [])
    texts = packed(whole.rows)["texts"]
    assert len(texts) == len(set(texts))
    said = Board(found.population, found.report, sample, [], [], found.choices, []).notes()
    assert "9 of 25 events (one in 3)" in said[0]


def test_a_change_of_the_estimates_is_on_the_page(tmp_path: Path) -> None:
    """When, and from what to what, beside what the page leaves out; names in it are no markup."""
    rows = [
        event_row(
            phase_id=f"phase-{number}",
            category=category,
            timestamp=f"2026-01-14 {number // 60:02}:{number % 60:02}:00.000000",
            actual_output_tokens=(5000 if number < 60 and category == EVIL else 800) + 7 * (number * 7 % 11),
        )
        for number in range(90)
        for category in (EVIL, "docs", "tests")
    ]
    with open_for_reading(stored(tmp_path / "telemetry.db", rows)) as db:
        found = read_board(db, Selection(), Strata())
    assert [(change.key, change.at) for change in found.changes] == [((EVIL, "low"), rows[180]["timestamp"])]
    (said,) = found.notes()
    assert said.startswith(f"{EVIL}/low, actual / predicted went from 5.0")
    assert said.endswith("(median of 60 and 30 phases) at 2026-01-14 01:00 UTC.")
    text = page(found, "telemetry.db", "all")
    assert EVIL not in text
    assert "actual / predicted went from 5.0" in text


def test_choices_are_bounded(ingested: Any) -> None:
    """Beyond the limit pairs are left out, then the names with the fewest events."""
    pairs = [(at % 3, at % 4) for at in range(12)] + [(0, 0)]
    messages = [
        event_message(category=f"c{category}", model=f"m{model}", actual_output=900 + at)
        for at, (category, model) in enumerate(pairs)
    ]
    with open_for_reading(ingested(messages)) as db:
        every, bounded = choices(db, Selection(), limit=20), choices(db, Selection(), limit=5)
    assert (len(every.pairs or []), every.left_out) == (12, 0)
    assert (bounded.pairs, bounded.left_out) == (None, 3)
    assert (bounded.categories, bounded.models) == (["c0", "c1"], ["m0", "m1"])


def test_json_in_the_page_cannot_end_its_script() -> None:
    """Whatever a text holds, the JSON has no character that HTML or JavaScript would take for its own."""
    text = json_text(["</script><!--", "\u2028\u2029&", "\ud800"])
    assert text.isascii()
    assert not set("<>&") & set(text)
    assert json.loads(text) == ["</script><!--", "\u2028\u2029&", "\ud800"]


def test_names_from_logs_stay_text(opened: Any) -> None:
    """A category that looks like markup or breaks expressions is shown as it is, and nothing runs."""
    names = [EVIL, "</script>", "a\u2028b ${x} $policy", "__proto__"]
    document, console = opened([event_message(category=name, model=name) for name in names])
    assert _state(document)["state"] == "drawn"
    assert console == []
    for name in names:
        assert f'<option value="{sorted(names).index(name)}">{html.escape(name, quote=False)}<' in document


def test_fragment_chooses_numbers_and_points(opened: Any) -> None:
    """A category and a model in the address choose what is drawn and counted; an unknown one is said."""
    whole, _ = opened(SMALL)
    docs, console = opened(None, "#category=docs&model=beta+2")
    assert (_state(whole)["state"], _state(whole)["charts"]) == ("drawn", "5")
    assert "2 of 4" in whole and "n&nbsp;=&nbsp;4." in whole  # noqa: PT018
    assert (_state(docs)["state"], console) == ("drawn", [])
    assert "0 of 1" in docs and "n&nbsp;=&nbsp;1." in docs and "n&nbsp;=&nbsp;4." not in docs  # noqa: PT018
    none, _ = opened(None, "#category=tests&model=beta+2")
    assert "nothing to report" in none and _state(none)["charts"] == "0"  # noqa: PT018
    unknown, _ = opened(None, "#category=nowhere")
    assert 'This page has no category "nowhere" to choose' in unknown


def test_dark_and_narrow_windows_are_drawn(opened: Any) -> None:
    """The page draws in the reader's colours, and in the width of a phone without spilling over."""
    document, console = opened(SMALL, "", "--blink-settings=preferredColorScheme=0", "--window-size=390,900")
    state = _state(document)
    assert (state["state"], state["charts"], state["look"], console) == ("drawn", "5", "dark", [])
    widths = [int(width) for width in re.findall(r'<canvas width="(\d+)"', document)]
    assert len(widths) == 5
    assert max(widths) < 500  # the least width of a headless window


@pytest.mark.parametrize(
    ("messages", "charts", "sentence"),
    [
        ([], "0", "nothing to report"),
        ([event_message()], "5", "not enough data"),
        ([event_message(truncated="True", success="False")] * 2, "5", "nothing to measure"),
        ([event_message(actual_output=0, selected_budget="None")], "2", "No event to draw that has an error"),
        ([event_message(actual_output=10_000_000)], "5", "10,000,000"),
    ],
    ids=["empty", "one event", "all truncated", "actual 0", "ten million tokens"],
)
def test_little_data_gives_sentences(opened: Any, messages: list[str], charts: str, sentence: str) -> None:
    """Where there is nothing to draw or to measure stands a sentence: no empty chart, no NaN, no error."""
    document, console = opened(messages)
    assert (_state(document)["state"], _state(document)["charts"], console) == ("drawn", charts, [])
    assert sentence in document
    assert not re.search("NaN|Infinity|undefined|null", document)


@pytest.mark.parametrize("chart", ["predicted-actual", "smape", "time", "ceilings", "coverage"])
def test_charts_are_pictures(ingested: Any, called: Tokentail, tmp_path: Path, chart: str) -> None:
    """Every chart is a PNG and an SVG, of names that look like markup too; nothing else is written."""
    ingested([*SMALL, event_message(category=EVIL + "\u2028")])
    made = called("dashboard", "--png", "a.png", "--svg", "a.svg", "--chart", chart, "--json")
    told = json.loads(made.stdout)
    sizes = {one["path"]: one["bytes"] for one in told["files"]}
    assert sizes == {name: (tmp_path / name).stat().st_size for name in ("a.png", "a.svg")}
    assert (told["events"], told["drawn"]) == (5, 5)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg") and "<script" not in svg  # noqa: PT018


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a file with --html, --png or --svg"),
        (["--html", "a", "--chart", "time"], "the page holds every chart"),
        (["--html", "a", "--png", "./a"], "different files"),
        (["--html", "telemetry.db"], "is the database itself"),
        (["--svg", "-", "--json"], "standard output"),
        (["--svg", "nowhere/a.svg"], "nowhere/a.svg"),
    ],
    ids=["nothing", "chart of a page", "one file twice", "the database", "two outputs", "no folder"],
)
def test_what_cannot_be_written_is_refused(
    ingested: Any, called: Tokentail, tmp_path: Path, arguments: list[str], message: str
) -> None:
    """A mistake is named with what to do, and neither the database nor a file is touched."""
    database = ingested(SMALL)
    before = (sorted(os.listdir(tmp_path)), database.read_bytes())
    done = called("dashboard", *arguments)
    assert done.returncode != 0
    assert message in done.stderr
    assert (sorted(os.listdir(tmp_path)), database.read_bytes()) == before


@pytest.mark.parametrize("module", ["altair", "vl_convert"])
def test_missing_extra_is_named(ingested: Any, tokentail: Tokentail, tmp_path: Path, module: str) -> None:
    """Without its libraries the command says which extra to install, and writes nothing."""
    ingested(SMALL)
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub" / f"{module}.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    path = os.pathsep.join((str(tmp_path / "stub"), str(ROOT)))
    done = tokentail("dashboard", "--html", "page.html", PYTHONPATH=path)
    assert (done.returncode, (tmp_path / "page.html").exists()) == (1, False)
    assert 'pip install "tokentail[charts]"' in done.stderr


def test_a_name_that_no_picture_can_hold_is_drawn_as_its_escape(called: Tokentail, tmp_path: Path) -> None:
    """A control character in a category is no character of XML; the picture is drawn all the same."""
    (tmp_path / "run.log").write_text(logged(event_message(category="a\x1b[31mb")) + "\n", encoding="utf-8")
    called("ingest", "run.log")
    done = called("dashboard", "--svg", "smape.svg", "--chart", "smape")
    assert (done.returncode, done.stderr) == (0, "")
    assert "a\\x1b[31mb" in (tmp_path / "smape.svg").read_text(encoding="utf-8")
