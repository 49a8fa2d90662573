"""A Hugging Face hub on this machine: what its client asks of it for repositories, large files and commits.

Faults are set by a test: statuses for paths, bytes after which a download is cut, files whose bytes are wrong.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = 2000
"""Bytes from which a file goes the way of large ones."""
_REPO = r"(?P<kind>datasets|models)/(?P<repo>[^/]+/[^/]+)"


@dataclass
class Repository:
    """Files by commit; the last commit is the branch main."""

    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    private: bool = True

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if revision == "main":
            return self.commits[-1]
        return next((each for each in self.commits if each[0] == revision), None)


@dataclass
class Hub:
    """What a server holds, what was asked of it, and the faults that it has."""

    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    """Large files by sha256."""
    asked: list[str] = field(default_factory=list)
    """``METHOD path`` of all requests, and of downloads the range behind."""
    token: str = "right"
    refuse: Callable[[str, str], int | None] = lambda method, path: None
    """Status by which a request is refused."""
    cut: dict[str, int] = field(default_factory=dict)
    """Bytes after which the next download of a file breaks off."""
    wrong: set[str] = field(default_factory=set)
    """Files of which other bytes are sent than are held."""

    def counts(self) -> Counter[str]:
        return Counter(line.split()[0] for line in self.asked)

    def files(self, repo: str, kind: str = "datasets") -> dict[str, bytes]:
        return self.repositories[kind, repo].commits[-1][1]


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def serve(hub: Hub) -> ThreadingHTTPServer:
    """A server of ``hub`` on a free port, in threads of its own; ``shutdown`` it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: object) -> None:
            pass

        def do_GET(self) -> None:
            self._answer("GET")

        def do_HEAD(self) -> None:
            self._answer("HEAD")

        def do_POST(self) -> None:
            self._answer("POST")

        def do_PUT(self) -> None:
            self._answer("PUT")

        def _answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(f"{method} {path} {self.headers.get('Range', '')}".strip())
            if (status := hub.refuse(method, path)) is not None:
                self._send(status, {"error": f"refused with {status}"})
                return
            is_known = self.headers.get("Authorization") == f"Bearer {hub.token}"
            if method == "POST" and not is_known:
                self._send(401, {"error": "Invalid credentials"})
                return
            for pattern, act in ROUTES:
                if found := re.fullmatch(pattern, f"{method} {path}"):
                    act(self, body, **found.groupdict())
                    return
            self._send(404, {"error": f"no such thing: {method} {path}"})
            return

        def _send(self, status: int, value: Any = None, headers: dict[str, str] | None = None) -> None:
            data = b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            for name, each in (headers or {}).items():
                self.send_header(name, each)
            if "Content-Length" not in (headers or {}):
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def _repository(self, kind: str, repo: str) -> Repository | None:
            found = hub.repositories.get((kind, repo))
            if found is None:
                self._send(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return found

        def create(self, body: bytes) -> None:
            asked = json.loads(body)
            kind = {"dataset": "datasets"}.get(asked.get("type"), "models")
            repo = f"{asked['organization']}/{asked['name']}"
            is_new = (kind, repo) not in hub.repositories
            is_private = asked.get("visibility") == "private" or bool(asked.get("private"))
            first = ("0" * 40, {".gitattributes": b""})
            hub.repositories.setdefault((kind, repo), Repository([first], is_private))
            address = f"{base}/{'datasets/' if kind == 'datasets' else ''}{repo}"
            self._send(200 if is_new else 409, {"url": address, "error": "You already created this"})

        def about(self, body: bytes, kind: str, repo: str, revision: str = "main") -> None:
            if (there := self._repository(kind, repo)) is None:
                return
            if (at := there.at(revision)) is None:
                self._send(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
                return
            files = [{"rfilename": name} for name in at[1]]
            self._send(200, {"id": repo, "sha": at[0], "siblings": files, "private": there.private})

        def tree(self, body: bytes, kind: str, repo: str, revision: str) -> None:
            if (there := self._repository(kind, repo)) is None or (at := there.at(revision)) is None:
                return
            self._send(200, [self._entry(name, data) for name, data in at[1].items()])

        def _entry(self, name: str, data: bytes) -> dict[str, Any]:
            entry: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": git_sha1(data)}
            if hashlib.sha256(data).hexdigest() in hub.objects:
                sha256 = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"oid": sha256, "size": len(data), "pointerSize": 130}
            return entry

        def preupload(self, body: bytes, kind: str, repo: str, revision: str) -> None:
            files = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["size"] >= LARGE else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for each in json.loads(body)["files"]
            ]
            self._send(200, {"files": files})

        def batch(self, body: bytes, **names: str) -> None:
            objects = []
            for each in json.loads(body)["objects"]:
                answer = {"oid": each["oid"], "size": each["size"]}
                if each["oid"] not in hub.objects:
                    answer["actions"] = {"upload": {"href": f"{base}/lfs/{each['oid']}"}}
                objects.append(answer)
            self._send(200, {"transfer": "basic", "objects": objects})

        def keep(self, body: bytes, oid: str) -> None:
            assert hashlib.sha256(body).hexdigest() == oid
            hub.objects[oid] = body
            self._send(200)

        def commit(self, body: bytes, kind: str, repo: str, revision: str) -> None:
            if (there := self._repository(kind, repo)) is None:
                return
            files = dict(there.commits[-1][1])
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    files[value["path"]] = hub.objects[value["oid"]]
                elif line["key"] == "deletedFile":
                    del files[value["path"]]
            oid = hashlib.sha1(f"{len(there.commits)}".encode() + body).hexdigest()
            there.commits.append((oid, files))
            self._send(200, {"commitUrl": f"{base}/{kind}/{repo}/commit/{oid}", "commitOid": oid})

        def resolve(self, body: bytes, repo: str, revision: str, path: str, kind: str | None = None) -> None:
            if (there := self._repository("datasets" if kind else "models", repo)) is None:
                return
            if (at := there.at(revision)) is None:
                self._send(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
                return
            if path not in at[1]:
                self._send(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
                return
            data = at[1][path]
            entry = self._entry(path, data)
            etag = entry.get("lfs", entry)["oid"]
            if path in hub.wrong:
                data = bytes(each ^ 1 for each in data)
            headers = {"X-Repo-Commit": at[0], "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
            headers |= (
                {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(data))} if "lfs" in entry else {}
            )
            start, status = 0, 200
            if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
                start, status = int(wanted[1]), 206
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            part = data[start:]
            headers["Content-Length"] = str(len(part))
            if self.command == "GET" and path in hub.cut:
                part = part[: hub.cut.pop(path)]
                self.close_connection = True
            self._send(status, part, headers)

    ROUTES: list[tuple[str, Callable]] = [
        (r"POST /api/repos/create", Handler.create),
        (r"POST /api/validate-yaml", lambda self, body: self._send(200, {"errors": [], "warnings": []})),
        (rf"GET /api/{_REPO}(/revision/(?P<revision>[^/]+))?", lambda self, body, **n: self.about(
            body, **{k: v for k, v in n.items() if v})),
        (rf"GET /api/{_REPO}/tree/(?P<revision>[^/]+)", Handler.tree),
        (rf"POST /api/{_REPO}/preupload/(?P<revision>[^/]+)", Handler.preupload),
        (r"POST /(datasets/)?(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", Handler.batch),
        (r"PUT /lfs/(?P<oid>[0-9a-f]{64})", Handler.keep),
        (rf"POST /api/{_REPO}/commit/(?P<revision>[^/]+)", Handler.commit),
        (
            r"(GET|HEAD) /(?P<kind>datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
            Handler.resolve,
        ),
    ]  # fmt: skip
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    base = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server
