"""What a family of lines is: one kind of message, known by how it opens.

A family claims a message by its `opening` alone (a pattern matched at the message's start, directly
after the prefix), and only then reads it. So a marker in the middle of a message is nothing, and
one alternation over all openings finds the lines that matter at the speed of a regular expression.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from parsers.records import Record

PHASE_TAG = r"\[[^\]\n]+\] "
"""How the executor opens a message about one phase: `[the-phase-id] `."""

TEXT = r"(?=\S)(.*(?u:\S))"
"""The rest of a message as a group, without white space at either end."""

TO_END = r"(.*(?u:\S))"
"""The same, whatever it begins with."""


_VARIABLE = re.compile(r"\\.|\[\^(?:\\.|[^\]\\])*\]|\[(?:\\.|[^\]\\])*\]|\(?\.")
"""What of a pattern may stand for any text: a dot, a value's first one, a class of all but some."""

_QUICK = {".": r"[\0-\t\x0b-9;-\x7f]", "(.": r"([\0-\t\x0b-9<>-\x7f]"}
"""What a dot stands for where no other line begins: that has a colon, a ruler or a picture in its head.

ASCII but `:`, and at a value's head but `;` and `=`. Said as what it is: a class of all but some takes
four times as long to compile.
"""

_QUICK_END = ("(?u:\\S)", r"(?u:[^\s:])")
"""A value's last character, in any line and in such a one."""


def _as_one_line(found: re.Match[str]) -> str:
    part = found[0]
    return part.replace("[^", "[^:", 1) if part.startswith("[^") else _QUICK.get(part, part)


class Shape:
    """How a whole message looks (without white space at its end), and what its groups mean.

    `pattern` is a regular expression for text, matched as ASCII, without named groups. It matches no
    newline, so that it can be tried on many lines at once; its first group is never empty where it matches,
    and none ends in white space at the message's end. `build` gets the groups in order (an empty text or
    `None` for one that took no part) and returns a record, or `None` where they say nothing.
    """

    def __init__(self, pattern: str, build: Callable[..., Record | None]) -> None:
        """Compile nothing yet: most logs show few families."""
        self.pattern = pattern
        self.build = build

    @property
    def quick_pattern(self) -> str:
        """The same for lines in which no other begins; it may leave one of those to `pattern`."""
        return _VARIABLE.sub(_as_one_line, self.pattern.replace(*_QUICK_END))

    @cached_property
    def _match(self) -> Callable[[str], re.Match[str] | None]:
        return re.compile(self.pattern, re.ASCII).fullmatch

    def __call__(self, message: str) -> Record | None:
        """Read a message."""
        found = self._match(message.rstrip())
        return None if found is None else self.build(*found.groups())


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of message.

    `opening` is a regular expression without groups or back-tracking traps, matched on the bytes
    at the start of the message; it is ASCII (any run of bytes stands for an emoji, which a capture
    may have turned into something else). `markers` are literals of which every line of the family, as
    it stands in the log, holds one, wherever; without any, the lines stand directly below a line of
    another family. `read` gets the whole message as text and returns its
    record, or `None` where the message opens like the family but is not one of it; where it is a
    `Shape`, all lines of a family in a block are read at once. `samples` are
    messages that `read` must understand, `near_misses` are messages that it must refuse.
    `needs_prefix` is false for what the executor prints without one; any other family found at the
    bare start of a line is a dump of something else (a model's answer may hold anything).
    """

    name: str
    markers: tuple[str, ...]
    opening: str
    read: Callable[[str], Record | None]
    samples: tuple[str, ...]
    near_misses: tuple[str, ...] = ()
    needs_prefix: bool = True
