"""`tokentail.toml`: what holds where neither an option nor the environment says otherwise.

Imported only where there is such a file, since most of what it takes to read one is needed for nothing else.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ingest.errors import UsageMistake
from ingest.files.folders import Folder, folder_at, nearest_first
from ingest.reading.zone import zone_named


@dataclass(frozen=True, slots=True)
class Settings:
    """What a file says. Paths are as from the current folder; `folders` are the nearest first.

    `defaults` are values of options that no variable of the environment stands for, by their parameters.
    """

    file: str
    database: str | None = None
    logs: tuple[str, ...] = ()
    folders: tuple[Folder, ...] = ()
    defaults: Mapping[str, object] = field(default_factory=dict)


def read_settings(file: str) -> Settings:
    """Read a file of settings.

    Raises:
        UsageMistake: it can't be read, is no TOML, or has a key or a value that means nothing; the
            message names the file, the key and what is allowed.
    """
    told = _checked(file, "", _parsed(file), _KEYS)
    folders = [_folder(file, number, table) for number, table in enumerate(told.pop("folder", []), 1)]
    return Settings(
        file,
        told.pop("database", None),
        tuple(told.pop("logs", ())),
        nearest_first(folders),
        {_PARAMETERS[key]: value for key, value in told.items()},
    )


def _folder(file: str, number: int, table: dict[str, Any]) -> Folder:
    where = f"folder {number}: "
    told = _checked(file, where, table, _FOLDER_KEYS)
    if "path" not in told:
        raise UsageMistake(f"{file}: {where}has no path, so it says nothing of any log")
    return folder_at(told["path"], told.get("zone"), told.get("label"))


def _parsed(file: str) -> dict[str, Any]:
    try:
        with open(file, encoding="utf-8-sig") as opened:  # some editors write a mark before the text
            return tomllib.loads(opened.read())
    except OSError as error:
        raise UsageMistake(
            f"{file}: can't be read ({(error.strerror or str(error)).lower()}): name the settings with "
            "--config or TOKENTAIL_CONFIG, or make them with `tokentail init`"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageMistake(f"{file}: is no text in UTF-8: save it as such") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageMistake(
            f"{file}: is no TOML: {error}. Text stands in quotes, a Windows path in single ones: 'C:\\logs'"
        ) from error


_Check = Callable[[str, Any], Any]


def _checked(file: str, where: str, told: dict[str, Any], keys: Mapping[str, _Check]) -> dict[str, Any]:
    """Return what a table says, each value as its key's check returns it."""
    found: dict[str, Any] = {}
    for key, value in told.items():
        if key not in keys:
            hint = "; it belongs above the first [[folder]]" if where and key in _KEYS else ""
            raise UsageMistake(f"{file}: {where}unknown key {key!r}{hint}: known are {', '.join(keys)}")
        try:
            found[key] = keys[key](file, value)
        except UsageMistake as error:
            raise UsageMistake(f"{file}: {where}{key}: {error}") from error
    return found


def _text(_: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise UsageMistake(f"must be text in quotes, not {_shown(value)}")
    return value


def _path(file: str, value: Any) -> str:
    """Return a path as from the current folder; in the file it is as from the file's."""
    path = _text(file, value)
    if path.startswith("sqlite:"):
        raise UsageMistake(f"must be a path, not the address {_shown(value)}")
    return os.path.join(os.path.dirname(file), os.path.expanduser(path))


def _metrics(file: str, value: Any) -> str:
    path = _path(file, value)
    if not path.endswith(".prom"):
        raise UsageMistake(f"must end in .prom, as node_exporter reads no other files, not {_shown(value)}")
    return path


def _texts(file: str, value: Any) -> list[str]:
    return [_text(file, one) for one in _list(value)]


def _paths(file: str, value: Any) -> list[str]:
    return [_path(file, one) for one in _list(value)]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise UsageMistake(f'must be a list in brackets, such as ["one", "other"], not {_shown(value)}')
    return value


def _zone(file: str, value: Any) -> str:
    return zone_named(_text(file, value)).name


def _jobs(_: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageMistake(f"must be a whole number from 1 up, not {_shown(value)}")
    return value


def _seconds(_: str, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise UsageMistake(f"must be a number of seconds from 0 up, not {_shown(value)}")
    return float(value)


def _tables(_: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise UsageMistake("must be tables, each headed [[folder]] in double brackets")
    return value


def _shown(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)


_KEYS: Mapping[str, _Check] = {
    "database": _path,
    "logs": _paths,
    "globs": _texts,
    "zone": _zone,
    "jobs": _jobs,
    "wait": _seconds,
    "metrics": _metrics,
    "folder": _tables,
}
"""What a file may say, and how each value is checked."""

_FOLDER_KEYS: Mapping[str, _Check] = {"path": _path, "zone": _zone, "label": _text}

_PARAMETERS = {"globs": "globs", "zone": "tz", "jobs": "jobs", "wait": "wait_seconds", "metrics": "metrics"}
"""The options that keys stand for, as commands call them."""
