"""Small web servers for tests: with ranges and ETags, or with neither; behind a password, or not."""

from __future__ import annotations

import base64
import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import ClassVar


class PlainHandler(http.server.SimpleHTTPRequestHandler):
    """As `python -m http.server`: whole files and their times; each request is noted."""

    requests: ClassVar[list[str]] = []
    user: ClassVar[bytes] = b""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
        """Note it."""
        self.requests.append(f"{self.command} {self.path} {int(code)}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def parse_request(self) -> bool:
        """Ask for the password first, where there is one."""
        understood = super().parse_request()
        asked = b"Basic " + base64.b64encode(self.user)
        if understood and self.user and self.headers.get("Authorization", "").encode() != asked:
            self.send_error(401)
            return False
        return understood


class RangeHandler(PlainHandler):
    """Gives the range that is asked for, and an ETag."""

    def do_GET(self) -> None:
        """Give a file, or a part of it."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Say what a file is."""
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            (super().do_GET if body else super().do_HEAD)()
            return
        data = path.read_bytes()
        asked = re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        first, last = (int(asked[1]), int(asked[2])) if asked else (0, len(data) - 1)
        part = data[first : last + 1]
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(part)))
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(data)}")
        self.end_headers()
        if body:
            self.wfile.write(part)


@contextmanager
def serving(folder: Path, handler: type[PlainHandler], user: bytes = b"") -> Iterator[tuple[str, list[str]]]:
    """Serve a folder; gives its URL, and the requests as they come."""
    kind = type("Handler", (handler,), {"requests": [], "user": user})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(kind, directory=str(folder))) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", kind.requests
        finally:
            server.shutdown()
            thread.join()
