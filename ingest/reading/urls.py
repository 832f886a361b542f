"""Paths that are URLs: which are, what may be shown of them, and how a list of paths is cut.

A password or a signature opens a door, so it is handed to the library that reads and to nobody else:
what is shown and stored has none.
"""

from __future__ import annotations

import re

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PASSWORD = re.compile(r"(://[^/?#@:]*):[^/?#]*@")
_USER = re.compile(r"://[^/?#]*@")
_SECRET = re.compile(
    r"x-(amz|goog)-|sig|token|key|credential|secret|pass|auth|policy|expires|accessid", re.IGNORECASE
)


def is_url(path: str) -> bool:
    """Whether a path is a URL; a drive's letter is no scheme."""
    return "://" in path and _SCHEME.match(path) is not None


def shown_url(url: str) -> str:
    """Return a URL without what opens doors: passwords, and for the web users and signed parameters."""
    if not url.lower().startswith(("http://", "https://")):
        return _PASSWORD.sub(r"\1@", url)
    place, _, query = _USER.sub("://", url, count=1).partition("#")[0].partition("?")
    kept = _open_parameters(query)
    return f"{place}?{kept}" if kept else place


def _open_parameters(query: str) -> str:
    """Return the parameters of a query that open nothing; where Azure signed them, all are its own."""
    parameters = [one for one in query.split("&") if one]
    names = {one.partition("=")[0].lower() for one in parameters}
    if "sig" in names:
        return ""
    return "&".join(one for one in parameters if not _SECRET.search(one.partition("=")[0]))


def without_secrets(text: str, url: str) -> str:
    """Return what a library said of a URL as it may be shown."""
    said = text.replace(url, shown_url(url))
    return re.sub(r"([?&][\w-]+)=[^\s&'\")]+", r"\1=...", _USER.sub("://", said))


def split_paths(text: str, separator: str) -> list[str]:
    """Cut a list of paths; the `:` of a scheme, a port or a password separates nothing."""
    paths: list[str] = []
    for part in text.split(separator):
        before = paths[-1] if paths else ""
        scheme = separator == ":" and part.startswith("//") and re.fullmatch(r"[A-Za-z][\w+.-]+", before)
        host_only = separator == ":" and is_url(before) and "/" not in before.partition("://")[2]
        if paths and (scheme or (host_only and not part.startswith("/"))):
            paths[-1] = f"{before}:{part}"
        else:
            paths.append(part)
    return [path for path in paths if path]
