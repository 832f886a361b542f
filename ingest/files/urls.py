"""URLs of logs, among paths: told apart from them, shown without their secrets, and cut out of a list.

A password or a signature in a URL is a secret: it is given to the library that reads the object, and is
neither shown nor stored.
"""

from __future__ import annotations

import re

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


def shown_url(url: str) -> str:
    """Return a URL without its secrets: passwords, and for the web also users and signed parameters."""
    if not url.lower().startswith(("http://", "https://")):
        return re.sub(_USER_AND_MORE, r"\1@", url)
    place, _, query = re.sub(_USER, "://", url, count=1).partition("#")[0].partition("?")
    kept = _open_parameters(query)
    return f"{place}?{kept}" if kept else place


def _open_parameters(query: str) -> str:
    """Return the parameters of a query that are no secrets; none if Azure signed them."""
    parameters = [parameter for parameter in query.split("&") if parameter]
    names = {parameter.partition("=")[0].lower() for parameter in parameters}
    if "sig" in names:
        return ""
    return "&".join(
        parameter
        for parameter in parameters
        if not re.search(_OPENING, parameter.partition("=")[0], re.IGNORECASE)
    )


def without_secrets(text: str, url: str) -> str:
    """Return a library's message about a URL without the URL's secrets."""
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
