"""`tokentail.toml`: values of options that are neither typed nor in the environment.

A key stands for an option: Click reads it from the command's `default_map`, and checks it as if it had been
typed. This module is imported only if there is such a file, since most of its imports serve nothing else.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import click
from click.core import ParameterSource

from ingest.errors import UsageMistake
from ingest.files.folders import Folder, folder_at, nearest_first
from ingest.files.urls import is_url
from ingest.reading.zone import zone_named

_PARAMETERS = {
    "database": "db",
    "logs": "paths",
    "globs": "globs",
    "zone": "tz",
    "prefix": "prefix",
    "jobs": "jobs",
    "wait": "wait_seconds",
    "metrics": "metrics",
}
"""The keys that may stand before the first `[[folder]]`, each with the name of its parameter in Click."""

_FOLDER_KEYS = ("path", "zone", "label")
_PATHS = ("database", "logs", "metrics", "path")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in `file`: `defaults` by the names of Click's parameters; folders, the deepest first."""

    file: str
    defaults: dict[str, Any]
    folders: tuple[Folder, ...]

    def mistake(self, error: click.UsageError) -> str | None:
        """Return a message that names the key whose value Click refused; `None` for any other error."""
        parameter = error.param if isinstance(error, click.BadParameter) else None
        if error.ctx is None or parameter is None or parameter.name is None:
            return None
        if error.ctx.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT_MAP:
            return None
        key = next(key for key, name in _PARAMETERS.items() if name == parameter.name)
        return f"{self.file}: {key}: {error.message}"


def read_settings(file: str) -> Settings:
    """Read a file of settings.

    Raises:
        UsageMistake: it can't be read, is no TOML, or has a key or a value that isn't allowed; the message
            names the file, the key and what is allowed.
    """
    top = _parsed(file)
    tables = top.pop("folder", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageMistake(f"{file}: folder: must be tables, each headed [[folder]] in double brackets")
    defaults = {_PARAMETERS[key]: value for key, value in _values(file, "", top, _PARAMETERS).items()}
    folders = [_folder(file, f"folder {number}: ", table) for number, table in enumerate(tables, 1)]
    return Settings(file, defaults, nearest_first(folders))


def _parsed(file: str) -> dict[str, Any]:
    try:
        with open(file, encoding="utf-8-sig") as opened:  # some editors begin a file with a byte order mark
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


def _folder(file: str, where: str, table: dict[str, Any]) -> Folder:
    values = _values(file, where, table, _FOLDER_KEYS)
    if "path" not in values:
        raise UsageMistake(f"{file}: {where}has no path, so it says nothing of any log: add one")
    return folder_at(values["path"], values.get("zone"), values.get("label"))


def _values(file: str, where: str, table: dict[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """Return the values of a table, in the form that Click takes as defaults; `where` begins messages."""
    found = {}
    for key, value in table.items():
        if key not in keys:
            hint = "; it belongs above the first [[folder]]" if where and key in _PARAMETERS else ""
            known = ", ".join(keys if where else [*keys, "folder"])
            raise UsageMistake(f"{file}: {where}unknown key {key!r}{hint}: known are {known}")
        try:
            found[key] = _value(file, key, value)
        except UsageMistake as error:
            raise UsageMistake(f"{file}: {where}{key}: {error}") from error
    return found


def _value(file: str, key: str, value: Any) -> Any:
    if key in ("jobs", "wait"):
        return str(value).lower()  # text: Click reads it as if it had been typed
    if key not in ("logs", "globs"):
        return _text(file, key, value)
    if not isinstance(value, list):
        raise UsageMistake(f'must be a list in brackets, such as ["one", "other"], not {value!r}')
    return [_text(file, key, item) for item in value]


def _text(file: str, key: str, value: Any) -> str:
    """Return a checked text: of a zone its name, of a relative path the one below the settings' folder."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise UsageMistake(f"must be text in quotes, not {value!r}")
    if key == "zone":
        return zone_named(value).name
    if key not in _PATHS or (key == "logs" and is_url(value)):
        return value
    if value.startswith("sqlite:"):
        raise UsageMistake(f"must be a path, not the address {value!r}")
    return os.path.join(os.path.dirname(file), os.path.expanduser(value))
