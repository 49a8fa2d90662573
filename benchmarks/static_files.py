"""A server of static files with byte ranges, on which a benchmark and the tests read; some answers may go wrong.

python benchmarks/static_files.py FOLDER
"""

from __future__ import annotations

import re
import sys
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
    server = StaticServer(Path(sys.argv[1]))
    print(server.address, flush=True)
    server.serve_forever()
