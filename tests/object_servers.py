"""Servers of objects for tests: moto's S3, and a proxy that lets things go wrong."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MOTO = shutil.which("moto_server")
"""Its program, which an environment of its own may hold: it asks for older packages than others here."""
BUCKET = "lab"


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
