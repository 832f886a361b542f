r"""The pieces into which a container runtime splits a line: CRI's `P` and `F`, Docker's `log` without `\n`.

    2025-12-29T08:40:02.1Z stderr P [2025-12-29 19:40:02] INFO: the beginn
    2025-12-29T08:40:02.2Z stderr F ing and the end
    {"log":"[2025-12-29 19:40:02] INFO: the beginn","stream":"stderr","time":"2025-12-29T08:40:02.1Z"}
    {"log":"ing and the end\n","stream":"stderr","time":"2025-12-29T08:40:02.2Z"}

Each stream has its own pieces; those of two streams may be interleaved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from parsers.prefix import INNER

_CRI = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d) (stdout|stderr) )([FP])( )"
)
_DOCKER = re.compile(rb"\{\s*\"log\"\s*:")
_OWN = re.compile(INNER.encode())


class Piece(NamedTuple):
    """One piece of a line: its stream, its text, whether it is the line's last, and whether it is CRI's."""

    stream: str
    text: str | bytes
    is_last: bool
    is_cri: bool

    @property
    def begins_own(self) -> bool:
        """Whether the text begins with one of the executor's own prefixes."""
        text = self.text if isinstance(self.text, bytes) else self.text[:200].encode("utf-8", "replace")
        return _OWN.match(text) is not None


def is_containers(data: bytes, start: int) -> bool:
    """Whether a container's line begins at an index of a block."""
    return _CRI.match(data, start) is not None or is_dockers(data, start)


def is_dockers(data: bytes, start: int) -> bool:
    """Whether a line of Docker's begins at an index of a block."""
    return _DOCKER.match(data, start) is not None


def piece_of(line: bytes) -> Piece | None:
    """Read a container's line; `None` if it is another one."""
    found = _CRI.match(line)
    if found is not None:
        return Piece(found[2].decode(), line[found.end() :], found[3] == b"F", is_cri=True)
    entry = _docker_entry(line)
    if entry is None:
        return None
    return Piece(f"docker {entry.get('stream')}", entry["log"], entry["log"].endswith("\n"), is_cri=False)


def _docker_entry(line: bytes) -> dict[str, Any] | None:
    if not _DOCKER.match(line):
        return None
    try:
        entry = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry.get("log"), str) else None


def joined(first: bytes, texts: Sequence[str | bytes]) -> tuple[bytes, list[int]]:
    """Join pieces to the line that the runtime would have written without splitting, at the first one's time.

    Returns:
        The line, and the index in it at which each piece's text begins.
    """
    found = _CRI.match(first)
    if found is not None:
        head = found[1] + b"F" + found[4]
        parts = [text for text in texts if isinstance(text, bytes)]
        return head + b"".join(parts), list(_starts(len(head), map(len, parts)))
    entry = _docker_entry(first) or {}
    strings = [text for text in texts if isinstance(text, str)]
    written = [json.dumps(text, ensure_ascii=False)[1:-1] for text in strings]
    others = json.dumps({key: value for key, value in entry.items() if key != "log"}, ensure_ascii=False)
    line = (
        f'{{"log":"{"".join(written)}", {others[1:]}'
        if len(others) > 2
        else f'{{"log":"{"".join(written)}"}}'
    )
    sizes = (len(text.encode("utf-8", "replace")) for text in written)
    return line.encode("utf-8", "replace"), list(_starts(len('{"log":"'), sizes))


def _starts(start: int, sizes: Iterator[int]) -> Iterator[int]:
    for size in sizes:
        yield start
        start += size
