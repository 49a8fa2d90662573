"""Byte ranges of a web server, received in the place where they stay.

obstore puts a range together of the pieces that came, which takes twice the processor time of receiving it in place:
where server and reader share few cores that is what bounds reading. Whatever is not plainly the bytes that were asked
for (a redirection, a fault, a proxy) is left to obstore.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.request
import weakref
from collections import deque
from functools import cached_property
from urllib.parse import quote, urlsplit

_TIMEOUT_SECONDS = 30.0
"""Without a byte."""


class WebServer:
    """A server and the connections to it that wait for the next range."""

    def __init__(self, root: str) -> None:
        """``root``: ``http://HOST:PORT`` or ``https://…``."""
        self._root = urlsplit(root)
        self._idle: deque[http.client.HTTPConnection] = deque()
        weakref.finalize(self, _close, self._idle)

    @cached_property
    def _is_asked(self) -> bool:
        """Whether it is asked without a proxy between."""
        proxies, host = urllib.request.getproxies(), self._root.hostname or ""
        return self._root.scheme not in proxies or bool(urllib.request.proxy_bypass(host))

    def get_range(
        self, key: str, start: int, length: int, into: memoryview | None = None
    ) -> memoryview | None:
        """Bytes of a file, in ``into`` where it is given; None where they do not come plainly, all of them."""
        if not self._is_asked:
            return None
        if into is None:
            import numpy as np  # which help and lists do without

            into = np.empty(length, np.uint8).data
        while True:
            kept = self._kept()
            connection = kept or self._connection()
            came = is_stale = False
            try:
                came = self._received(connection, key, start, into)
            except (OSError, http.client.HTTPException) as fault:  # a server closes what it has waited for
                is_stale = kept is not None and not isinstance(fault, TimeoutError)
            if came:
                self._idle.append(connection)
                return into
            connection.close()
            if not is_stale:
                return None

    def _kept(self) -> http.client.HTTPConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _received(
        self, connection: http.client.HTTPConnection, key: str, start: int, into: memoryview
    ) -> bool:
        stop = start + len(into)
        connection.request("GET", f"/{quote(key)}", headers={"Range": f"bytes={start}-{stop - 1}"})
        answer = connection.getresponse()
        told = answer.headers.get("Content-Range", "")
        if answer.status != http.client.PARTIAL_CONTENT or not told.startswith(f"bytes {start}-{stop - 1}/"):
            return False
        done = 0
        while done < len(into):
            got = answer.readinto(into[done:])
            if not got:
                return False
            done += got
        answer.read()  # nothing, so that the connection is free for the next
        return True

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._root.hostname or "", self._root.port
        if self._root.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_SECONDS, context=context)
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)


def _close(connections: deque[http.client.HTTPConnection]) -> None:
    for connection in connections:
        connection.close()
