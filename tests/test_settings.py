"""`tokentail.toml`: an option beats the environment, which beats the file, which beats what holds anyway."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

import commandline
from commandline.options import data_database, data_folder
from commandline.settings import read_settings
from conftest import ROOT, Tokentail
from event_lines import event_message, logged
from ingest.cli import cli
from ingest.files.folders import Folder, nearest_first, zone_for
from ingest.files.paths import stored_path


@pytest.fixture
def tokentail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Tokentail:
    """Return a function that runs the program in an empty folder, within this process: it is quicker."""

    def run(
        *arguments: object, folder: Path = tmp_path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            for name in ("DATABASE_URL", "TOKENTAIL_LOGS", "TOKENTAIL_CONFIG"):
                patch.delenv(name, raising=False)
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["tokentail", *map(str, arguments)])
            code = commandline.run(cli)
        said = capsys.readouterr()
        return subprocess.CompletedProcess([], code, said.out, said.err)

    return run


def write_log(path: Path, predicted: int = 5200) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(logged(event_message(predicted_output=predicted)) + "\n", encoding="utf-8")
    return path


def sources(database: Path) -> dict[str, tuple[str, str | None]]:
    """Return zone and label of each source by the name of its file."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT path, timezone, label FROM log_sources").fetchall()
    return {Path(path).name: (zone, label) for path, zone, label in rows}


# Where each value comes from


@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [
        (["--db", "option.db"], {"DATABASE_URL": "sqlite:///environment.db"}, "option.db"),
        ([], {"DATABASE_URL": "sqlite:///environment.db"}, "environment.db"),
        ([], {}, "file.db"),
    ],
    ids=["option", "environment", "file"],
)
def test_database_is_that_of_the_nearest_voice(
    tokentail: Tokentail, tmp_path: Path, option: list[str], environment: dict[str, str], expected: str
) -> None:
    """The option comes first, then `DATABASE_URL`, then the file."""
    write_log(tmp_path / "run.log")
    (tmp_path / "tokentail.toml").write_text('database = "file.db"\n', "utf-8")
    done = tokentail("ingest", "run.log", *option, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"; new database {expected}; settings tokentail.toml\n")
    assert (tmp_path / expected).exists()


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["a.log"], {"TOKENTAIL_LOGS": "b.log"}, "a.log"),
        ([], {"TOKENTAIL_LOGS": "b.log"}, "b.log"),
        ([], {}, "c.log"),
    ],
    ids=["argument", "environment", "file"],
)
def test_logs_are_those_of_the_nearest_voice(
    tokentail: Tokentail, tmp_path: Path, arguments: list[str], environment: dict[str, str], expected: str
) -> None:
    """Paths that are typed come first, then `TOKENTAIL_LOGS`, then the file."""
    for number, name in enumerate(("a.log", "b.log", "c.log"), 1):
        write_log(tmp_path / name, number)
    (tmp_path / "tokentail.toml").write_text('logs = ["c.log"]\n', "utf-8")
    assert tokentail("ingest", *arguments, **environment).returncode == 0
    assert set(sources(tmp_path / "telemetry.db")) == {expected}


def test_zone_and_globs_of_the_file_hold_unless_options_say_otherwise(
    tokentail: Tokentail, tmp_path: Path
) -> None:
    """Both are defaults of the options that they stand for."""
    for number, name in enumerate(("one.trace", "two.log"), 1):
        write_log(tmp_path / "logs" / name, number)
    (tmp_path / "tokentail.toml").write_text(
        'logs = ["logs"]\nzone = "Australia/Sydney"\nglobs = ["*.trace"]\njobs = 1\nwait = 1\n', "utf-8"
    )
    tokentail("ingest")
    assert sources(tmp_path / "telemetry.db") == {"one.trace": ("Australia/Sydney", None)}
    tokentail("ingest", "--glob", "*.log", "--tz", "UTC")
    assert sources(tmp_path / "telemetry.db")["two.log"] == ("UTC", None)


@pytest.mark.parametrize("way", ["option", "environment"])
def test_paths_in_a_file_are_as_from_its_folder(tokentail: Tokentail, tmp_path: Path, way: str) -> None:
    """A file elsewhere means its own neighbours, from wherever the command is called."""
    write_log(tmp_path / "place" / "logs" / "run.log")
    (tmp_path / "place" / "my.toml").write_text('database = "x.db"\nlogs = ["logs"]\n', "utf-8")
    if way == "option":
        done = tokentail("ingest", "--config", "place/my.toml")
    else:
        done = tokentail("ingest", TOKENTAIL_CONFIG="place/my.toml")
    assert done.returncode == 0, done.stderr
    assert set(sources(tmp_path / "place" / "x.db")) == {"run.log"}


def test_urls_in_a_file_are_no_paths(tmp_path: Path) -> None:
    """A file elsewhere may name logs by URLs, which have no neighbours."""
    (tmp_path / "my.toml").write_text('logs = ["s3://bucket/logs/", "here"]\n', "utf-8")
    found = read_settings(str(tmp_path / "my.toml")).defaults
    assert found == {"paths": ["s3://bucket/logs/", str(tmp_path / "here")]}


def test_database_of_a_group_may_stand_before_its_command(tokentail: Tokentail, tmp_path: Path) -> None:
    """`sources --db X forget` is about X, whatever the settings say."""
    (tmp_path / "tokentail.toml").write_text('database = "y.db"\n', "utf-8")
    tokentail("ingest", write_log(tmp_path / "run.log"), "--db", "x.db")
    for words in (["sources", "--db", "x.db", "forget", "1"], ["sources", "forget", "1", "--db", "x.db"]):
        assert "database x.db" in tokentail(*words, "--dry-run").stdout
    assert "y.db" in tokentail("sources", "forget", "1").stderr


def test_settings_of_a_parent_folder_are_not_used(tokentail: Tokentail, tmp_path: Path) -> None:
    """Only the current folder is looked into, so that no file far away surprises anybody."""
    (tmp_path.parent / "tokentail.toml").write_text("broken", "utf-8")
    try:
        assert "no such database" in tokentail("status").stderr
    finally:
        (tmp_path.parent / "tokentail.toml").unlink()


def test_every_command_reads_the_settings(tokentail: Tokentail, tmp_path: Path) -> None:
    """Reports, too, and commands within a group, are about the database that the file names."""
    write_log(tmp_path / "run.log")
    (tmp_path / "tokentail.toml").write_text('database = "x.db"\nlogs = ["run.log"]\n', "utf-8")
    tokentail("ingest")
    (tmp_path / "paths.ndjson").write_text('{"run_id": "r", "phase_id": "p", "deliverables": []}\n', "utf-8")
    for command in ("status", "rejects", "report", "coverage", "export", "verify"):
        done = tokentail(command)
        assert done.returncode == 0, done.stderr
        assert "x.db" in done.stdout + done.stderr, command
    assert "database x.db" in tokentail("deliverables", "import", "paths.ndjson").stdout


def test_start_without_settings_reads_no_toml() -> None:
    """What most starts don't need is not imported."""
    code = "import sys; import ingest.commands.ingest; assert 'tomllib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# What is wrong in a file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zones = 'UTC'", "unknown key 'zones': known are database, logs, globs, zone"),
        ("zone = 5", "zone: must be text in quotes, not 5"),
        ("zone = 'Mars/North'", "zone: unknown time zone 'Mars/North'"),
        ("database = ''", "database: must be text in quotes, not ''"),
        ("database = 'sqlite:///x.db'", "database: must be a path"),
        ("logs = 'a'", "logs: must be a list in brackets"),
        ("logs = ['a', 1]", "logs: must be text in quotes, not 1"),
        ("jobs = 0", "jobs: 0 is not in the range x>=1"),
        ("jobs = true", "jobs: 'true' is not a valid integer"),
        ("wait = nan", "wait: not a number"),
        ("wait = 'soon'", "wait: 'soon' is not a valid float"),
        ("wait = -1", "wait: -1.0 is not in the range x>=0"),
        ("metrics = 1", "metrics: must be text in quotes"),
        ("metrics = 'a.txt'", "metrics: must end in .prom"),
        ("folder = 'a'", "folder: must be tables, each headed [[folder]]"),
        ("[folder]\npath = 'a'", "folder: must be tables, each headed [[folder]]"),
        ("[[folder]]\nzone = 'UTC'", "folder 1: has no path"),
        ("[[folder]]\npath = 'a'\n[[folder]]\npath = 'b'\nlabel = 1", "folder 2: label: must be text"),
        ("[[folder]]\npath = 'a'\njobs = 2", "'jobs'; it belongs above the first [[folder]]"),
        ('logs = ["C:\\logs"]', "is no TOML"),
    ],
)
def test_mistake_in_a_file_is_named(tokentail: Tokentail, tmp_path: Path, text: str, expected: str) -> None:
    """One sentence names the file, the key and what is allowed, and nothing is done."""
    (tmp_path / "tokentail.toml").write_text(text, "utf-8")
    done = tokentail("ingest", "x.log")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("tokentail: tokentail.toml: ")
    assert expected in done.stderr


def test_mistake_that_is_typed_is_not_said_of_the_file(tokentail: Tokentail, tmp_path: Path) -> None:
    """What was typed replaces what the file says, a mistake for a mistake."""
    (tmp_path / "tokentail.toml").write_text("jobs = 0\n", "utf-8")
    done = tokentail("ingest", "x.log", "--jobs", "-1")
    assert (done.returncode, "tokentail.toml" in done.stderr) == (2, False)
    assert "Invalid value for '--jobs': -1 is not in the range" in done.stderr


def test_mistake_in_a_file_is_wrong_use(tokentail: Tokentail, tmp_path: Path) -> None:
    """A command that can't know what is wanted does nothing and exits with 2; its help is still there."""
    (tmp_path / "tokentail.toml").write_text("zone = 5\n", "utf-8")
    assert tokentail("ingest", "x.log").returncode == 2
    assert tokentail("status").returncode == 2
    assert "Usage: tokentail ingest" in tokentail("ingest", "--help").stdout
    missing = tokentail("status", "--config", "nowhere.toml")
    assert missing.returncode == 2
    assert "nowhere.toml: can't be read" in missing.stderr


def test_mark_before_the_text_does_no_harm(tmp_path: Path) -> None:
    """Some editors of Windows save a byte order mark."""
    file = tmp_path / "tokentail.toml"
    file.write_bytes(b"\xef\xbb\xbfjobs = 3\r\n")
    assert read_settings(str(file)).defaults == {"jobs": "3"}


# Folders


def test_logs_of_a_folder_have_its_zone_and_label(tokentail: Tokentail, tmp_path: Path) -> None:
    """The nearest folder that has a setting decides; the others have the zone of all, and no label."""
    for number, name in enumerate(("logs/a.log", "logs/east/b.log", "logs/east/deep/c.log"), 1):
        write_log(tmp_path / name, number)
    (tmp_path / "tokentail.toml").write_text(
        "logs = ['logs']\nzone = 'UTC'\n"
        "[[folder]]\npath = 'logs/east'\nzone = 'Australia/Sydney'\nlabel = 'east'\n"
        "[[folder]]\npath = 'logs/east/deep'\nlabel = 'deep'\n",
        "utf-8",
    )
    done = tokentail("ingest")
    assert "times read as UTC, Australia/Sydney; " in done.stdout
    assert sources(tmp_path / "telemetry.db") == {
        "a.log": ("UTC", None),
        "b.log": ("Australia/Sydney", "east"),
        "c.log": ("Australia/Sydney", "deep"),
    }
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        found = connection.execute(
            "SELECT label, strftime('%H', timestamp) FROM token_estimation_v2_events "
            "JOIN event_sightings USING (event_id) JOIN log_sources USING (source_id) ORDER BY label"
        ).fetchall()
    assert [label for label, _ in found] == [None, "deep", "east"]
    assert found[1][1] == found[2][1] != found[0][1]
    assert "deep" in tokentail("status").stdout
    again = tokentail("ingest")
    assert (again.stderr, again.stdout.startswith("nothing new in 3 files")) == ("", True)
    assert "3 files read again" in tokentail("verify").stdout


def test_label_that_is_changed_in_the_file_changes(tokentail: Tokentail, tmp_path: Path) -> None:
    """A label is what the file says now, of logs that hold nothing new as well; none takes none away."""
    write_log(tmp_path / "logs" / "a.log")
    for label in ("first", "second"):
        (tmp_path / "tokentail.toml").write_text(
            f"logs = ['logs']\n[[folder]]\npath = 'logs'\nlabel = '{label}'\n", "utf-8"
        )
        tokentail("ingest", "--tz", "UTC")
        assert sources(tmp_path / "telemetry.db") == {"a.log": ("UTC", label)}
    (tmp_path / "tokentail.toml").unlink()
    tokentail("ingest", "logs")
    assert sources(tmp_path / "telemetry.db") == {"a.log": ("UTC", "second")}


def test_zone_that_is_changed_in_the_file_is_said_not_obeyed(tokentail: Tokentail, tmp_path: Path) -> None:
    """A log keeps its zone, which is said in every run, until `backfill --full` changes it."""
    write_log(tmp_path / "logs" / "a.log")
    settings = "logs = ['logs']\nzone = 'UTC'\n[[folder]]\npath = 'logs'\nzone = '{}'\n"
    (tmp_path / "tokentail.toml").write_text(settings.format("Australia/Sydney"), "utf-8")
    tokentail("ingest")
    (tmp_path / "tokentail.toml").write_text(settings.format("Europe/Berlin"), "utf-8")
    for _ in range(2):
        said = tokentail("ingest", "--quiet").stderr
        assert "times stay read as Australia/Sydney" in said
        assert "not as Europe/Berlin" in said
    assert tokentail("backfill", "--full").returncode == 0
    assert sources(tmp_path / "telemetry.db") == {"a.log": ("Europe/Berlin", None)}
    assert tokentail("ingest", "--quiet").stderr == ""


def test_zone_as_an_option_stands_above_folders(tokentail: Tokentail, tmp_path: Path) -> None:
    """What is typed overrides all of the file, folders too."""
    write_log(tmp_path / "logs" / "a.log")
    (tmp_path / "tokentail.toml").write_text(
        "logs = ['logs']\n[[folder]]\npath = 'logs'\nzone = 'Australia/Sydney'\nlabel = 'x'\n", "utf-8"
    )
    tokentail("ingest", "--tz", "Europe/Berlin")
    assert sources(tmp_path / "telemetry.db") == {"a.log": ("Europe/Berlin", "x")}


def test_folder_holds_what_is_below_it_only() -> None:
    """A name that begins the same is another folder; a folder of all holds all."""
    at = stored_path("/logs/east")
    assert Folder(at).holds(stored_path("/logs/east/a.log"))
    assert Folder(at).holds(at)
    assert not Folder(at).holds(stored_path("/logs/eastern/a.log"))
    folders = nearest_first([Folder(stored_path("/"), "UTC"), Folder(at, "Australia/Sydney")])
    assert zone_for(folders, stored_path("/logs/east/a.log")) == "Australia/Sydney"
    assert zone_for(folders, stored_path("/logs/a.log")) == "UTC"


def test_older_database_gets_its_labels(tokentail: Tokentail, tmp_path: Path) -> None:
    """A database that was made before there were labels can have them."""
    write_log(tmp_path / "logs" / "a.log")
    tokentail("ingest", "logs", "--tz", "UTC")
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as connection:
        connection.execute("ALTER TABLE log_sources DROP COLUMN label")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'm005_labels'")
        connection.commit()
    (tmp_path / "tokentail.toml").write_text("[[folder]]\npath = 'logs'\nlabel = 'x'\n", "utf-8")
    assert tokentail("ingest", "logs").returncode == 0
    assert sources(tmp_path / "telemetry.db") == {"a.log": ("UTC", "x")}


# init


def test_init_writes_what_every_command_reads(tokentail: Tokentail, tmp_path: Path) -> None:
    """What is typed stands in the file, which is whole and ready; the next commands are said."""
    write_log(tmp_path / "logs" / "a.log")
    done = tokentail("init", "logs", "--tz", "Australia/Sydney", "--db", "x.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("wrote tokentail.toml\nnext:\n  tokentail ingest\n  tokentail report\n")
    assert str(tmp_path / "tokentail.toml") in done.stdout.splitlines()[-1]  # what cron shall do
    assert tokentail("ingest").stdout.endswith("new database x.db; settings tokentail.toml\n")
    assert sources(tmp_path / "x.db") == {"a.log": ("Australia/Sydney", None)}


def test_init_prefills_the_zone_of_this_machine(tokentail: Tokentail, tmp_path: Path) -> None:
    """Nothing is asked; the file says what is taken by default, and the person sees it."""
    done = tokentail("init", TZ="Europe/Berlin")
    assert "times are read as Europe/Berlin, this machine's zone" in done.stdout
    found = tomllib.loads((tmp_path / "tokentail.toml").read_text("utf-8"))
    assert found == {"database": data_database(), "zone": "Europe/Berlin"}


def test_every_line_of_init_that_is_commented_out_is_right(tokentail: Tokentail, tmp_path: Path) -> None:
    """Taking the `#` away from each example in the file gives settings that are read."""
    tokentail("init")
    file = tmp_path / "tokentail.toml"
    lines = file.read_text("utf-8").splitlines()
    examples = [line.removeprefix("# ") for line in lines if " = " in line or "[[" in line[:4]]
    file.write_text("\n".join(examples), "utf-8")
    found = read_settings(str(file))
    assert set(found.defaults) == {"db", "paths", "globs", "tz", "jobs", "wait_seconds", "metrics"}
    assert found.defaults["paths"] == ["/var/log/executor"] or sys.platform == "win32"
    assert [folder.label for folder in found.folders] == ["sydney"]


def test_init_replaces_nothing_unless_forced(tokentail: Tokentail, tmp_path: Path) -> None:
    """Settings that somebody made are kept."""
    file = tmp_path / "tokentail.toml"
    file.write_text("jobs = 1\n", "utf-8")
    done = tokentail("init")
    assert done.returncode == 2
    assert "tokentail.toml: is there already" in done.stderr
    assert file.read_text("utf-8") == "jobs = 1\n"
    assert tokentail("init", "--force").returncode == 0
    assert "database" in file.read_text("utf-8")


@pytest.mark.parametrize("name", ["it's", 'say "so"', "back\\slash", "50%", "tab\there", "ünï"])
def test_init_quotes_paths(tokentail: Tokentail, tmp_path: Path, name: str) -> None:
    """Whatever is in a path, the file names it; a file elsewhere names it from the root."""
    if sys.platform == "win32" and any(char in name for char in '"\\\t'):
        pytest.skip("no name on Windows")
    write_log(tmp_path / name / "a.log")
    (tmp_path / "elsewhere").mkdir()
    assert tokentail("init", name, "--config", "elsewhere/t.toml").returncode == 0
    done = tokentail("ingest", "--config", "elsewhere/t.toml")
    assert (done.returncode, done.stderr) == (0, "")
    shutil.rmtree(tmp_path / "elsewhere")
    assert tokentail("init", name).returncode == 0
    assert read_settings(str(tmp_path / "tokentail.toml")).defaults["paths"] == [str(tmp_path / name)]


# Where data may live


def test_init_offers_the_systems_place_and_says_it(
    tokentail: Tokentail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --db the database is where this system keeps a user's data; one that is there is said to be."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    write_log(tmp_path / "run.log")
    place = tmp_path / "data/tokentail/telemetry.db"
    done = tokentail("init", "run.log", "--tz", "UTC")
    assert f"database {place} (--db names another)" in done.stdout
    assert f"new database {place}" in tokentail("ingest").stdout
    assert "which is there already" in tokentail("init", "--force").stdout


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"HOME": "/home/me"}, "/home/me/.local/share/tokentail"),
        ("linux", {"HOME": "/home/me", "XDG_DATA_HOME": "/data"}, "/data/tokentail"),
        ("linux", {"HOME": "/home/me", "XDG_DATA_HOME": "relative"}, "/home/me/.local/share/tokentail"),
        ("darwin", {"HOME": "/Users/me"}, "/Users/me/Library/Application Support/tokentail"),
    ],
)
def test_the_place_is_the_systems(
    monkeypatch: pytest.MonkeyPatch, platform: str, environment: dict[str, str], expected: str
) -> None:
    """Each system has its own rule; on Linux a variable may say otherwise, if it is a whole path."""
    if sys.platform == "win32":
        pytest.skip("paths of other systems")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert data_folder() == expected


@pytest.mark.parametrize("mark", ["pyvenv.cfg", "conda-meta"])
@pytest.mark.parametrize("below", ["", "logs/deep"])
def test_a_default_inside_an_environment_is_an_error(
    tokentail: Tokentail, tmp_path: Path, mark: str, below: str
) -> None:
    """Neither database nor settings are made, by default, where they would go with the environment."""
    (tmp_path / "env" / below).mkdir(parents=True)
    (tmp_path / "env" / mark).mkdir()
    write_log(tmp_path / "run.log")
    before = sorted(tmp_path.rglob("*"))
    inside = tmp_path / "env" / below
    for command in (["ingest", str(tmp_path / "run.log")], ["report"], ["init"]):
        done = in_folder(tokentail, inside, *command)
        assert done.returncode == 2, command
        assert f"inside the virtual environment {tmp_path / 'env'}" in done.stderr
        assert (data_database() in done.stderr) == (command != ["init"])
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_named_may_be_inside_an_environment(tokentail: Tokentail, tmp_path: Path) -> None:
    """Option, variable and settings are obeyed, and a database that is there already is used as ever."""
    env = tmp_path / "env"
    env.mkdir()
    (env / "pyvenv.cfg").touch()
    log = str(write_log(tmp_path / "run.log"))
    assert in_folder(tokentail, env, "ingest", log, "--db", "telemetry.db").returncode == 0
    assert in_folder(tokentail, env, "ingest", log).returncode == 0
    (env / "telemetry.db").unlink()
    assert in_folder(tokentail, env, "ingest", log, DATABASE_URL="sqlite:///telemetry.db").returncode == 0
    (env / "telemetry.db").unlink()
    (env / "tokentail.toml").write_text('database = "telemetry.db"\n', "utf-8")
    assert in_folder(tokentail, env, "ingest", log).returncode == 0


def in_folder(
    tokentail: Tokentail, folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the program in another folder than the test's own."""
    done: subprocess.CompletedProcess[str] = tokentail(*arguments, folder=folder, **environment)
    return done
