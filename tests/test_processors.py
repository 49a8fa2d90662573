"""What is said of the tests as other processors compute them."""

from __future__ import annotations

import pytest
from processors import HEADER, SETTINGS, row


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (0, "12 passed, 3 skipped in 3.21s", ["ok", "12", "0"]),
        (1, "2 failed, 10 passed, 1 warning, 1 error in 3.21s (0:00:03)", ["FAILED", "10", "3"]),
        (1, "1 passed, 2 errors in 1s", ["FAILED", "1", "2"]),
        (3, "INTERNALERROR", ["FAILED", "0", "0"]),
    ],
)
def test_a_row_counts_what_passed_and_failed(status: int, said: str, expected: list[str]) -> None:
    told = str(row("avx2 libraries", status, said, 61.4)).removeprefix("avx2 libraries").split()
    assert told[:4] == [*expected, "61"]
    shown = [f"{key}={value}" for key, value in SETTINGS["avx2 libraries"].items()]
    assert told[4:] == (["INTERNALERROR"] if status == 3 else shown)
    assert HEADER.split() == ["setting", "outcome", "passed", "failed", "seconds"]
