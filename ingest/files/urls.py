"""Paths that are URLs: which are, who reads them, what may be shown of them, and how a list of paths is cut.

A password or a signature opens a door, so it is handed to the library that reads and to nobody else:
what is shown and stored has none.
"""

from __future__ import annotations

import re
from types import ModuleType

# Patterns are compiled by the calls: most runs have no URL, and compiling delays each start.

_USER_AND_MORE = r"(://[^/?#@:]*):[^/?#]*@"
_USER = r"://[^/?#]*@"
_OPENING = r"x-(amz|goog)-|sig|token|key|credential|secret|pass|auth|policy|expires|accessid"
_WITHIN_SCHEME = str.maketrans("", "", "+.-")


def is_url(path: str) -> bool:
    """Whether a path is a URL; a drive's letter is no scheme."""
    if "://" not in path:
        return False
    scheme = path.partition("://")[0]
    plain = scheme.translate(_WITHIN_SCHEME)
    return len(scheme) > 1 and scheme[0].isalpha() and plain.isascii() and plain.isalnum()


def remote() -> ModuleType:
    """Return what reads them, imported where the first URL is: it takes a quarter of an idle ingest."""
    from ingest.files import remote as reader  # noqa: PLC0415

    return reader


def shown_url(url: str) -> str:
    """Return a URL without what opens doors: passwords, and for the web users and signed parameters."""
    if not url.lower().startswith(("http://", "https://")):
        return re.sub(_USER_AND_MORE, r"\1@", url)
    place, _, query = re.sub(_USER, "://", url, count=1).partition("#")[0].partition("?")
    kept = _open_parameters(query)
    return f"{place}?{kept}" if kept else place


def _open_parameters(query: str) -> str:
    """Return the parameters of a query that open nothing; where Azure signed them, all are its own."""
    parameters = [one for one in query.split("&") if one]
    names = {one.partition("=")[0].lower() for one in parameters}
    if "sig" in names:
        return ""
    return "&".join(
        one for one in parameters if not re.search(_OPENING, one.partition("=")[0], re.IGNORECASE)
    )


def without_secrets(text: str, url: str) -> str:
    """Return what a library said of a URL as it may be shown."""
    said = re.sub(_USER, "://", text.replace(url, shown_url(url)))
    return re.sub(r"([?&][\w-]+)=[^\s&'\")]+", r"\1=...", said)


def split_paths(text: str, separator: str) -> list[str]:
    """Cut a list of paths; the `:` of a scheme, a port or a password separates nothing."""
    paths: list[str] = []
    for part in text.split(separator):
        before = paths[-1] if paths else ""
        scheme = separator == ":" and part.startswith("//") and is_url(f"{before}:{part}")
        host_only = separator == ":" and is_url(before) and "/" not in before.partition("://")[2]
        if paths and (scheme or (host_only and not part.startswith("/"))):
            paths[-1] = f"{before}:{part}"
        else:
            paths.append(part)
    return [path for path in paths if path]
