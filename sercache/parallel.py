"""One function over many items in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_AHEAD = 4
"""Calls that wait for each thread: of a million at once the waiting alone would take more than a gigabyte."""


def spread(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    progress: Callable[[int], object] | None = None,
    *,
    at_once: int = 1,
) -> Iterator[Result]:
    """Results in the order of ``items``; ``progress`` is called with 1 for each.

    A thread takes ``at_once`` items at a time: more than one of what is done in no time.
    """
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[list[Result]]] = deque()
    left = iter(items)
    try:
        while True:
            while len(waiting) < _AHEAD * workers and (some := list(islice(left, at_once))):
                waiting.append(pool.submit(lambda some: [function(item) for item in some], some))
            if not waiting:
                return
            for result in waiting.popleft().result():
                if progress is not None:
                    progress(1)
                yield result
    finally:
        # An interrupted check-up ends after the files at hand, not after all that were asked for.
        pool.shutdown(cancel_futures=True)
