"""Servers of objects for tests: static files with byte ranges, moto's S3, and a proxy that lets things go wrong."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MOTO = shutil.which("moto_server")
"""Its program, which an environment of its own may hold: it asks for older packages than others here."""
BUCKET = "lab"


class _Files(BaseHTTPRequestHandler):
    """Files of a folder, whole or by one range; ``faults`` of the server go before."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, *arguments: object, root: Path) -> None:
        self._root = root
        super().__init__(*arguments)  # type: ignore[arg-type]

    def log_message(self, *arguments: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        server = self.server
        assert isinstance(server, StaticServer)
        server.asked.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".strip())
        fault = server.faults.pop(0) if server.faults and with_body else ""
        if fault == "503":
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault == "refused":
            self.close_connection = True
            return
        if fault == "slow":
            time.sleep(0.5)
        path = self._root / self.path.lstrip("/")
        if not path.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        size = path.stat().st_size
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = (int(match[1]), min(int(match[2] or size - 1), size - 1)) if match else (0, size - 1)
        self.send_response(206 if match else 200)
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
        self.send_header("ETag", f'"{path.stat().st_mtime_ns:x}-{size:x}"')
        if match:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        if not with_body:
            return
        length = last + 1 - first
        if fault == "cut":
            length //= 2
            self.close_connection = True
        with path.open("rb") as file:
            self.wfile.flush()
            self.connection.settimeout(60)
            sent = 0
            while sent < length:
                sent += self.connection.sendfile(file, first + sent, length - sent)


class StaticServer(ThreadingHTTPServer):
    """Gives the files of a folder. ``faults`` meet the next requests for bytes, one each."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Files, root=root))
        self.faults: list[str] = []
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def static_server(root: Path) -> Iterator[StaticServer]:
    """A server of the files below ``root``, until the block ends."""
    server = StaticServer(root)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


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


@contextmanager
def moto(log: Path) -> Iterator[int]:
    """The port of an S3 server with an empty bucket ``lab``, until the block ends."""
    assert MOTO is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with log.open("wb") as out:
        process = subprocess.Popen([MOTO, "-p", str(port)], stdout=out, stderr=out)
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT")
        for _ in range(200):
            try:
                urllib.request.urlopen(request).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def environment(port: int, mirror: Path) -> dict[str, str]:
    """What has sercache speak to the server at ``port``."""
    return {
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "SERCACHE_OBJECTS": str(mirror),
    }
