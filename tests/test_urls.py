"""Paths that are URLs: what is shown of them, and how a list of them is cut."""

from __future__ import annotations

import pytest

from ingest.files.urls import is_url, shown_url, split_paths, without_secrets


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("s3://bucket/key", True),
        ("https://host/x", True),
        ("/var/log/a://b", False),
        ("C:\\logs\\x.log", False),
        ("C://logs", False),
        ("logs/run.log", False),
        ("-", False),
    ],
)
def test_what_has_a_scheme_is_a_url(path: str, url: bool) -> None:
    """A drive's letter, or a colon deeper in a path, makes no URL."""
    assert is_url(path) is url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:s3cret@host:81/a.log", "http://host:81/a.log"),
        ("https://t0ken@host/a.log", "https://host/a.log"),
        ("https://host/a@b.log", "https://host/a@b.log"),
        ("https://h/a.log?X-Amz-Signature=s3cret&X-Amz-Date=1", "https://h/a.log"),
        ("https://h/a.log?sv=2024&se=now&sig=s3cret", "https://h/a.log"),
        ("https://h/get?file=a.log&access_token=s3cret#part", "https://h/get?file=a.log"),
        ("s3://bucket/a?b.log", "s3://bucket/a?b.log"),
        ("abfs://box@account.dfs.core.windows.net/a.log", "abfs://box@account.dfs.core.windows.net/a.log"),
        ("sftp://me:s3cret@host/a.log", "sftp://me@host/a.log"),
    ],
)
def test_what_is_shown_of_a_url_opens_nothing(url: str, shown: str) -> None:
    """Neither passwords nor signatures are shown or stored; the names of things are."""
    assert shown_url(url) == shown
    assert "s3cret" not in without_secrets(f"GET {url} failed, tried '{url}'", url)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("/var/log:logs", ["/var/log", "logs"]),
        ("s3://bucket/a:/var/log", ["s3://bucket/a", "/var/log"]),
        ("/a:https://host:8443/b:c", ["/a", "https://host:8443/b", "c"]),
        ("http://me:pw@host:81/b:gs://x/y", ["http://me:pw@host:81/b", "gs://x/y"]),
        ("::a:", ["a"]),
    ],
)
def test_colons_of_a_url_separate_nothing(text: str, paths: list[str]) -> None:
    """TOKENTAIL_LOGS may hold URLs with ports and passwords among paths."""
    assert split_paths(text, ":") == paths


def test_windows_paths_are_cut_at_semicolons() -> None:
    """Where `;` separates, a colon never does."""
    assert split_paths("C:\\a;s3://b/c;D:\\d", ";") == ["C:\\a", "s3://b/c", "D:\\d"]
