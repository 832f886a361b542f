"""The recipes of docs/operate.md are run as they stand, with this test's paths for those of a machine."""

from __future__ import annotations

import configparser
import gzip
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.shell_completion import BashComplete

from conftest import ROOT
from event_lines import event_message, logged
from ingest.cli import COMMANDS, cli

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="recipes for machines with sh")

GUIDE = (ROOT / "docs/operate.md").read_text(encoding="utf-8")
FILES = ROOT / "examples/recipes"
BLOCK = re.compile(r"((?:[^\n]+\n)?\n?)^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"<!-- recipe: (\w+) -->\n$")
NOT_RUN = "*Not run here.*\n\n"
PATH = os.pathsep.join(
    folder for folder in os.get_exec_path() if not os.path.exists(os.path.join(folder, "tokentail"))
)
"""Where this machine has its programs; a recipe that relies on ours being there is found out."""


def block(name: str) -> str:
    """Return the recipe of a name."""
    return GUIDE.partition(f"<!-- recipe: {name} -->\n```")[2].partition("\n")[2].partition("```")[0]


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program, path=PATH) is None:
            pytest.skip(f"{program} is not here")


def needs_command(name: str) -> None:
    if name not in COMMANDS:
        pytest.skip(f"there is no command {name} yet")


class Machine:
    """A folder that stands for a machine: the program, its settings, the logs of an executor."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("opt/tokentail/bin", "etc", "var/log/executor", "var/lib/tokentail"):
            (root / folder).mkdir(parents=True)
        (root / "var/lib/node_exporter").mkdir()
        self.logs = root / "var/log/executor"
        self.database = root / "var/lib/tokentail/telemetry.db"
        self.program = root / "opt/tokentail/bin/tokentail"
        self.program.write_text(
            f"#!/bin/sh\nexport PYTHONPATH='{ROOT}'\n"
            f"exec '{sys.executable}' -c 'from ingest.cli import main; main()' \"$@\"\n"
        )
        self.program.chmod(0o755)

    def here(self, recipe: str) -> str:
        """Put this machine's paths in the place of those of a recipe."""
        return re.sub(r"(?<![\w.:/])(/opt/|/etc/|/var/|/srv/)", rf"{self.root}\1", recipe)

    def run(self, recipe: str) -> subprocess.CompletedProcess[str]:
        """Run a recipe as cron does: by sh, with next to nothing in its environment."""
        return subprocess.run(
            ["/bin/sh", "-c", self.here(recipe)],
            env={"PATH": PATH, "HOME": str(self.root)},
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def log(self, first: int, count: int, name: str = "run.log") -> None:
        """Let the executor log events, each with a number of its own."""
        with (self.logs / name).open("a", encoding="utf-8") as file:
            for number in range(first, first + count):
                file.write(logged(event_message(predicted_output=number)) + "\n")

    def log_now(self, number: int) -> None:
        """Let the executor log one of today, which no pruning takes."""
        with (self.logs / "run.log").open("a", encoding="utf-8") as file:
            now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
            file.write(logged(event_message(predicted_output=number), at=now) + "\n")

    def predicted(self) -> list[int]:
        """Return the number of each event that is stored."""
        with closing(sqlite3.connect(self.database)) as connection:
            found = connection.execute("SELECT predicted_output_tokens FROM token_estimation_v2_events")
            return sorted(number for (number,) in found)


@pytest.fixture
def bare(tmp_path: Path) -> Machine:
    """Return a machine that has the program, and nothing else yet."""
    return Machine(tmp_path)


@pytest.fixture
def machine(bare: Machine) -> Machine:
    """Return a machine that is set up, with one event in its log."""
    assert bare.run(block("settings")).returncode == 0
    bare.log(1, 1)
    return bare


# The guide itself


def test_each_recipe_is_run_or_marked() -> None:
    """Nothing in the guide can rot unseen."""
    tests = {name for name in globals() if name.startswith("test_recipe_")}
    blocks = BLOCK.findall(GUIDE)
    assert len(blocks) == GUIDE.count("```") // 2 > 10
    named = set()
    for before, recipe in blocks:
        found = NAMED.search(before)
        assert found or before == NOT_RUN, recipe
        if found:
            named.add(f"test_recipe_{found[1]}")
    assert named == tests


def test_each_file_of_recipes_is_in_the_guide() -> None:
    """No file lies there that no document names."""
    for file in FILES.iterdir():
        assert f"](../examples/recipes/{file.name})" in GUIDE, file.name


# Setting up


def test_recipe_settings(machine: Machine) -> None:
    """The settings that everything else reads are written, and name the logs, the zone and the database."""
    written = (machine.root / "etc/tokentail.toml").read_text("utf-8")
    for said in (str(machine.logs), str(machine.database), "Australia/Sydney"):
        assert f'"{said}"' in written


def test_recipe_backfill(machine: Machine) -> None:
    """Old logs go into the same database, in the zone of the settings."""
    old = machine.root / "srv/archive/old-logs/2024.log.gz"
    old.parent.mkdir(parents=True)
    old.write_bytes(gzip.compress((logged(event_message(predicted_output=7)) + "\n").encode()))
    done = machine.run(block("backfill"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "times read as Australia/Sydney" in done.stdout
    assert machine.predicted() == [7]


def path_block(name: str, document: str = "README.md") -> list[str]:
    """Return the lines of a step of the README's way from nothing to a dashboard."""
    text = (ROOT / document).read_text(encoding="utf-8")
    lines = text.partition(f"<!-- path: {name} -->\n")[2].partition("\n\n")[0].splitlines()
    return [line.removeprefix("    ") for line in lines]


def test_way_of_the_readme_leads_to_a_dashboard(bare: Machine) -> None:
    """What a newcomer types, line by line, ends in a page, and cron's lines keep it up to date silently."""
    pytest.importorskip("altair")
    install, look = path_block("install"), path_block("look")
    assert install[0].endswith("-m venv ~/tokentail-env")
    assert install[-1] == "mkdir -p ~/tokentail && cd ~/tokentail"
    (bare.root / "tokentail-env/bin").mkdir(parents=True)
    shutil.move(bare.program, bare.root / "tokentail-env/bin/tokentail")
    bare.log(1, 3)
    bare.log_now(4)
    # cron's line draws the same page
    assert look.pop() == "~/tokentail-env/bin/tokentail dashboard --html dashboard.html"
    done = bare.run("\n".join(["set -e", install[-1], *look]))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    for command in cron_lines("\n".join(path_block("cron"))):
        silent = bare.run(command)
        assert (silent.returncode, silent.stdout, silent.stderr) == (0, "", "")
    assert (bare.root / "tokentail/dashboard.html").stat().st_size > 10_000
    # What is in the environment goes with it, and that is nothing but the program.
    assert (bare.root / ".local/share/tokentail/telemetry.db").exists()
    assert [path.name for path in (bare.root / "tokentail-env").iterdir()] == ["bin"]
    needs("find")
    nightly = cron_lines("\n".join(path_block("nightly", "docs/ingest.md")))
    assert nightly[0] == cron_lines("\n".join(path_block("cron")))[0]
    for command in nightly:
        silent = bare.run(command)
        assert (silent.returncode, silent.stdout, silent.stderr) == (0, "", "")
    assert len(list((bare.root / "tokentail").glob("backup-*-*-*.db"))) == 1


# cron


def cron_lines(table: str) -> list[str]:
    """Return the commands of a table as cron hands them to sh."""
    lines = [line for line in table.splitlines() if line and not line.startswith("#")]
    commands = [re.fullmatch(r"(?:[\d*/,-]+\s+){5}(.*)", line) for line in lines]
    assert all(commands), lines
    found = [command[1] for command in commands if command]
    assert not any(re.search(r"(?<!\\)%", command) for command in found)
    return [command.replace("\\%", "%") for command in found]


def test_recipe_cron(machine: Machine) -> None:
    """The line ingests from cron's bare environment, and is silent, so that no mail is sent."""
    (command,) = cron_lines(block("cron"))
    assert command in cron_lines((FILES / "crontab").read_text())
    for _ in range(2):
        done = machine.run(command)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert machine.predicted() == [1]


def test_other_lines_for_cron_are_silent_too(machine: Machine) -> None:
    """A backup and a pruning in the night, and the question whether all is well, print nothing."""
    needs_command("backup")
    needs_command("prune")
    needs_command("follow")  # `status --max-age` came with it
    needs("find")
    machine.log_now(2)
    for command in cron_lines((FILES / "crontab").read_text()):
        done = machine.run(command)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), command
    assert len(list(machine.database.parent.glob("backup-*.db"))) == 1


# systemd


def test_recipe_systemd(machine: Machine) -> None:
    """The units are clean to systemd's own check."""
    needs("systemd-analyze")
    for unit in FILES.glob("tokentail*.*"):
        if unit.suffix in (".service", ".timer"):
            (machine.root / unit.name).write_text(machine.here(unit.read_text()))
    done = machine.run(block("systemd"))
    if "Failed to" in done.stderr and done.returncode:
        pytest.skip(f"systemd can't check here: {done.stderr}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_units_run_commands_that_exist(machine: Machine) -> None:
    """What a unit starts is a command with options that it has, and 75 is no failure of it."""
    for unit in FILES.glob("*.service"):
        text = unit.read_text()
        command = re.search(r"^ExecStart=(\S+ (\w+) .*)$", text, re.MULTILINE)
        assert command
        assert re.search(r"^SuccessExitStatus=75$", text, re.MULTILINE)
        if command[2] in COMMANDS:
            asked = machine.run(f"{command[1]}{' --until-idle 0' if command[2] == 'follow' else ''}")
            assert (asked.returncode, asked.stderr) == (0, ""), unit.name


# Alerts


@contextmanager
def pinged() -> Iterator[tuple[str, list[str]]]:
    """Serve pings on this machine; yield the address and the paths that were asked for."""
    asked: list[str] = []

    class Ping(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Ping) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_recipe_ping(machine: Machine) -> None:
    """A ping is sent after an ingest that went well, and none after one that didn't."""
    needs("curl")
    with pinged() as (address, asked):
        recipe = block("ping").replace("https://ping.example.com", address)
        done = machine.run(recipe)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert asked == ["/your-check"]
        shutil.rmtree(machine.logs)
        assert machine.run(recipe).returncode == 1
        assert asked == ["/your-check"]


def test_recipe_age(machine: Machine) -> None:
    """While ingests go well nothing is said; when none has for an hour, that is, and the exit code is 1."""
    needs_command("follow")
    machine.run(block("cron").split("  ")[1])
    done = machine.run(block("age"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with closing(sqlite3.connect(machine.database)) as connection, connection:
        connection.execute(
            "UPDATE ingest_runs SET started_at = '2020-01-01 00:00:00.000000', finished_at = started_at"
        )
        connection.execute("UPDATE ingest_runs SET finished_at = started_at")
    late = machine.run(block("age"))
    assert (late.returncode, late.stdout) == (1, "")
    assert late.stderr


def test_recipe_metrics(machine: Machine) -> None:
    """The file is there after the ingest, and the settings may name it as well."""
    needs_command("follow")  # `--metrics` came with it
    file = machine.root / "var/lib/node_exporter/tokentail.prom"
    assert machine.run(block("metrics")).returncode == 0
    assert file.read_text().startswith("#")
    file.unlink()
    settings = machine.root / "etc/tokentail.toml"
    settings.write_text(
        settings.read_text().replace('# metrics = "tokentail', f'metrics = "{file.parent}/tokentail')
    )
    assert machine.run(block("cron").split("  ")[1]).returncode == 0
    assert file.exists()


def test_recipe_nightly(machine: Machine) -> None:
    """The copy has the event that is then too old to be kept."""
    needs_command("backup")
    needs_command("prune")
    needs("find")
    machine.log_now(2)
    machine.run(block("cron").split("  ")[1])
    for line in block("nightly").splitlines():
        assert machine.run(line).returncode == 0, line
    (copy,) = machine.database.parent.glob("backup-*-*-*.db")
    with closing(sqlite3.connect(copy)) as connection:
        (kept,) = connection.execute("SELECT COUNT(*) FROM token_estimation_v2_events").fetchone()
    assert (kept, machine.predicted()) == (2, [2])


# logrotate


def rotating(machine: Machine, configuration: str) -> Callable[[], None]:
    """Return what rotates the logs of a machine at once, by logrotate itself."""
    needs("logrotate")
    file = machine.root / "logrotate.conf"
    file.write_text(machine.here(configuration))
    file.chmod(0o644)
    machine.logs.chmod(0o755)

    def rotate() -> None:
        done = machine.run(f"PATH=$PATH:/usr/sbin logrotate --force --state {machine.root}/state {file}")
        assert (done.returncode, done.stderr) == (0, "")

    return rotate


def live_beside(machine: Machine, rotate: Callable[[], None]) -> None:
    """Log, rotate and ingest in turns: whatever was read before a rotation, all is there once at the end."""
    ingest = block("cron").split("  ")[1]
    first = 2
    for turn in range(3):
        machine.log(first, 5)
        if turn % 2:  # some events are read before they are rotated away, some are not
            assert machine.run(ingest).returncode == 0
            machine.log(first + 5, 5)
        first += 10 if turn % 2 else 5
        rotate()
        machine.log(first, 1)
        first += 1
        done = machine.run(ingest)
        assert (done.returncode, done.stderr) == (0, "")
        assert machine.predicted() == list(range(1, first))
    assert [*machine.logs.glob("run.log.*.gz")]
    proof = machine.run("/opt/tokentail/bin/tokentail verify --config /etc/tokentail.toml")
    assert proof.returncode == 0, proof.stdout + proof.stderr


def test_recipe_logrotate(machine: Machine) -> None:
    """Logs that are renamed and compressed between ingests lose and double nothing."""
    assert block("logrotate") in (FILES / "logrotate.conf").read_text()
    live_beside(machine, rotating(machine, block("logrotate")))


def test_recipe_copytruncate(machine: Machine) -> None:
    """Logs that are copied and truncated lose nothing that was written before; the hook may ingest."""
    live_beside(machine, rotating(machine, block("copytruncate")))


def test_hook_of_copytruncate_reads_first(machine: Machine) -> None:
    """The file's hook ingests before the copy is made, and a failure of it doesn't stop the rotation."""
    rotate = rotating(machine, (FILES / "logrotate-copytruncate.conf").read_text())
    machine.log(2, 1)
    rotate()
    assert machine.predicted() == [1, 2]
    (machine.root / "etc/tokentail.toml").write_text("broken")
    machine.log(3, 1)
    assert (
        machine.run(f"PATH=$PATH:/usr/sbin logrotate -f -s {machine.root}/state logrotate.conf").returncode
        == 0
    )
    assert (machine.logs / "run.log").read_text() == ""


# Completion


def completing(bare: Machine, shell: str, script: str) -> str:
    """Run a script in a shell that finds the program by its name; return what it prints."""
    needs(shell)
    done = subprocess.run(
        [shell, *({"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]), "-c", script],
        env={"PATH": f"{bare.program.parent}:{PATH}", "HOME": str(bare.root), "TERM": "dumb"},
        cwd=bare.root,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_recipe_completion_bash(bare: Machine) -> None:
    """After the line in ~/.bashrc, Bash knows commands and options."""
    ask = """
        complete -p tokentail
        for words in 'ver' 'ingest --fail'; do
            COMP_WORDS=(tokentail $words); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
            _tokentail_completion tokentail
            echo "${COMPREPLY[@]}"
        done
    """
    output = completing(bare, "bash", block("completion_bash") + ask).splitlines()
    assert output == ["complete -o nosort -F _tokentail_completion tokentail", "verify", "--fail-on-reject"]


def test_recipe_completion_zsh(bare: Machine) -> None:
    """After the line in ~/.zshrc, zsh has a completion for the program, which knows commands."""
    ask = """
        [[ $_comps[tokentail] == _tokentail_completion ]] || exit 1
        _describe() { print -l $completions_with_descriptions }
        words=(tokentail ver) CURRENT=2
        _tokentail_completion
    """
    script = f"autoload -Uz compinit && compinit -u\n{block('completion_zsh')}{ask}"
    assert completing(bare, "zsh", script) == f"verify:{COMMANDS['verify'][1]}\n"


def test_recipe_completion_fish(bare: Machine) -> None:
    """After the line in its file, fish completes commands and options, with their help."""
    script = block("completion_fish") + "complete -C 'tokentail ver'\ncomplete -C 'tokentail ingest --fail'\n"
    output = completing(bare, "fish", script).splitlines()
    assert output[0].startswith("verify\tProve the database")
    assert output[1].startswith("--fail-on-reject\t")


def test_recipe_completion_powershell(bare: Machine) -> None:
    """What PowerShell is handed completes; it takes the script itself where it is installed."""
    variable = "_TOKENTAIL_COMPLETE"
    assert f"$env:{variable} = 'powershell_source'" in block("completion_powershell")
    script = bare.run(f"{variable}=powershell_source /opt/tokentail/bin/tokentail")
    assert "Register-ArgumentCompleter -Native -CommandName tokentail" in script.stdout
    asked = bare.run(
        f"COMP_WORDS='tokentail ver' COMP_CWORD=1 {variable}=powershell_complete /opt/tokentail/bin/tokentail"
    )
    assert asked.stdout == f"plain\nverify\n{COMMANDS['verify'][1]}\n"
    if shutil.which("pwsh"):
        ask = "(TabExpansion2 'tokentail ver' 13).CompletionMatches.CompletionText"
        path = f"{bare.program.parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["pwsh", "-NoProfile", "-Command", f"{block('completion_powershell')}\n{ask}"],
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == ["verify"]


def test_paths_are_completed_by_the_shell() -> None:
    """Where a path is wanted, the shell offers its files."""
    completion = BashComplete(cli, {}, "tokentail", "_TOKENTAIL_COMPLETE")
    for words in ("ingest", "verify --config", "export --output", "dashboard --html", "import"):
        assert [item.type for item in completion.get_completions(words.split(), "")] == ["file"], words


# Container


def test_image_is_made_of_what_there_is() -> None:
    """What isn't run is read: all that an install needs, a pinned base, a user that is not root, a volume."""
    image = (FILES / "Dockerfile").read_text()
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.*)$", image, re.MULTILINE)
        for name in line.split()[:-1]
    }
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    options = config["options"]
    modules = {f"{name}.py" for name in options["py_modules"].split()}
    folders = {name.partition(".")[0] for name in options["packages"].split()}
    assert copied == {"pyproject.toml", "setup.cfg", "README.md", "LICENSE", *modules, *folders}
    bases = re.findall(r"^FROM (\S+)", image, re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases[0])
    assert re.search(r"^USER tokentail$", image, re.MULTILINE)
    assert re.search(r"^VOLUME /data$", image, re.MULTILINE)
