"""Several processes with one plan: each batch is done once, all of it is done, and the bits are those of one."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import linux  # noqa: F401 - skipped elsewhere
import numpy as np
import pytest
import soundfile
import torch
import zarr
from many_helpers import forks
from store_helpers import append, features, make_spec
from test_extraction import tone
from test_extraction_company import InCompany, assert_equal, planned
from test_training_shared import code_of, started

from sercache import audio, claims, extraction, progress, stores
from sercache.datasets import Corpus, manifest
from sercache.errors import SettingsError, StoreError
from sercache.experiment.extract import ExtractOptions, run
from sercache.experiment.parts import part_of
from sercache.extraction import PlanPart
from sercache.extraction.sharing import FOLDER, Fence, Turn
from sercache.stores import locks, roster
from sercache.stores.ledger import Ledger

N = 14


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Recordings that equal others, some of which are all equally long and fill more than a batch."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = ["id,path,label"]
    for k in range(N):
        tone(folder / f"{k}.wav", 0.2 + 0.05 * k if k > 4 else 0.6, seed=k)
        rows.append(f"u{k},{k}.wav,a")
    for name, of in (("x", 2), ("y", 2), ("z", 9), ("v", 4)):
        tone(folder / f"{name}.wav", 0.6 if of < 5 else 0.2 + 0.05 * of, seed=of)
        rows.append(f"{name},{name}.wav,a")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return manifest.read(folder / "list.csv")


@pytest.fixture(scope="module")
def whole(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> stores.FeatureStore:
    """What one process makes."""
    folder = tmp_path_factory.mktemp("whole") / "store"
    result = extract(corpus, folder)
    assert (result.n_encoded, result.n_copied) == (N, 4)
    assert not list((stores.notes_folder(folder) / FOLDER).iterdir())
    return stores.open(folder)


class Slow(InCompany):
    """Waits until two are ``at_work``; stops its own process before a batch, if it is to."""

    def __init__(self, at_work: list[int] | None = None, stops_at: int | None = None) -> None:
        super().__init__()
        self.at_work, self.stops_at = at_work, stops_at

    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, torch.Tensor]]:
        if self.at_work is not None and not self.calls:
            self.at_work.append(1)
            for _ in range(3000):
                if len(self.at_work) > 1:
                    break
                time.sleep(0.01)
        if len(self.calls) == self.stops_at:
            os.kill(os.getpid(), signal.SIGSTOP)
        yield from super().encode(waves, states)


def extract(
    corpus: Corpus,
    folder: Path,
    part: PlanPart | None = None,
    encoder: InCompany | None = None,
    **options: object,
) -> extraction.Extraction:
    plan = dataclasses.replace(planned(corpus, folder, pack_frames=120), part=part or PlanPart(1, 1))
    writer = stores.create(folder, plan.spec)
    with progress.sent_to(progress.Shown()):
        return extraction.extract(plan, encoder or InCompany(), writer, stores.open(folder), **options)  # type: ignore[arg-type]


def assert_each_once(folder: Path) -> None:
    """No commit lists what another lists, so that neither readers nor stock tools can see anything twice."""
    ledger = Ledger(stores.notes_folder(folder))
    ledger.refresh()
    listed = Counter(id for record in ledger.records.values() for id in record.ids)
    assert [id for id, n in listed.items() if n > 1] == []
    shown = [str(id) for id in zarr.open(folder, mode="r")["utterance"][:]]
    assert sorted(id for id in shown if id) == sorted(listed)  # between two writers' shards there is padding


def no_flock(descriptor: int, how: int) -> None:
    """What a disk without locks says."""
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def test_a_host_that_is_refused_locks_and_one_that_is_granted_them_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, waits = tmp_path / "lock", pytest.raises(StoreError, match="has been held")
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.1)
    with monkeypatch.context() as refused:
        refused.setattr(fcntl, "flock", no_flock)
        with locks.held(path):
            refused.undo()
            with waits, locks.held(path):
                pass
    with locks.held(path), monkeypatch.context() as refused:
        refused.setattr(fcntl, "flock", no_flock)
        with waits, locks.held(path):
            pass


def test_a_writer_that_has_not_said_who_it_is_may_be_about_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another host, where locks are refused to one of them; else the lock tells."""
    lock = tmp_path / "writers" / "somebody.lock"
    lock.parent.mkdir()
    lock.touch()
    assert roster.living_writers(lock.parent) == set()
    (tmp_path / "locking").mkdir()
    assert roster.living_writers(lock.parent) == {"somebody"}
    monkeypatch.setattr(fcntl, "flock", no_flock)
    assert roster.living_writers(lock.parent) == {"somebody"}
    os.utime(lock, (0, 0))
    assert roster.living_writers(lock.parent) == set()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Writers take turns all the same, the dead are cleared up after, and who lives is let be."""

    def refused(descriptor: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refused)
    path, spec = tmp_path / "store", make_spec()
    with stores.create(path, spec) as writer, stores.create(path, spec) as other:
        append(writer, "a", features("a", 3, spec))
        append(other, "b", features("b", 3, spec))
        writer.seal()
        notes = stores.notes_folder(path)
        [living, *_] = sorted((notes / "writers").glob("*.json"))
        ended = json.loads(living.read_bytes()) | {"started": 1}
        for suffix, text in (("lock", ""), ("json", json.dumps(ended)), ("1.tmp", "half")):
            (notes / "writers" / f"dead.{suffix}").write_text(text)
        (notes / "claims" / "00000000.json").write_text('"dead"')
        with stores.create(path, spec):
            assert not list((notes / "writers").glob("dead.*"))
            assert len(list((notes / "writers").glob("*.lock"))) == 3
    store = stores.open(path)
    assert sorted(store.ids()) == ["a", "b"]
    assert stores.verify(path) == []
    assert [list((notes / name).iterdir()) for name in ("writers", "claims", "locking")] == [[], [], []]


@pytest.mark.parametrize("without_locks", [False, True])
@pytest.mark.parametrize("n", [2, 4])
def test_several_divide_the_work(
    corpus: Corpus,
    whole: stores.FeatureStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    n: int,
    without_locks: bool,
) -> None:
    if without_locks:
        monkeypatch.setattr("fcntl.flock", no_flock)
    folder, seen = tmp_path / "store", [list[str]() for _ in range(n)]
    at_work: list[int] = []

    def go(k: int) -> extraction.Extraction:
        return extract(
            corpus,
            folder,
            encoder=Slow(at_work),
            progress=lambda piece: seen[k].append(piece.entry_id),
            seal_every=0,
        )

    with ThreadPoolExecutor(n) as pool:
        results = list(pool.map(go, range(n)))
    assert_equal(stores.open(folder), whole)
    assert_each_once(folder)
    assert sum(result.n_encoded for result in results) == N
    assert sum(result.n_copied for result in results) == 4
    assert sum(result.n_encoded > 0 for result in results) > 1, "one did everything: the test shows nothing"
    for result, told in zip(results, seen, strict=True):
        assert result.n_encoded + result.n_copied + result.n_elsewhere == N + 4
        assert sorted(told) == sorted(whole.ids()), "the bar of each gets to its end"
    assert not list((stores.notes_folder(folder) / FOLDER).iterdir())
    assert extraction.is_finished(folder)


@pytest.mark.parametrize("count", [3, 9])
def test_parts_give_the_whole_in_any_order(
    corpus: Corpus, whole: stores.FeatureStore, tmp_path: Path, count: int
) -> None:
    folder, n_batches = tmp_path / "store", len(planned(corpus, tmp_path, 120).batches)
    assert n_batches > 3
    n_encoded = 0
    for number in range(count, 0, -1):
        assert not (stores.exists(folder) and extraction.is_finished(folder)) or number < count - n_batches
        before = planned(corpus, folder, 120)
        result = extract(corpus, folder, PlanPart(number, count))
        extraction.record_skips(
            folder, result.skipped, dataclasses.replace(before, part=PlanPart(number, count))
        )
        n_encoded += result.n_encoded
        if number > n_batches:
            assert result.n_encoded == 0
    assert n_encoded == N, "nothing is done twice"
    assert_equal(stores.open(folder), whole)
    assert_each_once(folder)
    assert extraction.is_finished(folder)


def test_a_task_of_an_array_goes_on_with_what_is_left(
    corpus: Corpus, whole: stores.FeatureStore, tmp_path: Path
) -> None:
    order: list[str] = []
    extract(
        corpus,
        tmp_path / "store",
        PlanPart(2, 3, alone=False),
        progress=lambda piece: order.append(piece.entry_id),
    )
    batches = planned(corpus, tmp_path, 120).batches
    assert order[0] in [piece.entry_id for piece in batches[1]]
    assert_equal(stores.open(tmp_path / "store"), whole)


def slurm(task: int, count: int, first: int = 0, step: int | None = None) -> dict[str, str]:
    named = {"ID": task, "COUNT": count, "MIN": first, "MAX": first + count, "STEP": step}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in named.items() if value is not None}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, PlanPart(1, 1)),
        (slurm(0, 4), PlanPart(1, 4, False)),
        (slurm(3, 4), PlanPart(4, 4, False)),
        (slurm(4, 4, first=1), PlanPart(4, 4, False)),
        (slurm(9, 5, first=1, step=2), PlanPart(5, 5, False)),
        (slurm(7, 3, first=1), PlanPart(1, 1)),
        (slurm(2, 1, first=2), PlanPart(1, 1)),
        ({"SLURM_ARRAY_TASK_ID": "3"}, PlanPart(1, 1)),
        (slurm(1, 4) | {"SLURM_ARRAY_TASK_COUNT": "many"}, PlanPart(1, 1)),
    ],
)
def test_the_part_of_a_task_of_an_array(environment: dict[str, str], expected: PlanPart) -> None:
    assert part_of(None, environment)[0] == expected
    assert part_of("2/3", environment)[0] == PlanPart(2, 3)


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "a/b", "1/0", "-1/2", "1/2/3", ""])
def test_what_is_no_part(shard: str) -> None:
    with pytest.raises(SettingsError, match=r"--shard .* from 1 to N"):
        run(ExtractOptions("no-such-encoder", "no-such-corpus", shard=shard))


def test_what_cannot_be_encoded_is_told_by_each(corpus: Corpus, tmp_path: Path) -> None:
    """A batch of which something cannot be stored is gone through by every process, and ends all the same."""
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(6000), 8000)
    changed = [dataclasses.replace(u, path=silent) if u.id in ("u9", "z") else u for u in corpus.utterances]
    broken = dataclasses.replace(corpus, utterances=tuple(changed))
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda k: extract(broken, tmp_path / "s", encoder=Slow()), range(2)))
    for result in results:
        assert sorted(item.what for item in result.skipped) == ["u9", "z"]
        assert result.n_encoded + result.n_copied + result.n_elsewhere == N + 2
    assert sum(result.n_encoded for result in results) == N - 1
    assert stores.verify(tmp_path / "s") == []


def test_equal_recordings_of_one_batch_that_do_not_fit(corpus: Corpus, tmp_path: Path) -> None:
    """The first of them is given up, and the other, of the same batch, for the same reason; nobody waits for ever."""
    longest = 0.2 + 0.05 * (N - 1)
    tone(tmp_path / "long.wav", longest + 0.2, seed=0)
    changed = [
        dataclasses.replace(u, path=tmp_path / "long.wav") if u.id in ("u9", "z") else u
        for u in corpus.utterances
    ]
    large = dataclasses.replace(corpus, utterances=tuple(changed))
    with pytest.warns(UserWarning, match="ran out of memory"):
        result = extract(large, tmp_path / "s", encoder=InCompany(room=90))
    assert sorted(item.what for item in result.skipped) == ["u9", "z"]
    assert "do not fit" in result.skipped[0].reason
    assert len(stores.open(tmp_path / "s").ids()) == N + 2


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from sercache.claims import _claims
_claims.EXPIRY_SECONDS = float(sys.argv[4])
from test_extraction_sharing import Slow, extract, manifest
corpus, encoder = manifest.read(Path(sys.argv[2])), Slow(stops_at=int(sys.argv[5]))
result = extract(corpus, Path(sys.argv[3]), encoder=encoder, seal_every=float(sys.argv[6]))
print(result.n_encoded, result.n_overtaken, result.n_elsewhere)
"""


def child(
    corpus: Corpus, folder: Path, expiry: float, stops_at: int, seal_every: float = 0
) -> subprocess.Popen[str]:
    here = Path(__file__).parent
    words = [sys.executable, "-c", CHILD, here, corpus.table, folder, expiry, stops_at, seal_every]
    return subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("seal_every", [0.0, 60.0])
def test_an_owner_that_was_paused_publishes_nothing_of_what_passed_on(
    corpus: Corpus,
    whole: stores.FeatureStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seal_every: float,
) -> None:
    """SIGSTOP in the middle of a batch, others waiting to be sealed; the claims expire and pass on; SIGCONT."""
    monkeypatch.setattr("sercache.claims._claims.EXPIRY_SECONDS", 1.0)
    folder = tmp_path / "store"
    with child(corpus, folder, 1.0, 2, seal_every) as paused:
        os.waitid(os.P_PID, paused.pid, os.WSTOPPED | os.WNOWAIT)
        result = extract(corpus, folder, encoder=Slow(), seal_every=0)
        assert result.n_encoded > 0
        assert_equal(stores.open(folder), whole)
        os.kill(paused.pid, signal.SIGCONT)
        said, _ = paused.communicate(timeout=60)
    assert paused.returncode == 0
    n_encoded, n_overtaken, n_elsewhere = map(int, said.split())
    assert n_overtaken > 0, "it woke with its claim: the test shows nothing"
    assert n_encoded - n_overtaken + result.n_encoded == N
    assert n_elsewhere > 0
    assert_equal(stores.open(folder), whole)
    assert_each_once(folder)


@pytest.mark.slow
def test_the_dead_are_followed_at_once(corpus: Corpus, whole: stores.FeatureStore, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with child(corpus, folder, 60.0, stops_at=2) as paused:
        os.waitid(os.P_PID, paused.pid, os.WSTOPPED | os.WNOWAIT)
        paused.kill()
    began = time.monotonic()
    extract(corpus, folder)
    assert time.monotonic() - began < 30
    assert_equal(stores.open(folder), whole)
    assert not list((stores.notes_folder(folder) / FOLDER).iterdir())


@forks
@pytest.mark.filterwarnings("ignore:trying")
@pytest.mark.parametrize("stage", ["decode", pytest.param("encode", marks=pytest.mark.slow)])
def test_what_ends_each_process_that_computes_it_is_left_out_and_named(
    corpus: Corpus, whole: stores.FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """Also where later batches cannot be composed without decoding it."""
    folder, parent = tmp_path / "store", os.getpid()
    read, encode = audio.read, InCompany.encode
    deadly = read(corpus.by_id()["u0"].path, InCompany().sample_rate)

    def end() -> None:
        assert os.getpid() != parent, "it is left out"
        os.kill(os.getpid(), signal.SIGKILL)

    def reading(path: Path, *arguments: object) -> np.ndarray:
        if path.name == "0.wav":
            end()
        return read(path, *arguments)  # type: ignore[arg-type]

    def encoding(self: InCompany, waves: Sequence[np.ndarray], *more: object) -> Iterator:
        if any(np.array_equal(wave, deadly) for wave in waves):
            end()
        return encode(self, waves, *more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(*((audio, "read", reading) if stage == "decode" else (InCompany, "encode", encoding)))
        codes = [code_of(started(lambda: extract(corpus, folder))) for _ in range(claims.LOSSES)]
        assert codes == [-signal.SIGKILL] * claims.LOSSES
        result = extract(corpus, folder)
    left_out = {item.what for item in result.skipped if isinstance(item, extraction.LeftOut)}
    assert "u0" in left_out
    assert len(left_out) == 2, "its batch alone"
    found = stores.open(folder).ids()
    assert set(whole.ids()) - set(found) == {item.what for item in result.skipped}
    extract(corpus, folder)
    assert_equal(stores.open(folder), whole)
    assert_each_once(folder)


def test_what_passed_on_is_dropped_right_before_the_commit(
    corpus: Corpus, whole: stores.FeatureStore, tmp_path: Path
) -> None:
    """By a claim that is lost before a batch is sealed, or while its shard is being written."""
    for when in (1, 2):
        folder = tmp_path / f"store{when}"
        writer, asked = stores.create(folder, whole.spec), itertools.count(1)

        def lost(ids: Sequence[str], asked: Iterator[int] = asked, when: int = when) -> set[str]:
            return {"u5"} & set(ids) if next(asked) >= when else set()

        writer.guard(lost)
        for id in ("u5", "u6"):
            entry = whole.entries()[id]
            frames = whole.read(id)
            writer.append(
                id,
                whole.pooled([id])[0],
                whole.pooled([id], what="std")[0],
                frames,
                n_frames=entry.n_frames,
                n_samples=entry.n_samples,
                audio_digest=entry.audio_digest,
            )
        writer.close()
        assert stores.open(folder).ids() == ["u6"]
        assert stores.verify(folder) == []


def test_a_fence_asks_for_each_claim(tmp_path: Path, corpus: Corpus) -> None:
    plan, fence = planned(corpus, tmp_path, 120), Fence()
    with claims.Claims(tmp_path) as mine:
        for k in (0, 1):
            assert mine.take(str(k))
            fence.add(Turn(plan.batches[k], mine.held(str(k))))
        ids = [piece.entry_id for k in (0, 1) for piece in plan.batches[k]]
        assert fence.lost([*ids, "other"]) == set()
        (tmp_path / "1.2").write_text("f" * 32)
        assert fence.lost(ids) == {piece.entry_id for piece in plan.batches[1]}
        assert fence.n_lost == len(plan.batches[1])


@pytest.mark.slow
@pytest.mark.parametrize("disk", ["locks", "no-locks"])
def test_killed_and_paused_at_any_moment(disk: str) -> None:
    """As tests/kill_shared.py does 200 times."""
    script = Path(__file__).with_name("kill_shared.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script, "10", "4", "0", disk],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kills"] == 10
