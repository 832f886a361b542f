"""The command that installs a missing package, for the way in which this program was installed."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

_CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

_OF_EXTRA = re.compile(r"""^(?P<requirement>[^;]+?)\s*;\s*extra == ["'](?P<extra>[\w-]+)["']$""")


def extra_command(extra: str) -> str:
    """Return the command that installs what an extra needs beside this very program."""
    try:
        found = [_OF_EXTRA.match(requirement) for requirement in requires("tokentail") or ()]
    except PackageNotFoundError:  # run from a checkout that nobody installed
        found = []
    packages = [match["requirement"] for match in found if match and match["extra"] == extra]
    return install_command(packages or [f"{_CHECKOUT}[{extra}]"])


def install_command(packages: Sequence[str]) -> str:
    """Return the command that installs packages beside this very program, by whatever installed that."""
    words = " ".join(map(_word, packages))
    parts = os.path.normpath(sys.prefix).split(os.sep)
    if "pipx" in parts and "venvs" in parts:
        return f"pipx inject {_word(parts[-1])} {words}"
    if ("uv" in parts and "tools" in parts) or find_spec("pip") is None:
        return f"uv pip install --python {_word(sys.executable)} {words}"
    return f"{_word(sys.executable)} -m pip install {words}"


def _word(text: str) -> str:
    if os.name == "nt":
        return f'"{text}"' if re.search(r"[^\w.:\\/-]", text) else text
    return shlex.quote(text)
