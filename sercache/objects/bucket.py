"""The one way to object stores: names, byte ranges, and puts that succeed once.

Everything here is obstore's; no other module knows of it. What fails for a moment (refused, cut, 503) is tried again
for a bounded time, then it is one line.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from sercache import objects
from sercache.errors import MissingExtraError, StoreError
from sercache.objects import ObjectAddress
from sercache.objects.web import WebServer

IN_FLIGHT = 8
"""Requests at once."""
PATIENCE_SECONDS = 30.0
"""So long a request that fails for a moment is tried again."""
_TIMEOUT = timedelta(seconds=60)
"""For one try, its bytes included."""
_CONNECT_TIMEOUT = timedelta(seconds=10)
_TRIES = 4
"""Of a request whose answer was cut off."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mark:
    """What tells whether an object was changed."""

    size: int
    """Bytes."""
    tag: str
    """The store's own for these bytes, or the time of the last change."""
    changed: float
    """Seconds since 1970, by the store's clock."""


class Bucket:
    """A bucket, container or server. Names are keys below it. It may be used by any number of threads."""

    def __init__(self, place: ObjectAddress, client: Any) -> None:
        self.place, self._client = place, client
        self._web = None if place.writes else WebServer(place.root)

    def get(self, key: str) -> bytes | None:
        """All of an object; None where there is none."""
        import obstore

        return self._tried(key, lambda: bytes(obstore.get(self._client, key).bytes()))

    def get_range(self, key: str, start: int, length: int, into: memoryview | None = None) -> memoryview:
        """Bytes of an object, in ``into`` of that length where it is given. Raises StoreError, FileNotFoundError."""
        import obstore

        found = None if self._web is None else self._web.get_range(key, start, length, into)
        if found is not None:
            return found
        found = self._tried(
            key, lambda: memoryview(obstore.get_range(self._client, key, start=start, length=length))
        )
        if found is None:
            raise FileNotFoundError(key)
        if into is not None and len(found) == length:
            into[:] = found.cast("B")
            return into
        return found

    def mark(self, key: str) -> Mark | None:
        """Size and tag of an object; None where there is none."""
        import obstore

        return self._tried(key, lambda: _mark(obstore.head(self._client, key)))

    def put(self, key: str, data: bytes | Path) -> None:
        """Write an object, whole or not at all; large ones in several parts at once."""
        import obstore

        self._tried(key, lambda: obstore.put(self._client, key, data), writing=True)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object that is not there: of any number of rivals one is told True."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        try:
            self._tried(key, lambda: obstore.put(self._client, key, data, mode="create"), writing=True)
        except AlreadyExistsError:
            return self.get(key) == data  # the answer to an earlier try may have been lost
        return True

    def remove(self, keys: Sequence[str]) -> None:
        """Remove objects; those that are not there are passed over."""
        import obstore

        for key in keys:
            self._tried(key, lambda key=key: obstore.delete(self._client, key), writing=True)  # type: ignore[misc]

    def names(self, prefix: str) -> dict[str, Mark]:
        """Objects below a prefix, by their keys."""
        import obstore

        def listed() -> dict[str, Mark]:
            found = obstore.list(self._client, prefix or None).collect()
            return {each["path"]: _mark(each) for each in found}

        return self._tried(prefix, listed) or {}

    def folders(self, prefix: str) -> list[str]:
        """What names go on with below a prefix, as folders would: keys without a slash at their ends."""
        import obstore

        found = self._tried(prefix, lambda: obstore.list_with_delimiter(self._client, prefix or None))
        return [each.rstrip("/") for each in found["common_prefixes"]] if found else []

    def _tried(self, key: str, doing: Callable[[], T], *, writing: bool = False) -> T | None:
        """``doing``, again where the line was cut; None where there is no such object."""
        from obstore import exceptions

        began = time.monotonic()
        for left in reversed(range(_TRIES)):
            try:
                return doing()
            except exceptions.AlreadyExistsError:
                raise
            except (exceptions.NotFoundError, FileNotFoundError) as fault:
                if writing or _lacks_bucket(str(fault)):
                    raise self._named(key, fault) from fault
                return None
            except (exceptions.BaseError, OSError) as fault:
                is_over = not left or time.monotonic() - began > PATIENCE_SECONDS
                if is_over or not _may_pass(fault):
                    raise self._named(key, fault) from fault
                time.sleep(0.2 * (_TRIES - left))
        raise AssertionError

    def _named(self, key: str, fault: BaseException) -> StoreError:
        from obstore import exceptions

        text, place = " ".join(str(fault).split()), self.place
        where = f"{place.root}/{key}"
        kinds = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
        if _lacks_bucket(text):
            return StoreError(f"{place.root} does not exist: create the bucket, or mend the address")
        if any(word in text for word in ("169.254.169.254", "metadata.google", "InstanceCredentials")):
            return StoreError(
                f"{where}: no credentials are given; {objects.SCHEMES[place.scheme].credentials}"
            )
        if isinstance(fault, kinds):
            return StoreError(
                f"{where}: access is denied; {objects.SCHEMES[place.scheme].credentials}, of somebody who may"
            )
        if isinstance(fault, exceptions.NotSupportedError):
            return StoreError(f"{where}: this server lacks what is asked of it: {_short(text)}")
        return StoreError(
            f"{where} cannot be reached: {_short(text)}; what was committed before is safe: run the same command again"
        )


def _lacks_bucket(text: str) -> bool:
    return any(words in text for words in ("NoSuchBucket", "ContainerNotFound", "bucket does not exist"))


def _may_pass(fault: BaseException) -> bool:
    """Whether another try may help; obstore itself has tried again what was refused or answered with 5xx."""
    from obstore import exceptions

    return type(fault) is exceptions.GenericError and " retries" not in str(fault)


def _short(text: str) -> str:
    text = text.partition("Debug source")[0].strip()
    return text if len(text) < 240 else f"{text[:120]} ... {text[-110:]}"


def _mark(meta: Mapping[str, Any]) -> Mark:
    changed = meta["last_modified"].timestamp()
    tag = str(meta.get("e_tag") or changed).strip('"')  # Azure quotes it in some answers and not in others
    return Mark(int(meta["size"]), tag, changed)


_opened: dict[str, Bucket] = {}
_lock = threading.Lock()


def bucket_of(place: ObjectAddress) -> Bucket:
    """The bucket of a place. Raises MissingExtraError, StoreError where its settings are not whole."""
    with _lock:
        found = _opened.get(place.root)
        if found is None:
            found = _opened[place.root] = Bucket(place, _client(place))
        return found


def is_used() -> bool:
    """Whether this process has connections, which a forked one could not use."""
    return bool(_opened)


def check(place: ObjectAddress) -> None:
    """Raises as ``bucket_of``, before any work."""
    bucket_of(place)


def _client(place: ObjectAddress) -> Any:
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as fault:
        raise MissingExtraError(
            f"{place.root} needs the extra objects: pip install 'sercache[objects]'"
        ) from fault
    servers = [place.root, *(os.environ.get(name, "") for name in objects.SCHEMES[place.scheme].endpoints)]
    options: Any = {"timeout": _TIMEOUT, "connect_timeout": _CONNECT_TIMEOUT}
    if any(server.startswith("http:") for server in servers):
        options["allow_http"] = True
    retry: Any = {
        "max_retries": 8,
        "retry_timeout": timedelta(seconds=PATIENCE_SECONDS),
        "backoff": {
            "init_backoff": timedelta(milliseconds=200),
            "max_backoff": timedelta(seconds=3),
            "base": 2,
        },
    }
    try:
        return from_url(place.root, client_options=options, retry_config=retry)
    except (BaseError, ValueError) as fault:
        text = _short(" ".join(str(fault).split()))
        raise StoreError(f"{place.root}: {text}; {objects.SCHEMES[place.scheme].credentials}") from fault


def at_once(doing: Callable[[Any], T], items: Iterable[Any]) -> list[T]:
    """``doing`` of each, several at once, in their order."""
    with ThreadPoolExecutor(IN_FLIGHT, "objects") as pool:
        return list(pool.map(doing, items))
