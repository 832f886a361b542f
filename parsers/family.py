"""A family of lines: one kind of message, recognised by its opening.

A message belongs to a family if it begins with the family's `opening`, a pattern that is matched directly
after the prefix. So a marker in the middle of a message doesn't count, and one alternation of all openings
finds the family of any message.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from parsers.records import Record

PHASE_TAG = r"\[[^\]\n]+\] "
"""The beginning of a message about one phase: `[the-phase-id] `."""

TEXT = r"(?=\S)(.*(?u:\S))"
"""The rest of a message as a group, without white space at either end."""

TO_END = r"(.*(?u:\S))"
"""The same, which may begin with white space."""


_VARIABLE = re.compile(r"\\.|\[\^(?:\\.|[^\]\\])*\]|\[(?:\\.|[^\]\\])*\]|\(?\.")
"""The parts of a pattern that match any text: a dot, a dot at the head of a value, a negated class."""

_QUICK = {".": r"[\0-\t\x0b-9;-\x7f]", "(.": r"([\0-\t\x0b-9<>-\x7f]"}
"""What replaces a dot in quick patterns, so that they don't match text in which another line may begin.

Such text has a colon, a ruler or a picture. So this is ASCII but `:`, and at a value's head but `;` and `=`,
too. It is a positive class, since a negated one takes four times as long to compile.
"""

_QUICK_END = ("(?u:\\S)", r"(?u:[^\s:])")
"""The last character of a value, in a pattern and in its quick form."""


def _as_one_line(found: re.Match[str]) -> str:
    part = found[0]
    return part.replace("[^", "[^:", 1) if part.startswith("[^") else _QUICK.get(part, part)


class Shape:
    """The pattern of a whole message (without white space at its end), and what builds a record of it.

    `pattern` is a regular expression for text, matched as ASCII, without named groups. It matches no
    newline, so that it can be used on many lines at once. Its first group is never empty, and no group ends
    in white space at the message's end. `build` gets the groups in order (an empty text or `None` for one
    that took no part) and returns a record, or `None` if they give none.
    """

    def __init__(self, pattern: str, build: Callable[..., Record | None]) -> None:
        """Keep the pattern; it is compiled when it is used, since most logs have few families."""
        self.pattern = pattern
        self.build = build

    @property
    def quick_pattern(self) -> str:
        """A faster pattern, for lines in which no other line begins; what it doesn't match, `pattern` may."""
        return _VARIABLE.sub(_as_one_line, self.pattern.replace(*_QUICK_END))

    @cached_property
    def _match(self) -> Callable[[str], re.Match[str] | None]:
        return re.compile(self.pattern, re.ASCII).fullmatch

    def __call__(self, message: str) -> Record | None:
        """Read a message; `None` if it doesn't match."""
        found = self._match(message.rstrip())
        return None if found is None else self.build(*found.groups())


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of message.

    `opening` is a regular expression without groups or catastrophic backtracking, matched on the bytes at the
    start of the message. It is ASCII; any run of bytes matches an emoji, which a capture may have changed.
    Every line of the family has one of the literals `markers`, anywhere; lines of a family without markers
    are directly below a line of another family. `read` gets the whole message as text and returns its
    record, or `None` if the message is not one of the family after all; if `read` is a `Shape`, all lines of
    a family in a block are read at once. `samples` are messages that `read` must understand, `near_misses`
    messages that it must refuse. `needs_prefix` is false for lines that the executor prints without a
    prefix; other families without one are ignored, since a model's answer may hold anything.
    """

    name: str
    markers: tuple[str, ...]
    opening: str
    read: Callable[[str], Record | None]
    samples: tuple[str, ...]
    near_misses: tuple[str, ...] = ()
    needs_prefix: bool = True
