"""What processes that share work do with claims: come together in a folder, take turns, divide a list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sercache.claims._claims import Claims
from sercache.errors import FileError

_TRIES = 100


@contextmanager
def claims_in(folder: Path, *, in_passing: bool = False) -> Iterator[Claims]:
    """The claims of this process in a folder, which is removed by the last process to leave it."""
    try:
        with ExitStack() as stack:
            for left in reversed(range(_TRIES)):
                claims = Claims(folder, in_passing=in_passing)
                try:
                    stack.enter_context(claims)
                    break
                except FileError:  # the last of the others removed it while we came
                    if folder.is_dir() or not left:
                        raise
            yield claims
    finally:
        with suppress(OSError):  # others are in there
            folder.rmdir()


@contextmanager
def taken(claims: Claims, name: str) -> Iterator[None]:
    """Hold a claim, after waiting for it where another process has it."""
    while not claims.take(name):
        claims.wait({name})
    try:
        yield
    finally:
        claims.release(name)


def divided(claims: Claims, names: Sequence[str]) -> Iterator[int]:
    """Places of ``names``, each once: first those that no other process works on, which are claimed meanwhile.

    What others work on comes last: it is done by then, or can be helped with. What they left out does not come.
    """
    left = list(range(len(names)))
    while left:
        place = next((place for place in left if claims.take(names[place])), left[0])
        if not claims.is_left_out(names[place]):
            try:
                yield place
            finally:
                claims.release(names[place])
        left.remove(place)
