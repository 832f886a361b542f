"""The dashboard: the report's numbers on one page that loads nothing, drawn by a real browser."""

from __future__ import annotations

import html
import json
import os
import re
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from browser import Browser, browser_path
from conftest import ROOT, Tokentail
from event_lines import event_message, logged
from event_rows import event_row, stored
from ingest.storing.database import open_for_reading
from reports.changes import ESTIMATES, Change
from reports.dashboard.board import Board, read_board
from reports.dashboard.choices import FILTERS, MAX_NAMES, MAX_PERIODS, choices, date_ranges, report_record
from reports.dashboard.figures import figures, packed_figures
from reports.dashboard.look import LIGHT
from reports.dashboard.page import json_text, page
from reports.dashboard.pictures import svg
from reports.dashboard.points import TRUNCATED, EventReader, packed, points
from reports.dashboard.verdict import verdict
from reports.selection import Selection
from reports.strata import Strata
from reports.validation import validate
from reports.wording import off_text, tail_text

EVIL = "<script>alert(1)</script>"
SMALL = [
    event_message(category="docs", model="alpha", predicted_output=900, actual_output=1100),
    event_message(category="docs", model="beta 2", predicted_output=900, actual_output=400),
    event_message(category="tests", model="alpha", predicted_output=900, actual_output=950),
    event_message(category="tests", model="None", complexity="None", truncated="True", success="False"),
]
DAYS = [
    (event_message(category="docs", complexity="low", model="beta 2", actual_output=700), 0),
    (event_message(category="tests", complexity="low", model="alpha", actual_output=1700), 0),
    (event_message(category="docs", complexity="high", model="alpha", actual_output=2700), 24),
    (event_message(category="tests", complexity="low", model="alpha", actual_output=3700), 24),
    (event_message(category="docs", complexity="high", model="beta 2", actual_output=4700), 72),
    (event_message(category="tests", complexity="low", model="beta 2", actual_output=5700), 72),
]
LONG = [
    event_message(
        category=f"a_category_with_{at % 4}_words_in_its_name",
        complexity=("low", "medium", "high")[at % 3],
        model=f"some-rather-long-model-name-{at % 2}-20260101",
        predicted_output=500,
        actual_output=4000 - 90 * at,
    )
    for at in range(24)
]
LONG.append(event_message(predicted_output=900, actual_output=1800, truncated="True", success="False"))

Message = str | tuple[str, int]
"""An event message, and hours after the first."""


@pytest.fixture
def ingested(called: Tokentail, tmp_path: Path) -> Any:
    """Return a function that makes `telemetry.db` of event messages."""

    def ingest(messages: list[Message]) -> Path:
        begin = datetime(2026, 1, 14, 9, tzinfo=UTC)
        lines = ["[2026-01-14 08:59:59] INFO: Initialized autonomous executor for run: once-upon-a-run"]
        for at, given in enumerate(messages):
            message, hours = given if isinstance(given, tuple) else (given, 0)
            time = begin + timedelta(hours=hours, seconds=at)
            lines.append(logged(message, f"{time:%Y-%m-%d %H:%M:%S}"))
        (tmp_path / "run.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
        assert called("ingest", "run.log", "--tz", "UTC").returncode == 0
        return tmp_path / "telemetry.db"

    return ingest


@pytest.fixture
def board(ingested: Any) -> Any:
    """Return a function that reads the board of event messages."""

    def read(messages: list[Message], selection: Selection | None = None) -> Board:
        with open_for_reading(ingested(messages)) as db:
            return read_board(db, selection or Selection(), Strata())

    return read


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a browser, one for all tests."""
    path = browser_path()
    if path is None:
        pytest.skip("no browser to draw the page: install the package chromium")
    started = Browser(path, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture
def opened(browser: Browser, ingested: Any, tmp_path: Path) -> Any:
    """Return a function that draws a page of event messages: its document, and what the console said."""

    def draw(messages: list[Message] | None, fragment: str = "", **window: Any) -> tuple[str, list[Any]]:
        if messages is not None:
            with open_for_reading(ingested(messages)) as db:
                made = page(read_board(db, Selection(min_actual=0), Strata()), "telemetry.db", "all of it")
            (tmp_path / "page.html").write_text(made, encoding="utf-8")
        browser.open((tmp_path / "page.html").as_uri() + fragment, **window)
        if window.get("script", True):
            browser.drawn()
        return _without_scripts(browser.value("document.documentElement.outerHTML")), browser.console

    return draw


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """Return the address of a server whose policy allows nothing but its own files."""

    class Guarded(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", "default-src 'self'")
            super().end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Guarded, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


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
    hashes = [
        b64encode(sha256((body or other_body).encode()).digest()).decode() for body, other_body in bodies
    ]
    assert sorted(re.findall(r"'sha256-([^']*)'", policy)) == sorted(hashes)
    assert len(hashes) == 4
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_numbers_of_every_choice_are_those_of_the_report(ingested: Any, called: Tokentail) -> None:
    """What the page shows over all, by any filter and by several, is what `report` says of it."""
    with open_for_reading(ingested(DAYS)) as db:
        found = json.loads(json_text(read_board(db, Selection(success_only=True), Strata()).record()))
        offered = {chooser["name"]: chooser["offered"] for chooser in found["filters"]}
        assert offered == {
            "category": ["docs", "tests"],
            "complexity": ["low", "high"],
            "model": ["alpha", "beta 2"],
            "run": ["once-upon-a-run"],
            "since": ["2026-01-15", "2026-01-17"],
            "until": ["2026-01-14", "2026-01-15"],
        }
        assert {"/////", "0/////", "/1////", "//1///", "///0//", "////1/", "/////0", "0/0/1/0//1"} <= set(
            found["figures"]
        )
        places = {row["stratum"]: row["place"] for row in found["cells"]}
        for key, shown in found["figures"].items():
            parts = [
                [offered[name][int(at)]] if at else []
                for name, at in zip(FILTERS, key.split("/"), strict=True)
            ]
            selection = _selection(*parts)
            record = report_record(validate(db, selection, Strata()))
            for stratum in record["strata"]:
                stratum["place"] = places[stratum["stratum"]]
            assert shown == json.loads(json_text(packed_figures(figures(record)))), key
    printed = json.loads(called("report", "--json", "--success-only", "--model", "alpha").stdout)
    assert found["figures"]["//0///"]["slots"][4] == (
        f"{printed['overall']['underestimated']} of {printed['overall']['n']}"
    )


def _selection(*parts: list[str]) -> Selection:
    categories, complexities, models, runs, since, until = parts
    days = [datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (*since, *until)]
    return Selection(
        categories=tuple(categories),
        complexities=tuple(complexities),
        models=tuple(models),
        runs=tuple(runs),
        since=days[0] if since else None,
        until=days[-1] + timedelta(1) if until else None,
        success_only=True,
    )


def test_normalized_names_are_shown_and_chosen(board: Any) -> None:
    """With normalized categories there is one name for what means the same, in charts and choices."""
    messages = [
        event_message(category=name, actual_output=900 + at) for at, name in enumerate(("Doc", "docs"))
    ]
    found = board(messages, Selection(normalize_categories=True))
    assert found.choices.offered["category"] == ["docs"]
    assert {row["stratum"] for row in [*found.points.rows, *found.cells]} == {"docs · low"}
    chosen = dict(found.chosen)["docs", None, None, None, None, None]
    assert [cell.text for cell in chosen.rows[0]][:2] == ["docs · low", "2"]


def test_many_events_are_drawn_as_every_kth(ingested: Any) -> None:
    """A sample is every k-th event by its id, the same every time, and says so with both numbers."""
    messages = [event_message(actual_output=1000 + at) for at in range(25)]
    with open_for_reading(ingested(messages)) as db:
        reader = EventReader(db, Selection(), Strata(), {"implementation · low": 0})
        sample, whole = points(reader, 25, limit=10), points(reader, 25, limit=25)
        found = read_board(db, Selection(), Strata())
    assert sample.rows == whole.rows[::3]
    assert (sample.worst, sample.newest) == (whole.worst, whole.newest)  # of all of them
    assert (sample.step, whole.step, found.notes()) == (3, 1, [])
    texts = packed(whole.rows)["texts"]
    assert len(texts) == len(set(texts))
    said = Board(found.population, found.report, sample, [], [], found.choices, [], []).notes()
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
    """Beyond the limit combinations are left out, then the names with the fewest events."""
    pairs = [(at % 3, at % 4) for at in range(12)] + [(0, 0)]
    messages = [
        event_message(category=f"c{category}", model=f"m{model}", actual_output=900 + at)
        for at, (category, model) in enumerate(pairs)
    ]
    with open_for_reading(ingested(messages)) as db:
        every, bounded = choices(db, Selection()), choices(db, Selection(), limit=20, names=2)
    kinds = [tuple(part is not None for part in choice) for choice in every.choices]
    assert kinds.count((True, False, True, False, False, False)) == 12
    assert (every.left_out, bounded.left_out) == (0, 3)
    assert (bounded.offered["category"], bounded.offered["model"]) == (["c0", "c1"], ["m0", "m1"])
    assert len(bounded.choices) <= 20
    singles = [choice for choice in bounded.choices if sum(part is not None for part in choice) == 1]
    assert len(singles) == 2 + 1 + 2 + 1


@pytest.mark.parametrize(
    ("days", "first", "count"),
    [
        ([], None, 0),
        (["2026-01-14"], None, 0),
        (["2026-01-14", "2026-01-20"], (None, "2026-01-14"), 2),
        ([f"2026-01-{day:02}" for day in range(1, 32)], (None, "2026-01-04"), 21),
        ([f"{year}-06-30" for year in range(2010, 2026)], None, 0),
    ],
    ids=["none", "one day", "two days", "a month by weeks", "too many years"],
)
def test_ranges_of_dates_follow_the_data(days: list[str], first: Any, count: int) -> None:
    """Ranges begin and end with the smallest periods of which there are few; none is open on both sides."""
    ranges = date_ranges(days)
    assert (ranges[0] if ranges else None, len(ranges)) == (first, count)
    assert len(ranges) == len(set(ranges))
    assert (None, None) not in ranges
    assert all(since is None or until is None or since <= until for since, until in ranges)
    assert len({until for _, until in ranges}) <= MAX_PERIODS


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
    """Names in the address choose what is drawn and counted; an unknown one is said."""
    whole, _ = opened(SMALL)
    docs, console = opened(None, "#category=docs&model=beta+2")
    assert (_state(whole)["state"], _state(whole)["charts"]) == ("drawn", "5")
    assert "2 of 4" in whole and "n&nbsp;=&nbsp;4." in whole  # noqa: PT018
    assert (_state(docs)["state"], console) == ("drawn", [])
    assert "0 of 1" in docs and "n&nbsp;=&nbsp;1." in docs and "n&nbsp;=&nbsp;4." not in docs  # noqa: PT018
    none, _ = opened(None, "#category=tests&model=beta+2")
    assert "Nothing to report" in none and _state(none)["charts"] == "0"  # noqa: PT018
    unknown, _ = opened(None, "#category=nowhere")
    assert 'This page has no category "nowhere" to choose' in unknown


CHOSEN = [
    ("#complexity=high", 2, "Too few phases to judge"),
    ("#run=once-upon-a-run", 6, "Too few phases to judge"),
    ("#since=2026-01-15", 4, "Too few phases to judge"),
    ("#until=2026-01-14", 2, "Too few phases to judge"),
    ("#since=2026-01-15&until=2026-01-15", 2, "Too few phases to judge"),
    ("#complexity=low&since=2026-01-15", 2, "Too few phases to judge"),
    ("#since=2026-01-16", 2, "No numbers for this combination"),
    ("#since=2026-02-30", 6, "Too few phases to judge"),
    ("#since=2027-01-01", 0, "Nothing to report"),
    ("#complexity=high&since=2026-01-17", 1, "Too few phases to judge"),
]
"""Fragments, the events that they choose, and how the heading begins."""


def test_filters_by_run_complexity_and_dates(browser: Browser, opened: Any) -> None:
    """Charts, lists and numbers are of what the address chooses; a range without numbers says so."""
    _, console = opened(DAYS)
    for fragment, events, heading in CHOSEN:
        assert browser.choose(fragment)["state"] == "drawn"
        assert browser.value("document.getElementById('heading').textContent").startswith(heading), fragment
        captions = browser.value("[...document.querySelectorAll('figcaption')].map((one) => one.textContent)")
        counts = [re.findall(r"n\u00a0=\u00a0(\d+)\.", caption) for caption in captions]
        assert counts == [[str(events)]] * 5, fragment
        assert browser.value("document.getElementById('newest').tBodies[0].rows.length") == events, fragment
        lacking = events == 0 or heading.startswith("No numbers")
        assert browser.value("document.getElementById('numbers').hidden") == lacking, fragment
    assert console == []


def test_a_chosen_filter_is_kept_in_the_address(browser: Browser, opened: Any) -> None:
    """What is chosen becomes the address, and the address, opened again, is chosen and said."""
    opened(DAYS)
    for name, place in (("complexity", "1"), ("run", "0"), ("since", "0"), ("until", "1")):
        browser.value(
            f"{{const one = document.getElementById('{name}'); one.value = '{place}';"
            "one.dispatchEvent(new Event('change')); }"
        )
    browser.wait("location.hash.includes('until')")
    fragment = browser.value("location.hash")
    assert fragment == "#complexity=high&run=once-upon-a-run&since=2026-01-15&until=2026-01-15"
    document, _ = opened(None, fragment)
    assert "Chosen: complexity high, run once-upon-a-run, since 2026-01-15, until 2026-01-15." in document
    assert browser.value("document.getElementById('complexity').value") == "1"
    browser.value("document.getElementById('reset').click()")
    browser.wait("location.hash === ''")
    assert browser.drawn()["state"] == "drawn"
    assert "Chosen" not in browser.value("document.body.innerText")


def test_a_name_that_is_not_offered_is_chosen_by_the_address(browser: Browser, opened: Any) -> None:
    """Of many names the filters offer some; a link to another one shows its events, and no wrong numbers."""
    named = str(MAX_NAMES + 1)
    opened([event_message(model=f"{at:02}") for at in range(MAX_NAMES + 5)], f"#model={named}")
    assert browser.value("document.getElementById('heading').textContent").startswith("No numbers")
    assert browser.value("document.getElementById('newest').tBodies[0].rows.length") == 1
    text = browser.value("document.body.innerText")
    assert f"Chosen: model {named}." in text
    assert "The filters leave out 5 names" in text
    browser.value("document.getElementById('model').dispatchEvent(new Event('change'))")
    assert browser.value("location.hash") == f"#model={named}"


WIDE = """[...document.querySelectorAll('body *')].filter((one) => !one.closest('table, #tip') &&
    one.getBoundingClientRect().right > innerWidth + 0.5).map((one) => one.outerHTML.slice(0, 80))"""
SCROLLED = "[...document.querySelectorAll('.scroll')].map((one) => one.scrollWidth - one.clientWidth)"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1100, 1400])
def test_nothing_overflows(browser: Browser, opened: Any, width: int, dark: bool) -> None:
    """On a phone and on screens, light and dark: all fits, legends whole; a phone's tables scroll alone."""
    document, console = opened(LONG, width=width, dark=dark)
    state = _state(document)
    assert (state["state"], state["charts"], state["look"]) == ("drawn", "5", "dark" if dark else "light")
    assert console == []
    assert browser.value(WIDE) == []
    assert browser.value("document.documentElement.scrollWidth") <= width
    legends = browser.value("[...document.querySelectorAll('.key')].map((one) => one.innerText)")
    assert [legend.split("\n") for legend in legends[:4]] == [["● whole", "▲ truncated (a lower bound)"]] * 4
    if width > 1000:
        assert browser.value(SCROLLED) == [0, 0, 0]
        return
    browser.value("document.querySelectorAll('.scroll').forEach((one) => { one.scrollLeft = 300; })")
    firsts = (
        "[...document.querySelectorAll('tr > :first-child')].map((one) => one.getBoundingClientRect().left)"
    )
    assert set(browser.value(firsts)) == {15}


def test_strata_are_sorted_by_any_column(browser: Browser, opened: Any) -> None:
    """A click on a title sorts by its numbers, another one turns it; a filter leaves the order."""
    opened(DAYS)
    names = "[...document.getElementById('strata').tBodies[0].rows].map((row) => row.cells[0].textContent)"
    order = "[...document.querySelectorAll('#strata thead th')].map((one) => one.ariaSort).indexOf('%s')"
    click = "document.querySelectorAll('#strata thead button')[%d].click()"
    assert browser.value(names) == ["docs · low", "docs · high", "tests · low"]
    browser.value(click % 1)
    assert browser.value(names) == ["tests · low", "docs · high", "docs · low"]
    assert browser.value(order % "descending") == 1
    browser.value(click % 1)
    assert browser.value(names) == ["docs · low", "docs · high", "tests · low"]
    assert browser.value(order % "ascending") == 1
    browser.choose("#category=docs")
    assert browser.value(names) == ["docs · low", "docs · high"]
    assert browser.value(order % "ascending") == 1


def test_the_worst_and_the_newest_have_their_line_in_the_log(browser: Browser, opened: Any) -> None:
    """Each list has at most ten events, in its order, with the log, the line, and what said the phase."""
    opened(LONG)
    listed = """['worst', 'newest'].map((name) => [...document.getElementById(name).tBodies[0].rows]
        .map((row) => [...row.cells].map((cell) => cell.innerText)))"""
    worst, newest = browser.value(listed)
    assert (len(worst), len(newest)) == (10, 10)
    errors = [float(re.findall(r"SMAPE ([\d.]+)%", row[1])[0]) for row in worst]
    assert errors == sorted(errors, reverse=True)
    assert worst[0][1] == "8.0 × underestimated\nSMAPE 155.6%"
    times = [row[5] for row in newest]
    assert times == sorted(times, reverse=True)
    assert newest[0][4] == f"run.log:{len(LONG) + 1}\nphase not told, run from the initialized line"
    assert newest[0][3] == "1,800\nat least: truncated"
    opened(None, "#run=once-upon-a-run")  # all of them, but written by the script
    assert browser.value(listed) == [worst, newest]


@pytest.mark.parametrize("served", [False, True], ids=["script off", "policy of a server"])
def test_numbers_stand_in_the_html(browser: Browser, opened: Any, guarded: str, served: bool) -> None:
    """Where the script can't run, because of a switch or a policy, all numbers are read, and it is said."""
    opened(SMALL)
    if served:
        browser.open(f"{guarded}/page.html")
    else:
        opened(None, script=False)
    text = browser.value("document.body.innerText")
    for sentence in (
        "Too few phases to judge; so far the estimates miss their limits: 50.0% underestimated (limit 5%)",
        "done by the script in this page, which has not run",
        "2 of 4",
        "run.log:5",
        "FAIL",
    ):
        assert sentence in text
    assert browser.value("document.querySelectorAll('#strata tbody tr').length") == 3
    assert browser.value(
        "document.querySelector('nav').hidden && document.getElementById('charts-section').hidden"
    )
    assert not re.search("NaN|undefined|null", text)


def test_the_script_says_nothing_of_itself_where_it_runs(browser: Browser, opened: Any) -> None:
    """The sentence for those without a script is for them alone."""
    opened(SMALL)
    assert "has not run" not in browser.value("document.body.innerText")


def test_all_fits_on_paper(browser: Browser, opened: Any) -> None:
    """Printed from a wide, dark window: charts are drawn anew, light and for the paper; nothing is cut."""
    opened(LONG, width=1400, dark=True)
    widths = "[...document.querySelectorAll('canvas')].map((one) => one.getBoundingClientRect().width)"
    before = browser.value(widths)
    assert max(before) > 1000
    with browser.paper():
        assert browser.drawn()["look"] == "light"
        assert browser.value(WIDE) == []
        assert min(browser.value(widths)) > 600  # drawn for it, not shrunk to half
        cells = "[...document.querySelectorAll('td')].map((one) => one.getBoundingClientRect().right)"
        assert max(browser.value(cells)) <= 718
    browser.open(browser.value("location.href"), width=1400, dark=True)
    browser.drawn()
    raster = [int(width) for width in re.findall(rb"/Width (\d+)", browser.pdf())]
    assert max(raster, default=0) <= 640  # what is printed was drawn in time
    assert browser.drawn()["look"] == "dark"
    assert browser.value(widths) == before


def test_the_line_over_time_is_open_where_nothing_happened(board: Any) -> None:
    """Two stretches of events with a gap between them are two lines, each of its own events."""
    levels = [800] * 12 + [4000] * 12
    hours = [*range(12), *range(100, 112)]
    messages = [event_message(actual_output=actual) for actual in levels]
    found = board(list(zip(messages, hours, strict=True)))
    drawn = svg(found, "time").decode()
    lines = re.findall(rf'<path[^>]*d="(M[^"]*)" stroke="{LIGHT.ink}" stroke-width="2"', drawn)
    assert len(lines) == 2
    heights = [{round(float(y)) for _, y in re.findall(r"([\d.]+),([\d.]+)", line)} for line in lines]
    assert [len(points) for points in heights] == [1, 1]
    assert heights[0] != heights[1]
    assert "is open where 3 hours went by" in drawn


def test_changes_are_marked_over_time(board: Any) -> None:
    """A change is a line at its moment with both numbers; without one nothing is said of it."""
    found = board(SMALL)
    assert "where the estimates changed" not in svg(found, "time").decode()
    changed = replace(
        found, changes=[Change(None, ESTIMATES, "2026-01-14 09:00:01.000000", 0.5, 2.25, 9, 9, 0.001)]
    )
    drawn = svg(changed, "time").decode()
    assert "0.50 → 2.25" in drawn
    assert "where the estimates changed" in drawn


def test_truncated_marks_lie_above_the_others(board: Any) -> None:
    """The truncated are drawn last and never faint, whichever was logged last."""
    messages = [
        event_message(
            actual_output=900 + at, **({"truncated": "True", "success": "False"} if at == 1 else {})
        )
        for at in range(400)
    ]
    found = board(messages)
    assert [row["answer"] for row in found.points.rows].index(TRUNCATED) == 399
    marks = re.findall(
        r'<path aria-label[^>]*fill="([^"]*)"[^>]*opacity="([^"]*)"', svg(found, "predicted-actual").decode()
    )
    assert marks[-1] == (LIGHT.truncated, "0.8")
    assert set(marks[:-1]) == {(LIGHT.whole, "0.5")}


@pytest.mark.parametrize(
    ("waste", "words"),
    [
        (0.12, "8.3 × underestimated"),
        (0.125, "8.0 × underestimated"),
        (1.02, "about right"),
        (0.96, "about right"),
        (2.5, "2.5 × overestimated"),
        (1500.0, "1,500 × overestimated"),
        (None, "–"),
    ],
)
def test_waste_is_said_in_words(waste: float | None, words: str) -> None:
    """Nobody has to turn 0.12 round to see what it means."""
    assert off_text(waste) == words


@pytest.mark.parametrize(
    ("p90", "words"),
    [
        (3.2, "one in ten at least 3.2 × overestimated"),
        (0.5, "nine in ten at least 2.0 × underestimated"),
        (1.0, "nine in ten at most about right"),
    ],
)
def test_the_90th_percentile_is_said_from_its_side(p90: float, words: str) -> None:
    """Above 1 a tenth is further off; below 1 nine tenths are."""
    assert tail_text(p90) == words


@pytest.mark.parametrize(
    ("messages", "begin"),
    [
        ([], "Nothing to report"),
        (
            [event_message()],
            "Too few phases to judge; so far the estimates miss their limits: 0.0% underestimated",
        ),
        (
            [event_message(actual_output=8000 + at) for at in range(40)],
            "The estimates miss their limits: 100.0% underestimated (limit 5%), 0.0% truncated (limit 2%), "
            "nine in ten at least 1.5 × underestimated",
        ),
        (
            [event_message(actual_output=910 + at, predicted_output=2000) for at in range(200)],
            "The estimates keep their limits: 0.0% underestimated (limit 5%), 0.0% truncated (limit 2%), "
            "one in ten at least 2.2 × overestimated (limit 3 ×)",
        ),
        (
            [event_message(actual_output=910 + at, predicted_output=2000) for at in range(40)],
            "The estimates may keep their limits",
        ),
        (
            [
                event_message(actual_output=910 + at, predicted_output=2000 if at > 2 else 500)
                for at in range(40)
            ],
            "The estimates may miss their limits",
        ),
        (
            [
                event_message(actual_output=910 + at, predicted_output=2000, success="False")
                for at in range(200)
            ],
            "The estimates can't be judged in full",
        ),
    ],
    ids=["empty", "one", "missed", "kept", "perhaps kept", "perhaps missed", "nothing clean"],
)
def test_the_heading_is_the_verdict(board: Any, messages: list[str], begin: str) -> None:
    """What is wrong, and how sure that is, in a sentence; no gate over nothing is passed."""
    report = board(messages, Selection(min_actual=0)).report
    heading, reason = verdict(report)
    assert heading.startswith(begin)
    assert ("(limit 3 ×)" in heading) == ("overestimated" in heading)
    assert ("tokentail calibrate" in reason) == any(gate["passed"] is False for gate in report["gates"])


@pytest.mark.parametrize(
    ("messages", "charts", "sentence"),
    [
        ([], "0", "Nothing to report"),
        ([event_message()], "5", "Too few phases to judge"),
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
    output = json.loads(made.stdout)
    sizes = {file["path"]: file["bytes"] for file in output["files"]}
    assert sizes == {name: (tmp_path / name).stat().st_size for name in ("a.png", "a.svg")}
    assert (output["events"], output["drawn"]) == (5, 5)
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
        (["--html", "a", "--png", "b", "--category", "dosc"], "b: not written. There is nothing to draw"),
        (["--svg", "a.svg", "--since", "7d"], "no event passes the filters. All events were logged from"),
    ],
    ids=[
        *("nothing", "chart of a page", "one file twice", "the database", "two outputs", "no folder"),
        *("no such events", "none of late"),
    ],
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
    assert "install 'altair>=5.5' 'vl-convert-python>=1.7'" in done.stderr


def test_a_name_that_no_picture_can_hold_is_drawn_as_its_escape(called: Tokentail, tmp_path: Path) -> None:
    """A control character in a category is no character of XML; the picture is drawn all the same."""
    (tmp_path / "run.log").write_text(logged(event_message(category="a\x07b")) + "\n", encoding="utf-8")
    called("ingest", "run.log")
    done = called("dashboard", "--svg", "smape.svg", "--chart", "smape")
    assert (done.returncode, done.stderr) == (0, "")
    assert "a\\x07b" in (tmp_path / "smape.svg").read_text(encoding="utf-8")
