"""Writers that are killed lose at most what they had not sealed, and nobody ever sees anything torn.

SERCACHE_KILLS sets how often the slow test kills (default 60, over both formats).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kill_store import SPEC, lengths
from store_helpers import as_stored, assert_holds, features

from sercache import stores

SCRIPT = Path(__file__).with_name("kill_store.py")
N_KILLS = int(os.environ.get("SERCACHE_KILLS", "60"))


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, SCRIPT, json.dumps(arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def watch(path: Path, process: subprocess.Popen[str], content: dict[str, np.ndarray]) -> int:
    """Read every utterance as it appears until the process ends; gives how many looks were taken."""
    seen: set[str] = set()
    looks, store = 0, None
    while process.poll() is None:
        if store is None or looks % 50 == 0:
            store = stores.open(path) if stores.exists(path) else None
        if store is None:
            continue
        store.refresh()
        ids = set(store.ids())
        assert seen <= ids, "what was visible once stays"
        for id in ids - seen:
            np.testing.assert_array_equal(store.read(id), as_stored(content[id], SPEC.dtype))
            np.testing.assert_array_equal(store.pooled([id])[0], content[id].mean(axis=1))
        seen, looks = ids, looks + 1
    return looks


def killed_at_random(path: Path, format: str, n_kills: int, n_utterances: int, sync: bool) -> None:
    content = {id: features(id, n_frames, SPEC) for id, n_frames in lengths(n_utterances).items()}
    with start("kill_at_random", str(path), format, n_kills, n_utterances, sync) as process:
        looks = watch(path, process, content)
        output, faults = process.communicate()
    assert process.returncode == 0, faults
    assert json.loads(output)["kills"] == n_kills
    assert looks > n_kills, "the reader looked while writers died"
    assert_holds(stores.open(path), content, order=content)
    assert stores.verify(path) == []
    assert list((path / "ledger/writers").iterdir()) == []
    # One that was killed between making a claim and signing it leaves it; a writer clears it once it is a minute old.
    left = list((path / "ledger/claims").iterdir())
    assert [claim for claim in left if claim.stat().st_size] == []
    for claim in left:
        os.utime(claim, (0, 0))
    stores.create(path, SPEC, format).close()
    assert list((path / "ledger/claims").iterdir()) == []


@pytest.mark.slow  # that it dies at each step in turn is in the fast tier
@pytest.mark.parametrize("format", stores.FORMATS)
def test_killed_at_random_moments(tmp_path: Path, format: str) -> None:
    killed_at_random(tmp_path / "store", format, 3, 110, sync=False)


@pytest.mark.slow
@pytest.mark.parametrize("format", stores.FORMATS)
def test_killed_at_random_moments_many_times(tmp_path: Path, format: str) -> None:
    killed_at_random(tmp_path / "store", format, N_KILLS // 2, 30 * N_KILLS, sync=True)


@pytest.mark.parametrize("stride", [28, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("format", stores.FORMATS)
def test_dies_at_each_step(tmp_path: Path, format: str, stride: int) -> None:
    """Syncs, renames, removals and new files of opening, some commits and closing, in turn."""
    with start("die_at_each_step", str(tmp_path), format, stride) as process:
        output, faults = process.communicate()
    assert process.returncode == 0, faults
    assert json.loads(output)["steps"] > 40
