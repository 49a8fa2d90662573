"""A server of static files with byte ranges, on which a benchmark and the tests read; some answers may go wrong.

python benchmarks/static_files.py FOLDER [--gbit RATE] [--latency MILLISECONDS]
"""

from __future__ import annotations

import argparse
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Files(BaseHTTPRequestHandler):
    """Files of a folder, whole or by one range; ``faults`` of the server go before."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, *arguments: object, root: Path) -> None:
        self._root = root
        server = arguments[2]
        assert isinstance(server, StaticServer)
        server.opened.append(arguments[1])
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
        time.sleep(0.5 if fault == "slow" else server.link.latency)
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
                sent += self.connection.sendfile(file, first + sent, server.link.next(length - sent))


class Link:
    """What lies between a server and who reads from it: so many bytes a second in all, and a wait for each answer."""

    def __init__(self, gbit: float = 0.0, latency_ms: float = 0.0) -> None:
        """``gbit``: 1e9 bits a second; 0 is as fast as the host is."""
        self._bytes_a_second, self.latency = gbit * 1e9 / 8, latency_ms / 1e3
        self._lock, self._is_free_at = threading.Lock(), 0.0

    def next(self, n_bytes: int) -> int:
        """How many of these bytes may be sent now; waits until they may."""
        if not self._bytes_a_second:
            return n_bytes
        count = min(n_bytes, 2**18)
        with self._lock:
            begin = max(time.monotonic(), self._is_free_at)
            self._is_free_at = begin + count / self._bytes_a_second
        time.sleep(max(0.0, begin - time.monotonic()))
        return count


class StaticServer(ThreadingHTTPServer):
    """Gives the files of a folder. ``faults`` meet the next requests for bytes, one each."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, root: Path, link: Link | None = None) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Files, root=root))
        self.link = link or Link()
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.opened: list[object] = []
        """Address of who opened each connection."""

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


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("--gbit", type=float, default=0.0, help="1e9 bits a second, at most")
    options.add_argument("--latency", type=float, default=0.0, help="milliseconds before each answer")
    asked = options.parse_args()
    server = StaticServer(asked.folder, Link(asked.gbit, asked.latency))
    print(server.address, flush=True)
    server.serve_forever()
