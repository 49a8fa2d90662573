"""One function over many items in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    progress: Callable[[int], object] | None = None,
) -> Iterator[Result]:
    """Results in the order of ``items``; ``progress`` is called with 1 for each."""
    pool = ThreadPoolExecutor(workers)
    try:
        for result in pool.map(function, items):
            if progress is not None:
                progress(1)
            yield result
    finally:
        # An interrupted check-up ends after the files at hand, not after all that were asked for.
        pool.shutdown(cancel_futures=True)
