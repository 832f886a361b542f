"""The database is a public contract: names, forms and meanings, also for the executor's own scripts."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import JSON, Boolean, DateTime, Float, Integer, String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from conftest import ROOT
from event_lines import anchor_message, event_message, fallback_message, logged
from faults.scenarios.versions import make_older
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.storing import migrations
from ingest.storing.database import open_for_writing
from ingest.storing.migrations import KNOWN_MIGRATIONS, MIGRATIONS, applied_migrations
from ingest.summary import IngestOptions

EXECUTOR_COLUMNS = """
event_id run_id phase_id timestamp category complexity deliverable_count deliverables_json
predicted_output_tokens actual_output_tokens selected_budget actual_max_tokens success truncated
stop_reason model smape_percent waste_ratio underestimated is_truncated_output api_reference_required
examples_required research_required usage_guide_required context_quality is_sot_file sot_file_name
sot_entry_count_hint created_at
""".split()
OUR_COLUMNS = """
event_key timestamp_text actual_is_total logged_smape_percent input_tokens total_tokens confidence
attempt_index estimated_deliverable_count phase_outcome deliverables_source deliverables_complete
run_source phase_source
""".split()


class Base(DeclarativeBase):
    """The base of the executor's models."""


class TokenEstimationV2Event(Base):
    """The table as an executor's ORM declares it: every column, with its type."""

    __tablename__ = "token_estimation_v2_events"

    event_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_id: Mapped[str] = mapped_column(String)
    phase_id: Mapped[str] = mapped_column(String)
    timestamp: Mapped[dt.datetime] = mapped_column(DateTime)
    category: Mapped[str] = mapped_column(String)
    complexity: Mapped[str] = mapped_column(String)
    deliverable_count: Mapped[int] = mapped_column(Integer)
    deliverables_json: Mapped[list[str]] = mapped_column(JSON)
    predicted_output_tokens: Mapped[int] = mapped_column(Integer)
    actual_output_tokens: Mapped[int] = mapped_column(Integer)
    selected_budget: Mapped[int] = mapped_column(Integer)
    actual_max_tokens: Mapped[int | None] = mapped_column(Integer)
    success: Mapped[bool | None] = mapped_column(Boolean)
    truncated: Mapped[bool | None] = mapped_column(Boolean)
    stop_reason: Mapped[str | None] = mapped_column(String)
    model: Mapped[str] = mapped_column(String)
    smape_percent: Mapped[float | None] = mapped_column(Float)
    waste_ratio: Mapped[float | None] = mapped_column(Float)
    underestimated: Mapped[bool | None] = mapped_column(Boolean)
    is_truncated_output: Mapped[bool | None] = mapped_column(Boolean)
    api_reference_required: Mapped[bool | None] = mapped_column(Boolean)
    examples_required: Mapped[bool | None] = mapped_column(Boolean)
    research_required: Mapped[bool | None] = mapped_column(Boolean)
    usage_guide_required: Mapped[bool | None] = mapped_column(Boolean)
    context_quality: Mapped[str | None] = mapped_column(String)
    is_sot_file: Mapped[bool | None] = mapped_column(Boolean)
    sot_file_name: Mapped[str | None] = mapped_column(String)
    sot_entry_count_hint: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[dt.datetime] = mapped_column(DateTime)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return a database with an event that has everything, one that has nothing, and a total."""
    lines = [
        logged("Initialized autonomous executor for run: run-1"),
        logged(anchor_message("p1")),
        logged(event_message()),
        logged("[p1] Applied files: ['src/a.py']"),
        logged(
            event_message(
                selected_budget=None, success=None, truncated=None, stop_reason=None, actual_output=0
            )
        ),
        logged(fallback_message()),
    ]
    (tmp_path / "run.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    ingest(
        [str(tmp_path / "run.log")],
        tmp_path / "t.db",
        IngestOptions("ingest", zone_named("Australia/Sydney")),
    )
    return tmp_path / "t.db"


def test_executors_orm_reads_every_column_of_every_row(database: Path) -> None:
    """An ORM that selects all 29 columns gets values of its own types, whatever the log didn't say."""
    engine = create_engine(f"sqlite:///{database}")
    with Session(engine) as session:
        full, bare, total = session.scalars(
            select(TokenEstimationV2Event).order_by(TokenEstimationV2Event.event_id)
        ).all()
    engine.dispose()
    assert full.timestamp == dt.datetime(2025, 12, 29, 8, 40, 2)  # noqa: DTZ001 - naive UTC, as the executor's
    assert (full.run_id, full.phase_id, full.deliverables_json) == ("run-1", "p1", ["src/a.py"])
    assert (full.success, full.truncated, full.underestimated, full.is_truncated_output) == (
        True,
        False,
        False,
        False,
    )
    assert full.smape_percent == pytest.approx(200 * (5200 - 1157) / (5200 + 1157))
    assert full.waste_ratio == pytest.approx(5200 / 1157)
    assert (bare.phase_id, bare.deliverables_json, bare.selected_budget, bare.success) == (
        "unknown",
        [],
        0,
        None,
    )
    assert (bare.smape_percent, bare.waste_ratio, bare.underestimated) == (None, None, None)
    assert (total.actual_output_tokens, total.stop_reason, total.context_quality) == (5200, None, None)


def test_columns_are_the_executors_and_then_ours(database: Path) -> None:
    """The names are public: all of the executor's, in its order, then ours."""
    assert [column.name for column in TokenEstimationV2Event.__table__.columns] == EXECUTOR_COLUMNS
    with sqlite3.connect(database) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(token_estimation_v2_events)")]
    connection.close()
    assert columns == EXECUTOR_COLUMNS + OUR_COLUMNS


def test_times_have_one_form(database: Path) -> None:
    """Every time is UTC in one fixed text form, so that text sorts as time does."""
    form = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")
    with sqlite3.connect(database) as connection:
        times = [
            *connection.execute("SELECT timestamp, created_at FROM token_estimation_v2_events"),
            *connection.execute("SELECT first_seen, last_seen FROM log_sources"),
            *connection.execute("SELECT started_at, finished_at FROM ingest_runs"),
        ]
    connection.close()
    assert all(form.fullmatch(time) for row in times for time in row)


def test_totals_are_left_out_of_the_views(database: Path) -> None:
    """An actual that is input and output together is in no metric; the clean view has whole answers only."""
    with sqlite3.connect(database) as connection:
        clean = connection.execute("SELECT event_id FROM v_token_estimation_clean").fetchall()
        validation = connection.execute(
            "SELECT category, sample_count FROM v_token_estimation_validation"
        ).fetchall()
        recent = connection.execute("SELECT COUNT(*) FROM v_recent_token_estimations").fetchone()
    connection.close()
    assert (clean, validation, recent) == ([(1,)], [("implementation", 1)], (3,))


def test_schema_is_one_file_with_two_names() -> None:
    """The top-level schema.sql is a link to the installed one, or says the same where links aren't kept."""
    link, real = ROOT / "schema.sql", ROOT / "ingest/schema.sql"
    assert not real.is_symlink()
    if link.is_symlink():
        assert link.samefile(real)
    else:  # a checkout on Windows
        assert link.read_text(encoding="utf-8") in ("ingest/schema.sql", real.read_text(encoding="utf-8"))


def test_every_column_is_explained_where_it_is_declared() -> None:
    """schema.sql says of each of our columns what it means or where it comes from."""
    text = (ROOT / "ingest/schema.sql").read_text(encoding="utf-8")
    for name in OUR_COLUMNS:
        assert re.search(rf"^    {name} [A-Z].*-- \S", text, re.MULTILINE), name


def test_known_migrations_are_those_that_exist(tmp_path: Path) -> None:
    """A database is refused as newer exactly if it has a migration that this version lacks."""
    made = [name for name in vars(migrations) if re.fullmatch(r"m\d{3}_\w+", name)]
    assert [migration.__name__ for migration in MIGRATIONS] == sorted(made)
    with open_for_writing(tmp_path / "t.db") as db:
        assert applied_migrations(db.conn) == KNOWN_MIGRATIONS == set(made)


def test_schema_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that fails midway leaves no half of a schema."""

    def half(script: str) -> list[str]:  # noqa: ARG001
        return ["CREATE TABLE token_estimation_v2_events (event_id INTEGER)", "CREATE nonsense"]

    with monkeypatch.context() as patched:
        patched.setattr("ingest.storing.migrations._statements", half)
        with pytest.raises(sqlite3.OperationalError), open_for_writing(tmp_path / "t.db"):
            pass
    with open_for_writing(tmp_path / "t.db") as db:
        assert db.table("token_estimation_v2_events").count == 0


def test_keys_of_an_older_database_can_be_read(tmp_path: Path) -> None:
    """Its events are then the events that they are: reading the logs again adds none."""
    log, database = tmp_path / "run.log", tmp_path / "telemetry.db"
    lines = [f"[2025-12-29 19:40:0{n}] INFO: {event_message(predicted_output=n)}\n" for n in range(1, 5)]
    log.write_text("".join(lines))
    options = IngestOptions("ingest", zone=zone_named("UTC"))
    ingest([str(log)], database, options)
    keys = "SELECT event_key FROM token_estimation_v2_events ORDER BY event_id"
    with closing(sqlite3.connect(database)) as connection:
        new = connection.execute(keys).fetchall()
    make_older(database)
    with closing(sqlite3.connect(database)) as connection:
        assert [len(key.partition(":")[0]) for (key,) in connection.execute(keys)] == [24] * 4
    shutil.copy(log, tmp_path / "copy.log")
    summary = ingest([str(log), str(tmp_path / "copy.log")], database, options)
    assert (summary.events_new, summary.further_sightings) == (0, 4)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute(keys).fetchall() == new
