"""What the writing end of the line takes by itself: features that nobody computed, through its thread into a store.

    python benchmarks/writing.py [--pooled-only] [--repeats 5] [--folder FOLDER]

They have the shapes of wavlm-large, 25 states of utterances of 3.5 s, float16, in batches of 90. In turn, and the best
of each counts: arrays handed over to the writer, as the line does it, and copied by it, as it does for other callers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pipeline import machine, timed

from sercache import stores
from sercache.extraction import Piece, decode
from sercache.extraction.compute import PieceFeatures
from sercache.extraction.stages import Busy
from sercache.extraction.writing import Part, Writing
from sercache.stores import FeatureSpec


class Copying:
    """A writer that is given copies of what it would own."""

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def append(self, *args: Any, owned: bool, **named: Any) -> None:
        self.writer.append(*args, **named)

    def seal(self) -> None:
        self.writer.seal()


def compare(folder: Path, frames: bool, repeats: int) -> None:
    spec = FeatureSpec(
        encoder="none", identity={}, sample_rate=16_000, hop=320, corpus="noise", release="1", frames=frames,
        states=("projection", *map(str, range(1, 25))), dim=1024,
    )  # fmt: skip
    n_frames, n_batches = 175, 6 if frames else 40
    random = np.random.default_rng(0)
    rows = random.standard_normal((2, 90, len(spec.states), spec.dim), np.float32) ** 2
    batch = random.standard_normal((len(spec.states), 90 * n_frames, spec.dim), np.float32).astype(np.float16)

    def parts(number: int) -> list[Part]:
        found = []
        for k in range(90):
            piece = Piece(f"u{number}-{k}", Path("none.wav"), None, None, 56_000, n_frames)
            own = batch[:, k * n_frames : (k + 1) * n_frames] if frames else None
            item = decode.Decoded(piece, np.empty(0, np.float32), f"{number:032x}{k:032x}")
            found.append((item, PieceFeatures(rows[0, k], rows[1, k], own), n_frames))
        return found

    def run(take: Callable[[Any], Any]) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            writer = stores.create(Path(place) / "store", spec)
            with Writing([take(writer)], 60.0, Busy()) as line:
                for number in range(n_batches):
                    line.put(parts(number))
            writer.close()

    taken: dict[str, list[Any]] = {"handed over": [], "copied": []}
    for _ in range(repeats):
        for name, take in (("handed over", lambda writer: writer), ("copied", Copying)):
            taken[name].append(timed(partial(run, take))[0])
    n = 90 * n_batches
    for name, runs in taken.items():
        wall, cpu = (min(getattr(each, of) for each in runs) for of in ("wall", "cpu"))
        print(f"{name:<12}{n / wall:>8.0f} utterances/s by the clock{n / cpu:>8.0f} by CPU seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pooled-only", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to write  [default: the temporary folder]")
    chosen = parser.parse_args()
    print(" ".join(["python", *sys.argv]))
    print(machine("cpu"))
    compare(chosen.folder or Path(tempfile.gettempdir()), not chosen.pooled_only, chosen.repeats)


if __name__ == "__main__":
    main()
