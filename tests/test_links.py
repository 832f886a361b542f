"""Folders of links, as /var/log/containers is one: what rotates beside their targets is read on."""

from __future__ import annotations

import bz2
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from event_lines import event_message, logged
from faults.tables import events as event_rows
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions, Summary
from ingest.verify import verify


class Node:
    """A folder of links, `containers`, to logs below another one, `pods`; and a database."""

    def __init__(self, root: Path, paths: tuple[str, ...] = ("containers",)) -> None:
        self.root, self.paths = root, paths
        self.links = root / "containers"
        self.links.mkdir()
        self.target = root / "pods" / "web" / "0.log"
        self.target.parent.mkdir(parents=True)
        self._count = 0

    def write(self, to: Path | None = None) -> None:
        """Append five events that were not there before."""
        with (to or self.target).open("a", encoding="utf-8") as log:
            for number in range(self._count, self._count + 5):
                at = f"2026-01-14 09:{number // 60:02}:{number % 60:02}"
                log.write(logged(event_message(predicted_output=number), at=at) + "\n")
        self._count += 5

    def read(self) -> Summary:
        """Ingest what the paths lead to."""
        paths = [str(self.root / path) for path in self.paths]
        return ingest(paths, self.root / "t.db", IngestOptions("ingest", zone_named("UTC")))

    def check(self, summary: Summary) -> None:
        """All that was written is there, once, nothing is warned of, and another run changes nothing."""
        assert summary.warnings == summary.problems == []
        rows = event_rows(self.root / "t.db")
        assert sorted(row["predicted_output_tokens"] for row in rows) == list(range(self._count))
        again = self.read()
        assert (again.events_new, again.further_sightings, again.bytes_read, again.warnings) == (0, 0, 0, [])
        assert verify([], self.root / "t.db").differences == []


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Return a node with one link, made as the kubelet does."""
    node = Node(tmp_path)
    (node.links / "web.log").symlink_to(node.target)
    return node


def pack(path: Path, packed: Callable[[bytes], bytes], ending: str) -> None:
    path.with_name(path.name + ending).write_bytes(packed(path.read_bytes()))
    path.unlink()


@pytest.mark.parametrize(
    "name",
    [
        "0.log.1",
        "0.log.20260114-194002",
        "0.log-20260114",
        "0.log.2026-01-14",
        "0.1.log",
        "0.log.1.gz",
        "0.log.1.bz2",
    ],
)
def test_target_that_rotated_between_two_runs_is_read_to_its_end(node: Node, name: str) -> None:
    """Under whatever name a rotation leaves it beside the link's target, compressed or not."""
    node.write()
    node.read()
    node.write()
    rotated = node.target.rename(node.target.with_name(name.removesuffix(".gz").removesuffix(".bz2")))
    if name.endswith((".gz", ".bz2")):
        pack(rotated, *((gzip.compress, ".gz") if name.endswith(".gz") else (bz2.compress, ".bz2")))
    node.write()
    node.check(node.read())


def test_targets_that_rotate_for_days_lose_nothing(node: Node) -> None:
    """Several rotations between two runs; the old ones are packed, and deleted in the end."""
    for day in range(4):
        node.write()
        node.read()
        node.write()
        for number in range(2):
            node.target.rename(node.target.with_name(f"0.log.202601{day}{number}-000000"))
            node.write()
        node.check(node.read())
        for old in node.target.parent.glob("0.log.*-000000"):
            pack(old, gzip.compress, ".gz")
        node.check(node.read())
        for old in node.target.parent.glob("0.log.*.gz"):
            old.unlink()
        assert node.read().warnings == []


@pytest.mark.parametrize("linked", [True, False], ids=["link", "log"])
def test_log_that_is_gone_is_warned_of_though_rotations_of_it_were_read_later(
    tmp_path: Path, linked: bool
) -> None:
    """A rotation was read after the log that is gone now: that one is missing, the rotation is not."""
    node = Node(tmp_path, ("containers/web.log",))
    link = node.links / "web.log"
    link.symlink_to(node.target) if linked else None
    log = node.target if linked else link
    node.write(log)
    node.read()
    rotations = [log.with_name(f"{log.name}.{number}") for number in (2, 1)]
    for rotated in rotations:
        log.rename(rotated)
        node.write(log)
    assert node.read().warnings == []
    for rotated in rotations:
        rotated.unlink()
    assert node.read().warnings == []
    log.rename(tmp_path / "away")
    node.write(log)
    assert len(node.read().warnings) == 1


def relative(node: Node) -> None:
    (node.links / "web.log").symlink_to(os.path.relpath(node.target, node.links))


def chain(node: Node) -> None:
    (node.root / "further").symlink_to(node.root / "pods")
    (node.root / "middle.log").symlink_to(node.root / "further" / "web" / "0.log")
    (node.links / "web.log").symlink_to("../middle.log")


def folder_of_links(node: Node) -> None:
    (node.links / "web").symlink_to(node.target.parent)
    (node.links / "web.log").symlink_to("web/0.log")


@pytest.mark.parametrize("linked", [relative, chain, folder_of_links])
@pytest.mark.parametrize(
    "paths",
    [("containers",), ("containers/web.log",), ("containers", "containers/web.log", "pods")],
    ids="+".join,
)
def test_links_of_any_kind_lead_to_rotations(
    tmp_path: Path, linked: Callable[[Node], None], paths: tuple[str, ...]
) -> None:
    """Relative ones, chains, links to folders; found in a folder, named, or both."""
    node = Node(tmp_path, paths)
    linked(node)
    node.write()
    node.read()
    node.write()
    node.target.rename(node.target.with_name("0.log.20260114-194002"))
    node.write()
    node.check(node.read())


@pytest.mark.parametrize("paths", [("containers",), ("containers/web.log",)], ids="+".join)
def test_link_that_leads_elsewhere_now_leaves_no_rotation(tmp_path: Path, paths: tuple[str, ...]) -> None:
    """A container that was started again: its old log was rotated before the link was made anew."""
    node = Node(tmp_path, paths)
    link = node.links / "web.log"
    link.symlink_to(node.target)
    node.write()
    node.read()
    node.write()
    node.target.rename(node.target.with_name("0.log.20260114-194002"))
    node.write()
    link.unlink()
    restarted = node.target.with_name("1.log")
    link.symlink_to(restarted)
    node.write(restarted)
    node.check(node.read())


@pytest.mark.parametrize("rotated", [True, False])
def test_target_of_a_link_that_is_gone_is_read_to_its_end(node: Node, rotated: bool) -> None:
    """A container that was started again, and its old link taken away before the next run."""
    node.write()
    node.read()
    node.write()
    if rotated:
        node.target.rename(node.target.with_name("0.log.20260114-194002"))
        node.write()
    (node.links / "web.log").unlink()
    restarted = node.target.with_name("1.log")
    (node.links / "web2.log").symlink_to(restarted)
    node.write(restarted)
    node.check(node.read())
    node.write(restarted)
    for old in node.target.parent.glob("0.log*"):
        old.unlink()
    assert node.read().warnings == []
    assert len(event_rows(node.root / "t.db")) == (25 if rotated else 20)


def test_writer_that_goes_on_in_the_rotated_target_is_read(node: Node) -> None:
    """It holds the old file open, and other lines come to the new one."""
    node.write()
    node.read()
    rotated = node.target.rename(node.target.with_name("0.log.1"))
    node.write(rotated)
    node.write()
    node.check(node.read())
    node.write(rotated)
    node.write()
    node.check(node.read())


@pytest.mark.parametrize("name", ["run.txt", "run.out", "run.jsonl", "run.err"])
def test_rotation_that_no_glob_finds_is_found_beside_its_log(tmp_path: Path, name: str) -> None:
    """Names of logs that are found in a folder, of which rotations have none."""
    node = Node(tmp_path)
    log = node.links / name
    node.write(log)
    node.read()
    node.write(log)
    log.rename(log.with_name(f"{name}.1"))
    node.write(log)
    node.check(node.read())


def test_target_that_went_to_another_folder_is_warned_of_once(node: Node) -> None:
    """Nobody can know where it is; where it is named, nothing is missing."""
    node.write()
    node.read()
    node.write()
    away = node.root / "away"
    away.mkdir()
    node.target.rename(away / "0.log.1")
    node.write()
    (warning,) = node.read().warnings
    assert "that one is gone" in warning
    assert node.read().warnings == []
    node.paths = ("containers", "away")
    node.check(node.read())


def test_copy_with_one_call_changed_in_a_rotated_targets_place_is_read_too(node: Node) -> None:
    """What was read may be in the rotation or in the copy that a link leads to: neither is believed."""
    for _ in range(8):
        node.write()
    node.read()
    rotated = node.target.rename(node.target.with_name("0.log.1"))
    text = rotated.read_text(encoding="utf-8")
    node.target.write_text(text.replace("predicted_output=20 ", "predicted_output=999 "), encoding="utf-8")
    node.read()
    rows = event_rows(node.root / "t.db")
    assert sorted(row["predicted_output_tokens"] for row in rows) == [*range(40), 999]
