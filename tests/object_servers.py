"""Servers of objects for tests: of S3, Azure and, by way of S3, Google, where they are installed; a proxy of faults."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

BUCKET = "lab"
"""Which each server has, empty."""


class Proxy:
    """Hands connections on to a port; ``faults`` meet the next connections, one each: refused, cut, slow, 503."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.faults: list[str] = []
        self.n_met = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                ours, _ = self._socket.accept()
            except OSError:
                return
            fault = self.faults.pop(0) if self.faults else ""
            self.n_met += bool(fault)
            threading.Thread(target=self._connect, args=(ours, fault), daemon=True).start()

    def _connect(self, ours: socket.socket, fault: str) -> None:
        with ours:
            if fault == "refused":
                return
            if fault == "503":
                ours.recv(65536)
                ours.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            if fault == "slow":
                time.sleep(0.5)
            with socket.create_connection(("127.0.0.1", self._to)) as theirs:
                back = threading.Thread(
                    target=_pump, args=(theirs, ours, 200 if fault == "cut" else None), daemon=True
                )
                back.start()
                _pump(ours, theirs, None)
                back.join()

    def close(self) -> None:
        """Take no more connections."""
        self._socket.close()


def _pump(source: socket.socket, target: socket.socket, most: int | None) -> None:
    """Hand bytes on until the source ends, or ``most`` of them."""
    try:
        while data := source.recv(65536 if most is None else most):
            target.sendall(data)
            if most is not None and (most := most - len(data)) <= 0:
                break
    except OSError:
        pass
    finally:
        for each in (source, target) if most is not None else (target,):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR if most is not None else socket.SHUT_WR)


class Kind(NamedTuple):
    """A server of objects that a test may start."""

    program: str
    """An environment of its own may hold it: some ask for older packages than others here."""
    remedy: str
    """What installs it."""
    options: Callable[[int, Path], list[str]]
    """By port, and a folder for its files."""
    bucket: Callable[[int], urllib.request.Request]
    """What makes the bucket."""
    variables: Callable[[int], dict[str, str]]
    """What has sercache speak to it."""
    front: Callable[[int], AbstractContextManager[int]] = nullcontext
    """What stands before it: gives its port."""

    @property
    def absent(self) -> str:
        """Why it cannot be started; empty where it can."""
        return "" if shutil.which(self.program) else f"{self.program} is not on the PATH: {self.remedy}"


_ACCOUNT = "devstoreaccount1"
"""The account that Azure's emulator has, with a key that everybody knows."""
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def _azure_container(port: int) -> urllib.request.Request:
    """Signed as https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key asks."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    text = "PUT" + 12 * "\n" + "".join(f"{name}:{value}\n" for name, value in headers.items())
    text += f"/{_ACCOUNT}/{_ACCOUNT}/{BUCKET}\nrestype:container"
    signed = base64.b64encode(hmac.new(base64.b64decode(_KEY), text.encode(), hashlib.sha256).digest())
    headers["Authorization"] = f"SharedKey {_ACCOUNT}:{signed.decode()}"
    address = f"http://127.0.0.1:{port}/{_ACCOUNT}/{BUCKET}?restype=container"
    return urllib.request.Request(address, method="PUT", headers=headers)


class _Google(BaseHTTPRequestHandler):
    """Google's XML API, which is S3's but for what conditions are called, from a server of S3.

    No server of Google's that installs here answers what obstore sends: fake-gcs-server takes no plain puts, and
    gcp-storage-emulator lists nothing through that API.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments: object) -> None:
        """Quiet."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: self.headers[name] for name in ("Range", "Content-Type") if name in self.headers}
        if self.headers.get("x-goog-if-generation-match") == "0":
            headers["If-None-Match"] = "*"
        if self.headers.get("Authorization") != "Bearer anything":
            self.send_error(401)
            return
        headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=somebody/20260101/us-east-1/s3/aws4_request"
        connection = http.client.HTTPConnection("127.0.0.1", self.server.to)  # type: ignore[attr-defined]
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name in ("ETag", "Last-Modified", "Content-Range", "Content-Type"):
            if value := answer.getheader(name):
                self.send_header(name, value)
        self.send_header("x-goog-generation", "1")
        size = answer.getheader("Content-Length", "0") if self.command == "HEAD" else f"{len(data)}"
        self.send_header("Content-Length", size)
        self.end_headers()
        self.wfile.write(data)
        connection.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer


@contextmanager
def _as_google(port: int) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Google)
    server.daemon_threads = True
    server.to = port  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


KINDS = {
    "s3": Kind(
        program="moto_server",
        remedy="pipx install 'moto[server]'",
        options=lambda port, folder: ["-p", f"{port}"],
        bucket=lambda port: urllib.request.Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT"),
        variables=lambda port: {
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        },
    ),
    "az": Kind(
        program="azurite-blob",
        remedy="npm install --global azurite",
        options=lambda port, folder: [
            "--blobPort", f"{port}", "--location", f"{folder}", "--silent", "--skipApiVersionCheck",
        ],
        bucket=_azure_container,
        variables=lambda port: {
            "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURITE_BLOB_STORAGE_URL": f"http://127.0.0.1:{port}",
        },
    ),
    "gs": Kind(
        program="moto_server",
        remedy="pipx install 'moto[server]'",
        options=lambda port, folder: ["-p", f"{port}"],
        bucket=lambda port: urllib.request.Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT"),
        variables=lambda port: {
            "GOOGLE_BASE_URL": f"http://127.0.0.1:{port}",
            "GOOGLE_BEARER_TOKEN": "anything",
        },
        front=lambda port: _as_google(port),
    ),
}  # fmt: skip
"""By the scheme of their addresses."""


@contextmanager
def serving(kind: Kind, folder: Path) -> Iterator[int]:
    """The port of a server with an empty bucket, until the block ends; what it says goes to ``folder``."""
    program = shutil.which(kind.program)
    assert program is not None, kind.absent
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "log").open("wb") as out:
        process = subprocess.Popen([program, *kind.options(port, folder)], stdout=out, stderr=out)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(kind.bucket(port)).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise AssertionError((folder / "log").read_text()[-2000:])
        with kind.front(port) as asked:
            yield asked
    finally:
        process.terminate()
        process.wait()
