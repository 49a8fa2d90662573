"""Processes that share an extraction are killed, or paused for longer than their claims last, again and again.

    python tests/kill_shared.py [KILLS] [PROCESSES] [SEED] [no-locks]

Every time that one of them ends well the store must be whole: each utterance once, bit-equal to what one process
makes. Prints what was done as JSON; test_extraction_sharing.py runs it with few kills.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from test_extraction import tone
from test_extraction_company import InCompany, assert_equal
from test_extraction_sharing import extract, no_flock

import sercache.stores.making
import sercache.stores.reader
import sercache.stores.writer
import sercache.stores.zarr  # noqa: F401
from sercache import stores
from sercache.claims import _claims
from sercache.datasets import Corpus, manifest
from sercache.stores.ledger import Ledger

N_RECORDINGS = 60
EXPIRY = 1.0
LONGEST = 0.6
"""Seconds between two kills at most."""


class Working(InCompany):
    """Takes as long for a batch as an encoder might."""

    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, torch.Tensor]]:
        time.sleep(0.05)
        yield from super().encode(waves, states)


def make_corpus(folder: Path) -> Corpus:
    """Some recordings of equal length, every tenth equal to another."""
    rows = ["id,path,label"]
    for k in range(N_RECORDINGS):
        of = k - 7 if k % 10 == 9 else k
        tone(folder / f"{k}.wav", 0.2 + 0.02 * (of % 30), seed=of)
        rows.append(f"u{k},{k}.wav,a")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return manifest.read(folder / "list.csv")


def start(corpus: Corpus, folder: Path) -> int:
    """A fork of this process that extracts; gives its number."""
    child = os.fork()
    if child == 0:
        work(corpus, folder)
    return child


def work(corpus: Corpus, folder: Path) -> NoReturn:
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        extract(corpus, folder, encoder=Working(), seal_every=0.1)
        code = 0
    finally:
        if code:
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        os._exit(code)


def check(folder: Path, whole: stores.FeatureStore) -> int:
    """The store holds each utterance once and the bits of one process; how many are listed twice."""
    store = stores.open(folder)
    assert len(store.ids()) == len(set(store.ids()))
    assert_equal(store, whole)
    ledger = Ledger(stores.notes_folder(folder))
    ledger.refresh()
    listed = Counter(id for record in ledger.records.values() for id in record.ids)
    return sum(n > 1 for n in listed.values())


def main(n_kills: int = 200, n_processes: int = 4, seed: int = 0, locks: str = "locks") -> dict[str, int]:
    """Kill until it was done so often; gives counts."""
    _claims.EXPIRY_SECONDS = EXPIRY
    _claims.LOSSES = 10**6  # kills at random are no fault of the work
    if locks == "no-locks":
        fcntl.flock = no_flock
    os.fsync = lambda descriptor: None  # what a process wrote outlives its death without
    chance, said = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as place:
        corpus = make_corpus(Path(place))
        extract(corpus, Path(place, "whole"))
        whole = stores.open(Path(place, "whole"))
        while said["kills"] < n_kills:
            said["stores"] += 1
            one_store(
                corpus, Path(place, f"store{said['stores']}"), whole, chance, said, n_kills, n_processes
            )
    return dict(said)


def one_store(
    corpus: Corpus,
    folder: Path,
    whole: stores.FeatureStore,
    chance: random.Random,
    said: Counter[str],
    n_kills: int,
    n_processes: int,
) -> None:
    """Fill a store by processes that are killed, until all of them have ended well."""
    alive, paused = [start(corpus, folder) for _ in range(n_processes)], dict[int, float]()
    while alive:
        time.sleep(chance.uniform(0.0, LONGEST))
        for child in list(alive):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                assert os.waitstatus_to_exitcode(status) == 0
                alive.remove(child)
                said["ended well"] += 1
                said["listed twice"] += check(folder, whole)
        for child in [child for child, until in paused.items() if time.monotonic() > until]:
            os.kill(child, signal.SIGCONT)
            del paused[child]
        awake = [child for child in alive if child not in paused]
        if len(awake) < 2 or said["kills"] >= n_kills:
            continue
        child = chance.choice(awake)
        if chance.random() < 0.15:
            os.kill(child, signal.SIGSTOP)
            paused[child] = time.monotonic() + EXPIRY + chance.uniform(0.5, 2)
            said["pauses"] += 1
            continue
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        said["kills"] += 1
        alive[alive.index(child)] = start(corpus, folder)
    said["listed twice"] += check(folder, whole)


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:4]), *sys.argv[4:])), flush=True)
