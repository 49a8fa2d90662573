"""Two hosts are given one command at the same time, and are killed, paused and refused space again and again.

    python tests/kill_hosts.py [VERB,…] [BLOWS] [SEED]

Verbs: evaluate, map, merge, sweep, probe, reproduce; by default each of them, with so many blows. The hosts are
processes that see one cache and one runs folder, with names and boots of their own, so that neither can tell whether
the other's processes live; the disk grants locks to one of them alone, so that no lock is seen by both. What is there
when both have ended well must be what one process makes: the same files with the same numbers, each once, and no claim.
Prints what was done as JSON; test_hosts.py runs it with few blows.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import platform
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import soundfile
from corpus_trees import TREES
from failing_disk import FailingDisk, failing
from kill_extract import run
from kill_train import code_of
from paper_world import give_voices
from test_extraction_sharing import no_flock

from sercache import cli, files, stores, system
from sercache.claims import _claims
from sercache.files import _folders
from sercache.stores import locks

EXPIRY = 1.0
LONGEST = 1.0
"""Seconds between two blows at most."""
STEPS = 120
"""Calls that write to the disk, of which one finds it full."""
_WRITING = ("write", "short write", "fsync", "rename", "mkdir", "tensors")
BLOWS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP)
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPED = {-signal.SIGKILL, 143, 130}
_HEAD = """from sercache.heads import mlp
from sercache.heads.mlp import OPTIONS, RECIPE, SETUP

BASELINE, SOURCE = True, "a test"


class Head(mlp.Head):
    def embed(self, x, mask):
        return x.flatten(1)
"""
_TOLD = ("timing", "environment")
"""Parts of a report that tell when and where it was made."""


@dataclass(frozen=True)
class World:
    """What the commands work on, below one folder."""

    place: Path

    def words(self, verb: str) -> list[str]:
        """The command of a verb."""
        run, tiny = self.place / "runs" / "r", ["--serial", "--set", "max-epochs=4", "--seeds", "2"]
        corpus = ["--encoder", "logmel", "--dataset", "manifest:here"]
        words: dict[str, Sequence[object]] = {
            "evaluate": [run, "--dataset", "manifest:others"],
            "map": [run, "--dataset", "manifest:others", "--by", "label", "--fold", "1"],
            "merge": [self.place / "left", self.place / "right", "--into", self.place / "both"],
            "sweep": [
                *["--head", "linear", *corpus, "--protocol", "kfold:2", "--dev", "random20", "--name", "s"],
                *["--grid", "lr=1e-2,1e-3,1e-4", *tiny],
            ],
            "probe": [*corpus, "--protocol", "kfold:3"],
            "reproduce": [
                *["pepino2021", "table1", "--rows", "48", "--only-available", "--seeds", "1"],
                *["--set", "max-epochs=1"],
            ],
        }
        return [verb, *map(str, words[verb])]

    def left(self) -> dict[str, str]:
        """What lies in the runs folder, and in the store that is made by merging: names, and what says of contents."""
        found: dict[str, str] = {}
        for path in sorted((self.place / "runs").rglob("*")):
            name = path.relative_to(self.place)
            is_live = (
                name.name == "epochs.csv" and name.parent.suffix == ".partial"
            )  # of the last to train there
            if path.is_file() and not is_live and not _is_leftover(name):
                # A host that is begun again when the other has ended makes one more, which is equal.
                first, content = re.sub(r"^runs/(probe-\w+-\w+)-\d+/", r"runs/\1/", str(name)), _content(path)
                assert found.setdefault(first, content) == content, name
        made = [self.place / "both", *(folder for folder, _ in stores.find(self.place / "cache"))]
        for folder in made:
            if folder.is_dir():
                assert stores.verify(folder) == []
                store = stores.open(folder)
                assert len(set(store.ids())) == len(store.ids())
                means = {id: store.pooled([id]).tobytes() for id in sorted(store.ids())}
                found[str(folder.relative_to(self.place))] = _digest(repr(means).encode())
        return found


def _content(path: Path) -> str:
    """What tells contents apart, without when and where they were made."""
    if path.suffix == ".html":
        return "is there"
    if path.suffix == ".safetensors":  # beside the weights stands how long each epoch took
        with files.opened_tensors(path) as file:
            return _digest(
                repr(
                    [(name, file.get_tensor(name).numpy().tobytes()) for name in sorted(file.keys())]
                ).encode()
            )
    if path.name != "report.json":
        return _digest(path.read_bytes())
    record = json.loads(path.read_text())
    return _digest(json.dumps({k: v for k, v in record.items() if k not in _TOLD}).encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _is_leftover(path: Path) -> bool:
    """What a killed process left, whose death the other host cannot know of: `sercache prune` removes it."""
    is_hidden = any(part.startswith(".") and part.endswith((".new", ".tmp", ".old")) for part in path.parts)
    return is_hidden or any(part.endswith(".partial") and not part.startswith(".") for part in path.parts)


def make(place: Path) -> World:
    """Two corpora, their features, a run and two stores of which one holds more."""
    os.environ |= {
        "SERCACHE_CONFIG": str(place / "config.toml"),
        "SERCACHE_CACHE": str(place / "cache"),
        "SERCACHE_RUNS": str(place / "runs"),
        "SERCACHE_ROOT_RAVDESS": str(TREES["ravdess"](place / "ravdess")),
        "SERCACHE_DEVICE": "cpu",
        "HF_HUB_OFFLINE": "1",
    }
    give_voices(place)
    (place / "head.py").write_text(_HEAD)
    for number, name in enumerate(("others", "here")):
        extract = ["extract", "--encoder", "logmel", "--dataset", f"manifest:{name}", "--root"]
        extract.append(str(_corpus(place / name, 50 * number)))
        _ends_well(extract, place)
    for name, limit in (("left", 16), ("right", 24)):
        _ends_well([*extract, "--cache", str(place / name), "--limit", str(limit)], place)
        [(folder, _)] = stores.find(place / name)
        folder.rename(place / "half")
        shutil.rmtree(place / name)
        (place / "half").rename(place / name)
    train = ["train", "--head", str(place / "head.py"), "--encoder", "logmel", "--dataset", "manifest:here"]
    train += ["--protocol", "kfold:2", "--dev", "none", "--states", "all", "--set", "max-epochs=2"]
    _ends_well(
        [*train, "--set", "select=last-epoch", "--set", "patience=none", "--name", "r", "--seeds", "1"], place
    )
    return World(place)


def _corpus(folder: Path, seed: int) -> Path:
    folder.mkdir(parents=True)
    rows = ["id,path,label,speaker"]
    for k in range(24):
        chance = np.random.default_rng(seed + k)
        wave = chance.normal(0, 0.3 if k % 2 else 0.03, int(16000 * chance.uniform(0.2, 0.4)))
        soundfile.write(folder / f"{k}.wav", wave, 16000)
        rows.append(f"u{k},{k}.wav,{'loud' if k % 2 else 'soft'},s{k // 2 % 4}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder / "list.csv"


def start(words: list[str], place: Path, host: int = 0, full_at: int = -1) -> int:
    """A fork of this process that does a command as one of the hosts; gives its number.

    To the step ``full_at`` that reaches the disk the disk is full.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    child = os.fork()
    if child == 0:
        try:
            _as_host(words, place, host, full_at)
        finally:  # a signal came before the command could hear it
            os._exit(128 + signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    return child


def _as_host(words: list[str], place: Path, host: int, full_at: int) -> NoReturn:
    told = os.open(f"{place}-{os.getpid()}.err", os.O_WRONLY | os.O_CREAT)
    os.dup2(told, 2)
    kernel = {"boot": f"boot-{host}", "pids": "pid:[1]"}
    platform.node = lambda: f"host-{host}"
    system.kernel = _folders.kernel = lambda: kernel  # type: ignore[assignment, misc]
    _folders._host.cache_clear()
    for number in STOPS:  # a job in the background ignores some
        signal.signal(number, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    if host:
        fcntl.flock = no_flock  # type: ignore[assignment]
    with ExitStack() as disk:
        if full_at >= 0:
            any_step = FailingDisk._is_next
            FailingDisk._is_next = lambda disk, kind, path: kind in _WRITING and any_step(disk, kind, path)  # type: ignore[method-assign]
            disk.enter_context(failing(place, full_at, errno.ENOSPC))
        run(cli, words)
    raise AssertionError


def _ends_well(words: list[str], place: Path) -> None:
    child = start(words, place)
    code = code_of(child)
    assert code == 0, (code, said(place, child))


def said(place: Path, child: int) -> str:
    """What a process wrote to its standard error."""
    told = Path(f"{place}-{child}.err")
    return told.read_text() if told.exists() else ""  # it was killed before it could say anything


def main(verbs: str, n_blows: int = 25, seed: int = 0) -> dict[str, Any]:
    """Deal so many blows to each verb; gives counts."""
    _claims.EXPIRY_SECONDS = locks._EXPIRY_SECONDS = EXPIRY
    _claims.LOSSES = 10**6  # blows at random are no fault of the work
    os.fsync = lambda descriptor: None  # what a process wrote outlives its death without
    chance, counts = random.Random(seed), {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "now")
        world = make(place)
        place.rename(place.with_name("before"))
        for verb in verbs.split(","):
            _anew(place)
            _ends_well(world.words(verb), place)
            whole, counts[verb] = world.left(), Counter[str]()
            while counts[verb]["blows"] < n_blows:
                _anew(place)
                _round(world, verb, chance, counts[verb], n_blows)
                _compare(world.left(), whole)
                counts[verb]["leftovers"] += sum(map(_is_leftover, (place / "runs").rglob("*")))
    return counts


def _anew(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(place.with_name("before"), place)


def _compare(found: dict[str, str], whole: dict[str, str]) -> None:
    differ = sorted(name for name in {**found, **whole} if found.get(name) != whole.get(name))
    assert not differ, [
        (name, found.get(name, "is not there"), whole.get(name, "is one more")) for name in differ
    ]


def _round(world: World, verb: str, chance: random.Random, counts: Counter[str], n_blows: int) -> None:
    """Have a command done by both hosts, each begun again until it has ended well."""
    words, place = world.words(verb), world.place
    at_work, paused = {start(words, place, host): host for host in (0, 1)}, dict[int, float]()
    counts["rounds"] += 1
    while at_work:
        time.sleep(chance.uniform(0.0, LONGEST))
        for child, host in list(at_work.items()):
            code = code_of(child, os.WNOHANG)
            if code is not None:
                del at_work[child]
                paused.pop(child, None)  # it had ended before it was to be paused
                if code:
                    told = said(place, child)
                    assert code in STOPPED or (code == 2 and "is full" in told), (verb, code, told)
                    counts["refused space" if code == 2 else "ended by a blow"] += 1
                    at_work[start(words, place, host)] = host
        for child in [each for each, until in paused.items() if time.monotonic() > until]:
            os.kill(child, signal.SIGCONT)
            del paused[child]
        awake = [child for child in at_work if child not in paused]
        if not awake or counts["blows"] >= n_blows:
            continue
        counts["blows"] += 1
        child = chance.choice(awake)
        blow = chance.choice((*BLOWS, None))
        if blow is not None:
            os.kill(child, blow)
        if blow == signal.SIGSTOP:
            paused[child] = time.monotonic() + EXPIRY + chance.uniform(0.5, 1.5)
            counts["pauses"] += 1
        if blow is None:  # it is begun again, on a disk that gets full
            host = at_work.pop(child)
            os.kill(child, signal.SIGKILL)
            code_of(child)
            at_work[start(words, place, host, chance.randrange(STEPS))] = host


if __name__ == "__main__":
    given = sys.argv[1:2] or ["evaluate,map,merge,sweep,probe,reproduce"]
    print(json.dumps(main(*given, *map(int, sys.argv[2:4]))), flush=True)
