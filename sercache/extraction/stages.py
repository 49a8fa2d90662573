"""Stages of the line (decode, compute, copy, write): how long each was at work, and which was the limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

STAGES = ("decode", "compute", "copy", "write")


class Busy:
    """Seconds that each stage was at work; threads add to it side by side."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._lock = threading.Lock()

    def add(self, stage: str, seconds: float) -> None:
        """Count ``seconds`` of work of a stage."""
        with self._lock:
            self._seconds[stage] += seconds

    @contextmanager
    def during(self, stage: str) -> Iterator[None]:
        """Count the time that the block takes."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - began)

    def seconds(self) -> dict[str, float]:
        """Seconds by stage so far."""
        with self._lock:
            return dict(self._seconds)


@dataclass(frozen=True)
class Load:
    """Share of the wall time that each stage was at work: 1 means that it could not have given more."""

    shares: Mapping[str, float]

    @property
    def limit(self) -> str:
        """The stage that was at work most."""
        return max(self.shares, key=lambda stage: self.shares[stage])

    def __str__(self) -> str:
        parts = ", ".join(f"{stage} {share:.0%}".replace("%", " %") for stage, share in self.shares.items())
        return f"{self.limit} ({parts})"


def load(seconds: Iterable[Mapping[str, float]], wall: float, decoders: int, writers: int = 1) -> Load:
    """Shares of ``wall`` (s) from the busy seconds of each device's line, which has so many threads each."""
    lines = list(seconds)
    widths = {"decode": max(1, decoders), "write": writers}
    shares = {
        stage: sum(line[stage] for line in lines) / (len(lines) * widths.get(stage, 1) * wall)
        if wall
        else 0.0
        for stage in STAGES
    }
    return Load(shares)
