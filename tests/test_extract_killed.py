"""A real `sercache extract` killed with SIGKILL at random moments, with a reader beside it.

SERCACHE_KILLS sets how often (default 25 for each format).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sercache import stores

N_UTTERANCES = 90
N_KILLS = int(os.environ.get("SERCACHE_KILLS", "25"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    chance = np.random.default_rng(1)
    rows = ["id,path,label"]
    for k in range(N_UTTERANCES):
        wave = chance.normal(0, 0.1, int(16000 * chance.uniform(0.1, 0.6)))
        soundfile.write(folder / f"{k}.wav", wave, 16000)
        rows.append(f"u{k},{k}.wav,{'ab'[k % 2]}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder / "list.csv"


def arguments(corpus: Path, cache: Path, format: str) -> list[str]:
    given = {"--encoder": "demo-wavlm", "--dataset": "manifest", "--root": corpus, "--cache": cache}
    given |= {"--format": format, "--device": "cpu", "--seal-every": 0.0}
    return ["extract", *(str(word) for pair in given.items() for word in pair)]


def environment() -> dict[str, str]:
    # One thread: a forked child must not wait for the parent's, and bits must not depend on their number.
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "SERCACHE_CONFIG": os.devnull}


def finish(command: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "sercache.cli", *command],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Reader(threading.Thread):
    """Reads whatever is visible, all the time, and keeps what is not as it must be."""

    def __init__(self, cache: Path, whole: stores.FeatureStore) -> None:
        super().__init__(daemon=True)
        self.cache, self.whole = cache, whole
        self.faults: list[str] = []
        self.seen = 0
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(0.02):
            try:
                self.look()
            except Exception as fault:
                self.faults.append(repr(fault))

    def look(self) -> None:
        for folder, _ in stores.find(self.cache):
            store = stores.open(folder)
            for id in store.ids():
                if not same(store, self.whole, id):
                    self.faults.append(f"torn: {id}")
                self.seen += 1


def same(store: stores.FeatureStore, whole: stores.FeatureStore, id: str) -> bool:
    return (
        np.array_equal(store.read(id), whole.read(id))
        and np.array_equal(store.pooled([id]), whole.pooled([id]))
        and np.array_equal(store.pooled([id], what="std"), whole.pooled([id], what="std"))
    )


@pytest.mark.slow
@pytest.mark.parametrize("format", ["zarr", "hdf5"])
def test_killed_at_any_moment(corpus: Path, tmp_path: Path, format: str) -> None:
    finish(arguments(corpus, tmp_path / "whole", format))
    [(folder, _)] = stores.find(tmp_path / "whole")
    whole = stores.open(folder)
    assert len(whole.ids()) == N_UTTERANCES
    cut = tmp_path / "cut"
    reader = Reader(cut, whole)
    reader.start()
    kills, round_number = 0, 0
    while kills < N_KILLS:
        killed = subprocess.run(
            [
                *(sys.executable, Path(__file__).with_name("kill_extract.py")),
                *(str(round_number), str(N_KILLS - kills), "0.7"),
                json.dumps(arguments(corpus, cut, format)),
            ],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert killed.returncode == 0, killed.stderr
        outcome = json.loads(killed.stdout.splitlines()[-1])
        kills += outcome["kills"]
        round_number += 1
        if kills < N_KILLS:  # all was extracted: go on with an empty cache
            check_whole(cut, whole)
            cut = tmp_path / f"cut{round_number}"
            reader.cache = cut
    finish(arguments(corpus, cut, format))
    reader.stop.set()
    reader.join()
    assert not reader.faults, reader.faults[:5]
    assert reader.seen > 0, "the reader never saw anything: the test shows nothing"
    check_whole(cut, whole)


def check_whole(cache: Path, whole: stores.FeatureStore) -> None:
    """Every utterance once, bit-equal, every checksum right."""
    [(folder, _)] = stores.find(cache)
    store = stores.open(folder)
    assert sorted(store.ids()) == sorted(whole.ids())
    assert [id for id in store.ids() if not same(store, whole, id)] == []
    assert store.verify() == []
