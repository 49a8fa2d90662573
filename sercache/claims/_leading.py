"""What leads this process, if something does: it starts processes anew that are lost, until no work is left.

It is told what work is begun, and what is being done on the way to any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

Begun = Callable[[str, int, str], object]
"""Is told of work that is begun: the name of its claim, the generation of that, and what it is in words.

Of what is done on the way to it the words alone, which are empty where that is over."""


@dataclass(frozen=True, slots=True)
class _Leader:
    name: str
    begun: Begun


_leaders: list[_Leader] = []
_stages: list[str] = []


@contextmanager
def led(name: str, begun: Begun) -> Iterator[None]:
    """Inside the block this process is one of those that ``name`` leads, which ``begun`` tells what work is begun.

    What one of them leaves out stays so for all of them, even where none lives for a while.
    """
    leader = _Leader(name, begun)
    _leaders.append(leader)
    try:
        yield
    finally:
        _leaders.remove(leader)


def leader() -> str:
    """The name of what leads this process; empty where nothing does."""
    return _leaders[-1].name if _leaders else ""


def tell_begun(name: str, generation: int, words: str) -> None:
    """Say that the work of a claim is begun, to what leads this process, before it can end it."""
    if _leaders:
        _leaders[-1].begun(name, generation, words)


@contextmanager
def on_the_way(words: str) -> Iterator[None]:
    """Inside the block this process does what it needs before any work, ``words``, which may end it.

    What leads it is told so, and names that where it ends every process.
    """
    if not _leaders:
        yield
        return
    _stages.append(words)
    _leaders[-1].begun("", 0, words)
    try:
        yield
    finally:
        _stages.pop()
        _leaders[-1].begun("", 0, _stages[-1] if _stages else "")
