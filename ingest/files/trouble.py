"""Errors of remote stores' libraries, turned into messages with the reason and the next step.

The libraries raise many kinds of exceptions, and their texts may hold the URL with its password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ingest.errors import LogUnreadable, LogVanished
from ingest.extras import extra_command, install_command
from ingest.files.urls import shown_url, without_secrets

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
_PACKAGES |= {"abfss": "adlfs", "http": "aiohttp", "https": "aiohttp"}
_NETWORK = re.compile(
    r"connect|timeout|timed out|resolve|unreachable|disconnected|name or service|network|ssl", re.IGNORECASE
)
_DENIED = re.compile(r"forbidden|denied|unauthori|credential|signature|access.?key", re.IGNORECASE)


def trouble_of(error: Exception, url: str) -> LogUnreadable:
    """Return an error of ours that names the object, the reason and the next step."""
    shown, scheme = shown_url(url), url.partition("://")[0].lower()
    causes = list(_causes(error))
    root = causes[-1]  # fsspec says of anything on the web that it is not found
    reason = _short(without_secrets(str(root) or type(root).__name__, url))
    statuses = (getattr(cause, "status", None) for cause in causes)
    status = next((number for number in statuses if isinstance(number, int)), 0)
    message = f"{type(root).__name__} {root}"
    if any(isinstance(cause, ImportError) for cause in causes):
        return LogUnreadable(f"{shown}: {_missing(scheme)}")
    if isinstance(error, ValueError) and "rotocol" in message:
        return LogUnreadable(f"{shown}: nothing known reads {scheme}://; s3, gs, az, http and https are")
    if status in (401, 403) or isinstance(error, PermissionError) or (not status and _DENIED.search(message)):
        return LogUnreadable(f"{shown}: access denied ({reason}): {_credentials(scheme)}")
    if not status and (isinstance(root, ConnectionError | TimeoutError) or _NETWORK.search(message)):
        advice = "check the network and the endpoint; the next run goes on"
        return LogUnreadable(f"{shown}: can't be reached ({reason}): {advice}")
    if status in (404, 410) or (not status and isinstance(error, FileNotFoundError)):
        return LogVanished(f"{shown}: no such object, folder or bucket: check the name, and the endpoint")
    return LogUnreadable(
        f"{shown}: can't be read ({type(root).__name__}: {reason}): the next run tries again"
    )


def _missing(scheme: str) -> str:
    package = _PACKAGES.get(scheme)
    if package in ("gcsfs", "adlfs"):
        return f"reading {scheme}:// needs {package}: {install_command(['fsspec', package])}"
    what = f" ({package})" if package else ""
    return f'reading {scheme}:// needs the extra "remote"{what}: {extra_command("remote")}'


def _credentials(scheme: str) -> str:
    package = _PACKAGES.get(scheme)
    if package == "s3fs":
        return "give credentials as for the AWS command line (AWS_PROFILE, AWS_ACCESS_KEY_ID and others)"
    if package == "gcsfs":
        return "log in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
    if package == "adlfs":
        return "set AZURE_STORAGE_ACCOUNT_NAME and a key, a SAS token or a login for it"
    return "is the user, the password or the signature right?"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:197]}..."
