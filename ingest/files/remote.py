"""Objects at URLs: found, looked up and opened through fsspec. The only module that talks to it.

fsspec's libraries find credentials in their usual places (environment, profiles, instance roles). An object's
key identifies it; its ETag, size and time show whether it changed.
"""

from __future__ import annotations

import hashlib
import io
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import IO, Any, cast

from ingest.errors import LogUnreadable, LogVanished
from ingest.files.ranges import ObjectState, Ranges
from ingest.files.trouble import trouble_of
from ingest.files.urls import shown_url

_ETAGS = ("ETag", "etag", "md5Hash", "content_md5", "Content-MD5", "checksum")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "Last-Modified", "created")
_BITS = 62
_SECOND = 1_000_000_000

Info = Mapping[str, Any]


def look_up(url: str) -> ObjectState:
    """Return the state of an object, with one request that reads no byte of it.

    Raises:
        LogVanished: there is none.
        LogUnreadable: it can't be reached.
    """
    with _named(url):
        files, path = _file_system(url)
        return _state(url, _info(files, path))


def listed(url: str, globs_text: str) -> Iterator[tuple[str, ObjectState, bool]]:
    """Yield the object that a URL names, or all objects below it, each with whether the URL names itself.

    Raises:
        LogVanished: there is nothing.
        LogUnreadable: it can't be reached, or listed.
    """
    with _named(url):
        files, path = _file_system(url)
        info: Info = {} if url.endswith("/") else _info(files, path)
        below = url.endswith("/") or info.get("type") == "directory" or str(info.get("url", "")).endswith("/")
        if not below:
            yield url, _state(url, info), True
            return
        found = files.find(path, detail=True)
        if not found and not files.exists(path):
            raise LogVanished(f"{shown_url(url)}: nothing here (looked for {globs_text})")
        for key, info in sorted(found.items()):
            object_url = _url_of(url, path, key)
            yield (
                object_url,
                _state(object_url, info if info.get("size") is not None else _info(files, key)),
                False,
            )


@contextmanager
def opened(url: str) -> Iterator[Ranges]:
    """Open an object as it is now.

    Raises:
        LogVanished: there is none.
        LogUnreadable: it can't be reached.
    """
    with _named(url):
        files, path = _file_system(url)
        raw = _opened(url, files, path)
    with raw:
        yield raw


def _opened(url: str, files: Any, path: str) -> Ranges:
    look = partial(look_up, url)
    whole = partial(files.open, path, "rb", block_size=0)
    if _is_s3(files):
        file = files.open(path, "rb", cache_type="none")
        return Ranges(url, file, _state(url, file.details), None, whole)  # it asks for its ETag in each range
    info = _info(files, path)
    state = _state(url, info)
    if not info.get("size"):
        raw = Ranges(url, io.BytesIO(), state, look, whole)
    else:
        file = files.open(path, "rb", cache_type="none", size=info["size"])
        raw = Ranges(url, cast(IO[bytes], file), state, look, whole)
    if info.get("size") is None or info.get("partial") is False:
        raw.fetch_whole()
    return raw


def _is_s3(files: Any) -> bool:
    return "s3" in files.protocol and not getattr(files, "local_expiry_check", False)


def _file_system(url: str) -> tuple[Any, str]:
    import fsspec  # noqa: PLC0415 - only where a path is a URL

    web = url.lower().startswith("http")
    options = {"headers": {"Accept-Encoding": "identity"}} if web else {"use_listings_cache": False}
    files, path = fsspec.core.url_to_fs(url, **options)
    return files, str(path)


def _info(files: Any, path: str) -> Info:
    found: Info = files.info(path)
    return found


def _url_of(url: str, path: str, key: str) -> str:
    """Return the URL of a key below a path, with the given scheme, host and account."""
    return key if "://" in key else url.rstrip("/") + key.removeprefix(path.rstrip("/"))


def _state(url: str, info: Info) -> ObjectState:
    etag = next((str(info[name]) for name in _ETAGS if info.get(name)), "")
    moment = _moment(next((info[name] for name in _TIMES if info.get(name)), None))
    second = 0 if moment is None else int(moment.timestamp()) * _SECOND
    # If nothing would show a change, the object is read each time.
    modified = second + _number(etag) % _SECOND if etag else second or time.time_ns()
    shown = shown_url(url)
    host = shown.partition("://")[2].partition("/")[0]
    return ObjectState(
        st_mode=stat.S_IFREG,
        st_dev=_number(host),
        st_ino=_number(shown),
        st_nlink=1,
        st_size=int(info.get("size") or 0),
        st_mtime_ns=modified,
        version=f"{etag} {second}",
        tagged=bool(etag),
    )


def _number(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - _BITS)


def _moment(value: object) -> datetime | None:
    """Return a time from a library: a `datetime`, seconds, or the text of a header or of ISO 8601."""
    try:
        if isinstance(value, datetime):
            return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        text = str(value or "")
        return parsedate_to_datetime(text) if "," in text else datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None


@contextmanager
def _named(url: str) -> Iterator[None]:
    """Turn what libraries raise into errors that name the object and the next step.

    Raises:
        LogVanished, LogUnreadable: for anything that a library raises.
    """
    try:
        yield
    except (LogUnreadable, GeneratorExit):
        raise
    except Exception as error:
        raise trouble_of(error, url) from error
