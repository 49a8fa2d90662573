"""How fast frames come that lie on the disk alone: what ``scale.py --frames`` measures.

An epoch of shuffled batches of 8 of a store for which no memory is allowed, each touched, as a training reads it,
against plain sequential reading of the same files, all from the disk (the kernel is asked to forget them before). By
hand: what two bare threads take that read the same utterances from a plain file, and convert and pad them.
"""

from __future__ import annotations

import gc
import math
import os
import pickle
import resource
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from store import DIM, STATES, compare, forget, make_features, make_spec

if TYPE_CHECKING:
    from sercache.views import FeatureView


def write_frames(folder: Path, n_bytes: float, dim: int) -> None:
    """A store of frames, and the same one utterance after another in a plain file."""
    from sercache import stores

    features = {id: np.ascontiguousarray(frames[..., :dim]) for id, frames in make_features(64).items()}
    n = max(64, round(n_bytes / sum(each.nbytes for each in features.values()) * 64))
    row = np.zeros((STATES, dim), np.float32)
    with stores.create(folder / "store", make_spec(dim=dim)) as writer, (folder / "raw").open("wb") as raw:
        for k in range(n):
            frames = features[f"u{k % 64:04}"]
            about = {"n_frames": frames.shape[1], "n_samples": frames.shape[1] * 320, "audio_digest": ""}
            writer.append(f"{k}", row, row, frames, **about)
            raw.write(frames.data)
        raw.flush()
        os.fsync(raw.fileno())


def share_cached(files: list[Path]) -> float:
    """Part of the files, a page in every 256 KiB of them, that the page cache holds."""
    found, byte = [], bytearray(1)
    for path in files:
        with path.open("rb", buffering=0) as file:
            for at in range(0, path.stat().st_size, 1 << 18):
                try:
                    os.preadv(file.fileno(), [byte], at, os.RWF_NOWAIT)
                    found.append(1)
                except BlockingIOError:
                    found.append(0)
    return sum(found) / len(found)


class ByHand:
    """What two bare threads take for the same: read each state, convert it into a padded batch, another meanwhile."""

    def __init__(self, path: Path, lengths: np.ndarray) -> None:
        """``lengths``: (U,) frames of the utterances, which lie in the file one after another."""
        import torch

        self.file, self.lengths = path.open("rb", buffering=0), lengths
        self.starts = np.cumsum([0, *lengths]) * STATES * DIM * 2
        self.room = threading.local()
        self.memories = [torch.zeros(0), torch.zeros(0)]

    def _lay_out(self, item: Any, number: int) -> None:
        import torch

        n_frames = int(self.lengths[number])
        if not hasattr(self.room, "memory"):
            self.room.memory = torch.empty(int(self.lengths.max()) * DIM, dtype=torch.float16)
        room = self.room.memory[: n_frames * DIM].view(n_frames, DIM)
        for state in range(STATES):
            at = int(self.starts[number]) + state * n_frames * DIM * 2
            assert os.preadv(self.file.fileno(), [room.numpy()], at) == room.nbytes
            item[state, :n_frames].copy_(room)
            item[state, n_frames:] = 0

    def _batch(self, threads: ThreadPoolExecutor, numbers: np.ndarray, slot: int) -> Any:
        import torch

        shape = (len(numbers), STATES, int(self.lengths[numbers].max()), DIM)
        if self.memories[slot].numel() < math.prod(shape):
            self.memories[slot] = torch.zeros(math.prod(shape))
        x = self.memories[slot][: math.prod(shape)].view(shape)
        list(threads.map(self._lay_out, x, numbers.tolist()))
        return x

    def epoch(self, parts: list[np.ndarray]) -> None:
        with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(2) as threads:
            coming = ahead.submit(self._batch, threads, parts[0], 0)
            for k in range(len(parts)):
                x = coming.result()
                if k + 1 < len(parts):
                    coming = ahead.submit(self._batch, threads, parts[k + 1], (k + 1) % 2)
                x[..., -1, 0].sum()


def stream(folder: Path, n_bytes: float, repeats: int = 5) -> None:
    """How fast frames come that lie on the disk alone, against the files themselves."""
    # In a process of its own: its memory is not that of streaming.
    subprocess.run([sys.executable, __file__, str(folder), str(n_bytes), str(DIM)], check=True)

    import torch

    from sercache import stores
    from sercache.training import keep_freed_memory
    from sercache.training.feeding import Feeder
    from sercache.views import open_view

    keep_freed_memory()  # as a training does
    path = folder / "store"
    files = [each for each in path.rglob("*") if each.is_file() and each.stat().st_size > 1 << 20]
    n_stored = sum(each.stat().st_size for each in files)
    store = stores.open(path)
    view = open_view(store, dict.fromkeys(store.ids(), 0), states="all", frames=True, budget=0)
    n, chance = len(view), np.random.default_rng(0)
    by_hand = ByHand(folder / "raw", view.n_frames)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    feeder = Feeder(torch.device("cpu"))  # one for all epochs, as a training has

    def order() -> list[np.ndarray]:
        return np.array_split(chance.permutation(n), max(1, n // 8))

    def streamed(view: FeatureView) -> None:
        for x, _ in feeder.feed(view, order()):
            x[..., -1, 0].sum()

    streamed(view)  # each state is compared with its checksum once, which is not measured
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sent, views = pickle.dumps(view), [view]
    del view, store

    def plain() -> None:
        memory = memoryview(bytearray(8 << 20))
        for each in files:
            with each.open("rb", buffering=0) as file:
                while file.readinto(memory):
                    pass

    def anew() -> None:
        """A view of files that nobody has mapped: what is mapped the kernel does not forget."""
        views.clear()
        gc.collect()
        views.append(pickle.loads(sent))
        forget(folder)
        if (left := share_cached([*files, folder / "raw"])) > 0.1:
            print(f"  {left:.0%} of the files were left in the page cache")

    print(f"{n_stored / 1e9:.2f} GB of frames, {n} utterances")
    jobs = {
        "plain reading": plain,
        "read and converted, by hand": lambda: by_hand.epoch(order()),
        "streamed": lambda: streamed(views[0]),
    }
    compare("an epoch, cold", n_stored, repeats, jobs, anew)
    by_hand.file.close()
    print(f"  peak of streaming {peak:.0f} MB, of which {before:.0f} MB before the first batch")


if __name__ == "__main__":
    write_frames(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
