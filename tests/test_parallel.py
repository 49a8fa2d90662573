"""Work spread over threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sercache.parallel import spread


@pytest.mark.parametrize("at_once", [1, 3])
def test_results_come_in_order_and_no_more_is_taken_ahead_than_threads_need(at_once: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for k in range(500):
            taken.append(k)
            yield k

    found = spread(lambda k: -k, items(), 2, at_once=at_once)
    assert next(found) == 0
    assert len(taken) <= 30
    assert list(found) == [-k for k in range(1, 500)]
    assert list(spread(str, [], 2)) == []


def test_a_fault_is_that_of_the_call() -> None:
    found = spread(lambda k: 1 // k, [1, 0], 2)
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError):
        next(found)
