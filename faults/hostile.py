"""Hostile lines, chosen by the bytes of an input: what anybody may get into an executor's log."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from parsers.registry import FAMILIES

Choice = TypeVar("Choice")

FIRST_NUMBER = 700_000_000_000
"""Valid events have their own predicted tokens, counting from here; nothing else here has such numbers."""


class Draws:
    """Choices made by the bytes of an input, from its start on; the first choice where it is used up."""

    def __init__(self, data: bytes) -> None:
        """Begin at the first byte."""
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are not used yet."""
        return max(0, len(self._data) - self._at)

    def raw(self, count: int) -> bytes:
        """Take so many bytes, or all there are."""
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def number(self, below: int) -> int:
        """Choose a number below a limit."""
        return int.from_bytes(self.raw(1 if below <= 256 else 3), "little") % below

    def pick(self, choices: Sequence[Choice]) -> Choice:
        """Choose one of several."""
        return choices[self.number(len(choices))]


TEXTS = (
    *("docs", "x" * 300, " ", "None", "True", "unknown", "\t", "'", '"', "\\", "--", "%s %n", "{0}", "$(id)"),
    *("'; DROP TABLE token_estimation_v2_events; --", "\x00", "a\x00b", "\x0b\x0c\x1c\x85\u2028"),
    *("<script>alert(1)</script>", "</style><!--", "\x1b[2J\x1b]52;c;eHg\x07", "\x9b31m", "\u202e\u2066"),
    *(
        "@SUM(A1)",
        "+1",
        "-1",
        "1e999",
        "nan",
        "inf",
        "NULL",
        "[]",
        "[p] ",
        "] ",
        "✅",
        "漢字",
        "e\u0301",
        "😀",
    ),
    *("\ufeff", "\ufffd", "\ufffe", "\u0a0a\u0d0a", "../../etc/passwd", "C:\\x\\y", "[TokenEstimationV2]"),
)
"""Values that a valid event may have: no newline, which would end the line, and no `=`, which would begin
another field."""

NUMBERS = (
    *("-1", "+1", "0", "007", "1.5", "1e5", "0x10", "1_000", "", " ", "nan", "inf", "-inf", "None", "True"),
    *("٣٤", "１２", "²", "9" * 18, "9" * 19, "9" * 1000, str(2**63), str(-(2**63)), "0" * 999 + "1"),
)
TIMES = (
    *("2026-01-14 09:00:00", "0001-01-01 00:00:00", "9999-12-31 23:59:59", "0000-00-00 00:00:00"),
    *("2026-02-30 09:00:00", "2026-01-14 25:61:61", "٢٠٢٦-٠١-١٤ ٠٩:٠٠:٠٠", "2026-03-29 02:30:00"),
    *("2026-01-14 09:00:00.123456789", "2026-01-14 09:00:00,1", "2026-01-14T09:00:00Z", "2026-01-14"),
)
LITERALS = (
    *(
        "'a'",
        '"it\'s"',
        "'\\N{DASH}'",
        "'\\x4'",
        "'\\u12'",
        "'\\777'",
        "'\\ud800'",
        "'\\'",
        "'a' 'b'",
        "b'a'",
    ),
    *("f'{1}'", "'a',", "['b']", "1", "'" + "\\\\" * 400 + "'", "'\\\n'", "'\\0'", "''", "'\x00'", "'a\r'"),
    *('"""x"""', "r'\\'", "'" + "é" * 300 + "'", "__import__('os')", "'=1+1'", "'../..'", "'\\U00110000'"),
)
BROKEN = (
    *(b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf0\x80\x80\xaf", b"\x80"),
    *(
        b"\x00",
        b"\r",
        b"\x1a",
        b"\x1f\x8b\x08",
        b"BZh9",
        b"\xfd7zXZ\x00",
        b"\x28\xb5\x2f\xfd",
        b"SQLite format 3\x00",
    ),
)
KEYS = ("predicted_output", "actual_output", "selected_budget", "deliverables", "smape", "success", "model")


def event_message(predicted: object, **changed: object) -> str:
    """Build an event message of the full form."""
    fields: dict[str, object] = {
        "predicted_output": predicted,
        "actual_output": 1157,
        "smape": "127.2%",
        "selected_budget": 8192,
        "category": "docs",
        "complexity": "low",
        "deliverables": 1,
        "success": True,
        "stop_reason": "end_turn",
        "truncated": False,
        "model": "some-model-4",
    }
    return "[TokenEstimationV2] " + " ".join(f"{key}={value}" for key, value in (fields | changed).items())


def logged(message: str, at: str = "2026-01-14 09:00:00") -> str:
    """Put the executor's own prefix before a message."""
    return f"[{at}] INFO: {message}"


def valid_line(draws: Draws, number: int) -> str:
    """Return an event line that must become one row, its values as hostile as values may be."""
    at = f"2026-01-14 09:{number // 60 % 60:02}:{number % 60:02}"
    values = {name: draws.pick(TEXTS) for name in ("category", "complexity", "stop_reason")}
    message = event_message(FIRST_NUMBER + number, **values, model=f"{draws.pick(TEXTS)}m")
    forms: tuple[Callable[[], str], ...] = (
        lambda: logged(message, at),
        lambda: f"[{at}] [WARNING] {message}",
        lambda: f"{at},427 - executor.clients - INFO - {message}",
        lambda: "python : " + logged(message, at),
        lambda: json.dumps({"timestamp": at, "message": logged(message, at)}),
        lambda: json.dumps({"log": logged(message, at) + "\n", "time": "2026-01-14T09:00:00Z"}),
        lambda: f"2026-01-14T09:00:00.123456789Z stderr F {logged(message, at)}",
        lambda: f"Jan 14 09:00:00 box executor[7]: {logged(message, at)}",
    )
    return draws.pick(forms)()


def _forged(draws: Draws) -> str:
    line = logged(event_message(draws.number(2**24)), draws.pick(TIMES))
    around = draws.pick(
        (
            "{}",
            "> {}",
            '"{}"',
            "model said: {}",
            "\t{}",
            "{}\r{}",
            "\ufeff{}",
            "[2026-01-14 09:00:00] INFO: {}",
            "python : python : {}",
        )
    )
    return around.replace("{}", line)


def _bad_number(draws: Draws) -> str:
    return logged(event_message(5, **{draws.pick(KEYS): draws.pick(NUMBERS)}), draws.pick(TIMES))


def _bad_keys(draws: Draws) -> str:
    message = event_message(draws.pick(TEXTS), category=f"{draws.pick(TEXTS)}={draws.pick(TEXTS)}")
    many = " ".join(f"k{number}=v" for number in range(draws.pick((1, 10, 10_000))))
    return logged(draws.pick((f"{message} {many}", f"[TokenEstimationV2] {many}", message * 3)))


def _cut_off(draws: Draws) -> str:
    line = logged(event_message(draws.number(256)))
    return line[: draws.number(len(line))]


def _json(draws: Draws) -> str:
    message, at = draws.pick((event_message(3), event_message(3) + "\n" + logged(event_message(4)))), TIMES
    value: object = draws.pick((message, None, 1, [message], {"message": message}, logged(message), "\ud800"))
    entries: tuple[object, ...] = (
        {"message": value, "timestamp": draws.pick(at)},
        {"log": value, "time": draws.pick((*at, 1e308, None))},
        {"message": "x" * 70_000, "timestamp": at[0]},
    )
    nest = draws.pick((10, 900, 50_000))
    texts = (
        json.dumps(draws.pick(entries)),
        json.dumps(draws.pick(entries))[:-1],
        '{"message": ' + "[" * nest,
        '{"message": ' + "[" * nest + "]" * nest + "}",
        '{"a":' * nest + "1" + "}" * nest,
        '{"message": "a", "message": ' + json.dumps(message) + ', "timestamp": 1e999}',
        '{"message": ' + "9" * 5000 + "}",
        '{"\\u006dessage": ' + json.dumps(message) + ', "timestamp": "2026-01-14 09:00:00"}',
    )
    return draws.pick(texts)


def _paths(draws: Draws) -> str:
    items = [draws.pick(LITERALS) for _ in range(draws.number(4))] * draws.pick((1, 1, 1000))
    listed = draws.pick(("[{}]", "[{}", "{}]", "[[{}]]", "[{}, ]", "[ {}]")).replace("{}", ", ".join(items))
    return logged(
        draws.pick(("[p] Applied files: ", "[Scope] Scope paths: ", "[]] Applied files: ")) + listed
    )


def _context(draws: Draws) -> str:
    sample = draws.pick([text for family in FAMILIES[1:] for text in (*family.samples, *family.near_misses)])
    words = sample.split(" ")
    for _ in range(draws.number(3)):
        words[draws.number(len(words))] = draws.pick((*TEXTS, *NUMBERS, "phase=p=q", "p]", "a" * 2000))
    text = " ".join(words)
    return draws.pick((logged(text), text, f"2026-01-14T09:00:00Z stdout P {text}"))


def _repeated(draws: Draws) -> str:
    piece = draws.pick(
        (
            "[",
            "[a] ",
            "] ",
            " ",
            "key=",
            "(",
            "'",
            '"',
            "\\",
            "{",
            '{"',
            "=",
            "[TOKEN_BUDGET] phase=",
            "\u2192",
        )
    )
    opening = draws.pick(
        ("", "[TOKEN_BUDGET] phase=", "[p] Applied files: [", "[LOCK] Acquired executor lock for run_id=")
    )
    return logged(opening + piece * draws.pick((7, 300, 20_000)))


def _raw(draws: Draws) -> bytes:
    return draws.raw(draws.number(80))


def _broken(draws: Draws) -> bytes:
    return draws.pick(BROKEN) * (1 + draws.number(3)) + _forged(draws).encode() + draws.pick(BROKEN)


def _wide(draws: Draws) -> bytes:
    return draws.pick((_forged(draws), "text", "\u0a0a\u0a00")).encode(draws.pick(("utf-16-le", "utf-16-be")))


def _overlong(draws: Draws) -> bytes:
    if draws.number(32):  # a megabyte a line is slow
        return b""
    return draws.pick((logged(event_message(9)), "x")).encode() + b"y" * ((1 << 20) + draws.number(3) - 1)


GARBAGE: dict[str, Callable[[Draws], str | bytes]] = {
    "raw": _raw,
    "forged": _forged,
    "bad number": _bad_number,
    "bad keys": _bad_keys,
    "cut off": _cut_off,
    "json": _json,
    "paths": _paths,
    "context": _context,
    "repeated": _repeated,
    "broken": _broken,
    "wide": _wide,
    "overlong": _overlong,
}
"""Kinds of lines that must neither become one of the counted events nor hide one."""


def garbage_line(kind: str, draws: Draws) -> bytes:
    """Return a line of one kind as bytes, without its newline."""
    made = GARBAGE[kind](draws)
    line = made.encode("utf-8", "surrogatepass") if isinstance(made, str) else made
    return line.replace(b"\n", b"")
