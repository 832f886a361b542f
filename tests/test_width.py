"""Tables fit the page: names are cut in the middle, and what matters least is left out and named."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import EXAMPLES, ROOT, Tokentail
from reports.terminal import cut, fit_to, table, wrapped

HEADER = ("name", "n", "mean", "sd", "because", "")
ROWS = [("a-name-that-is-rather-long-as-names-go", "12", "1.5", "0.2", "one of several reasons", "~")]


@pytest.fixture(autouse=True)
def page() -> Iterator[None]:
    """Leave a page of no width behind."""
    yield
    fit_to(None)


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


@pytest.mark.parametrize(
    "words",
    [
        "report",
        "report --by category,complexity,bucket,model",
        "status",
        "sources",
        "events",
        "events --worst",
        "coverage",
        "calibrate --normalize-categories",
        "ingest --dry-run",
        "verify",
        "prune --older-than 2020-01-01 --dry-run",
    ],
)
def test_what_is_shown_fits_80_columns(called: Tokentail, words: str) -> None:
    """With COLUMNS=80 no line of a result is wider."""
    if words.startswith("calibrate"):
        pytest.importorskip("scipy")
    called("ingest", EXAMPLES / "logs", "--tz", "UTC")
    done = called(
        *words.split(),
        *([EXAMPLES / "logs"] if "dry-run" in words and "ingest" in words else []),
        COLUMNS="80",
    )
    assert done.returncode == 0
    assert widest(done.stdout) <= 80


def test_wide_shows_all_columns(called: Tokentail) -> None:
    """--wide is as if there were no limit, and so is a pipe without COLUMNS."""
    called("ingest", EXAMPLES / "logs", "--tz", "UTC")
    narrow = called("report", COLUMNS="80").stdout
    wide = called("report", "--wide", COLUMNS="80").stdout
    assert wide == called("report").stdout
    assert "not shown here: clean, median, sd, waste median, P90, predicted, actual (--wide)" in narrow
    assert "not shown here" not in wide


def test_what_matters_stays(called: Tokentail) -> None:
    """Of strata the count, risk and error stay; of events their id, time and both numbers."""
    called("ingest", EXAMPLES / "logs", "--tz", "UTC")
    strata = "category" + called("report", COLUMNS="80").stdout.partition("\ncategory")[2]
    for kept in ("category", "complexity", "  n  ", "underest.", "trunc.", "SMAPE mean"):
        assert kept in strata.splitlines()[0]
    header = called("events", COLUMNS="80").stdout.splitlines()[0].split()
    assert header == ["event", "time", "(UTC)", "phase", "predicted", "actual", "SMAPE", "%"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals there")
def test_a_terminals_own_width_is_respected(called: Tokentail) -> None:
    """On a terminal of 70 columns no line is wider than that."""
    import fcntl  # noqa: PLC0415 - not on Windows
    import pty  # noqa: PLC0415
    import struct  # noqa: PLC0415
    import subprocess  # noqa: PLC0415
    import termios  # noqa: PLC0415

    called("ingest", EXAMPLES / "logs", "--tz", "UTC")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 70, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    started = subprocess.Popen(
        [sys.executable, "-c", "from ingest.cli import main; main()", "events"],
        env=environment | {"PYTHONPATH": str(ROOT)},
        stdout=theirs,
    )
    os.close(theirs)
    text = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        text += chunk
    assert started.wait() == 0
    os.close(ours)
    assert 40 < widest(text.decode().replace("\r", "")) <= 70


@given(st.integers(20, 200))
def test_a_table_is_never_wider_than_its_page(width: int) -> None:
    """Down to what can't be cut any more, and all that is left out is named."""
    fit_to(width)
    lines = table(HEADER, ROWS, 1, 2)
    assert widest("\n".join(lines)) <= width
    shown = lines[0].split()
    for name in HEADER[:-1]:
        assert name in shown or any(name in line for line in lines[3:] if line) or name == "because"
    assert "name" in shown


def test_a_long_reason_goes_below_its_row() -> None:
    """A last column of sentences is not cut: it stands below where there is no room beside."""
    fit_to(40)
    reason = "it would have lessened the error by 1.1 points"
    lines = table(("stratum", "n", "because"), [("docs", "12", reason)], 1, 1)
    assert lines[:3] == ["stratum   n", "-------  --", "docs     12"]
    assert " ".join(line.strip() for line in lines[3:]) == reason
    fit_to(None)
    assert reason in table(("stratum", "n", "because"), [("docs", "12", reason)], 1, 1)[2]


@given(st.text(min_size=1, max_size=60), st.integers(4, 70))
def test_names_keep_both_ends(name: str, width: int) -> None:
    """A name that is cut begins and ends as the whole one, and is as wide as it may be."""
    short = cut(name, width)
    assert len(short) == min(len(name), width)
    assert (short[0], short[-1]) == (name[0], name[-1])


def test_sentences_are_cut_between_words_and_keep_their_indent() -> None:
    """Nothing is lost when a sentence goes on in the next line."""
    fit_to(30)
    line = "  " + "words of a sentence that goes on and on"
    lines = wrapped(line)
    assert all(part.startswith("  ") and len(part) <= 30 for part in lines)
    assert " ".join(" ".join(lines).split()) == line.strip()
