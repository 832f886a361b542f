"""The changes of the sample that no test notices, each with the reason: `survivors.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from faults.mutants.operators import Site

FILE = Path(__file__).with_name("survivors.toml")

_Key = tuple[str, str, str, str, int]


@dataclass(frozen=True, slots=True)
class Survivor:
    """A change that may live, and why. `changes` is whether it can make any difference to anybody."""

    key: _Key
    changes: bool
    why: str


def survivors(file: Path = FILE) -> dict[_Key, Survivor]:
    """Return the kept list, by what a change says: see `Site.key`."""
    found: dict[_Key, Survivor] = {}
    for entry in tomllib.loads(file.read_text("utf-8")).get("survivor", []):
        key = (entry["file"], entry["inside"], entry["before"], entry["after"], entry.get("nth", 0))
        if key in found or not entry["why"].strip():
            raise ValueError(f"{file.name}: {key}: named twice, or without a reason")
        found[key] = Survivor(key, entry["changes"], entry["why"])
    return found


def entry_for(site: Site) -> str:
    """Write an entry of the list for a change, whose reason is to be filled in."""
    values = {"file": site.file, "inside": site.inside, "before": site.before, "after": site.after}
    lines = [f"{name} = {_quoted(value)}" for name, value in values.items()]
    lines += [f"nth = {site.nth}"] if site.nth else []
    return "\n".join(["[[survivor]]", *lines, "changes = true", 'why = ""'])


def _quoted(text: str) -> str:
    if "'" not in text:
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
