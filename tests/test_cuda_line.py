"""Both stages on a card: whatever happens to an extraction, its store is that of an undisturbed run on the CPU."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import on_card
import pytest
import soundfile
import torch
from conftest import Outcome
from evaluations import noted
from on_card import DEVICE, SMALL
from published_sizes import write

from sercache import encoders, extraction, stores
from sercache.datasets import Corpus, manifest
from sercache.report import runs as run_folders

pytestmark = pytest.mark.cuda
Run = Callable[..., Outcome]
N = 24


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Recordings of two classes that pitch tells apart, by four speakers; two have equal samples."""
    folder = tmp_path_factory.mktemp("corpus")
    rows, chance = ["id,path,label,speaker"], np.random.default_rng(0)
    for k in range(N):
        t = np.arange(int(16_000 * chance.uniform(0.3, 1.2 if SMALL else 4.0))) / 16_000
        wave = 0.3 * np.sin(2 * np.pi * (700 if k % 2 else 200) * t) + chance.normal(0, 0.05, len(t))
        soundfile.write(folder / f"{k}.wav", wave, 16_000, subtype="PCM_16")
        rows.append(f"u{k},{k}.wav,{'high' if k % 2 else 'low'},s{k // 2 % 4}")
    (folder / f"{N - 1}.wav").write_bytes((folder / "3.wav").read_bytes())
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return manifest.read(folder / "list.csv")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write("wavlm-base", tmp_path_factory.mktemp("checkpoint"), small=SMALL)


def load(device: str, source: str) -> encoders.Encoder:
    return encoders.load(source, device=device)


def planned(
    encoder: Any, corpus: Corpus, folder: Path, *, clip: str = "none", n_frames: int | None = None
) -> extraction.Plan:
    spec = extraction.feature_spec(encoder, corpus, selection="blocks", dtype="float32", clip=clip)
    done = stores.open(folder).ids() if stores.exists(folder) else []
    return extraction.make_plan(encoder, corpus.utterances, spec, folder, done=done, pack_frames=n_frames)


def fill(encoder: Any, plan: extraction.Plan, folder: Path, **options: Any) -> stores.FeatureStore:
    with noted():
        extraction.extract(plan, encoder, stores.create(folder, plan.spec), stores.open(folder), **options)
    return stores.open(folder)


Filled = Callable[..., stores.FeatureStore]


@pytest.fixture(scope="module")
def undisturbed(corpus: Corpus, checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """Stores that the CPU filled in one go, one for each clip rule."""
    encoder, known = load("cpu", checkpoint), dict[str, stores.FeatureStore]()

    def of(clip: str = "none") -> stores.FeatureStore:
        if clip not in known:
            folder = tmp_path_factory.mktemp("undisturbed") / "store"
            known[clip] = fill(encoder, planned(encoder, corpus, folder, clip=clip), folder)
        return known[clip]

    return of


@pytest.mark.parametrize("clip", ["none", "trim:0.5", "split:0.4", "window:0.5:0.1"])
def test_an_extraction_gives_what_the_cpu_gives(
    clip: str, corpus: Corpus, checkpoint: str, undisturbed: Filled, tmp_path: Path
) -> None:
    encoder = load(DEVICE, checkpoint)
    plan = planned(encoder, corpus, tmp_path / "store", clip=clip)
    on_card.assert_alike(fill(encoder, plan, tmp_path / "store"), undisturbed(clip))


def test_memory_that_runs_out_cuts_batches_and_no_features(
    corpus: Corpus, checkpoint: str, undisturbed: Filled, tmp_path: Path
) -> None:
    encoder = load(DEVICE, checkpoint)
    n_frames = sum(entry.n_frames for entry in undisturbed().entries().values())
    everything = planned(encoder, corpus, tmp_path / "all", n_frames=n_frames)
    assert len(everything.batches) == 1
    if not SMALL:
        torch.cuda.reset_peak_memory_stats(DEVICE)  # what ran before in this process may have taken more
    base = torch.cuda.memory_allocated(DEVICE) if not SMALL else 0
    whole = fill(encoder, everything, tmp_path / "all")
    peak = torch.cuda.max_memory_allocated(DEVICE) if not SMALL else 0
    folder = tmp_path / "short"
    plan = planned(encoder, corpus, folder, n_frames=n_frames)
    with on_card.short_of_memory(encoder, peak, base, n_frames // 2):
        short = fill(encoder, plan, folder)
    assert list((stores.notes_folder(folder) / "splits").iterdir()), "memory did not run out"
    for store in (whole, short):
        on_card.assert_alike(store, undisturbed())


@contextmanager
def interrupted_after(n: int) -> Iterator[Callable[[object], None]]:
    """As Ctrl-C after so many utterances."""
    seen: list[object] = []

    def count(piece: object) -> None:
        seen.append(piece)
        if len(seen) == n:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        yield count


def test_an_interrupted_run_resumes_in_the_same_company(
    corpus: Corpus, checkpoint: str, undisturbed: Filled, tmp_path: Path
) -> None:
    encoder, room = load(DEVICE, checkpoint), 150
    whole = fill(encoder, planned(encoder, corpus, tmp_path / "whole", n_frames=room), tmp_path / "whole")
    folder = tmp_path / "resumed"
    for n in (3, 5, None):
        plan = planned(encoder, corpus, folder, n_frames=room)
        assert not plan.done or 0 < len(plan.done) < N
        with interrupted_after(n or 2 * N) as count:
            fill(encoder, plan, folder, progress=count)
    store = stores.open(folder)
    on_card.assert_equal(store, whole)
    on_card.assert_alike(store, undisturbed())


def test_several_devices_fill_one_store(
    corpus: Corpus, checkpoint: str, undisturbed: Filled, tmp_path: Path
) -> None:
    """Each card that there is; the first one twice where it is alone."""
    n_cards = torch.cuda.device_count() if DEVICE == "cuda" else 1
    devices = [f"cuda:{k}" for k in range(n_cards)] if n_cards > 1 else [DEVICE] * 2
    plan = planned(load(DEVICE, checkpoint), corpus, tmp_path / "store", n_frames=150)
    with extraction.start_workers(devices, partial(load, source=checkpoint), plan.spec) as workers:
        extraction.extract_together(plan, workers, stores.create(tmp_path / "store", plan.spec), "zarr")
    on_card.assert_alike(stores.open(tmp_path / "store"), undisturbed())


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "sercache.cli", *map(str, arguments)]


def test_two_processes_share_a_card_and_a_store(
    corpus: Corpus, checkpoint: str, undisturbed: Filled, own_settings: Path
) -> None:
    given = command(
        *("extract", "--encoder", checkpoint, "--dataset", "manifest", "--root", corpus.table, "--device", DEVICE),
        *("--dtype", "float32", "--states", "blocks"),
    )  # fmt: skip
    both = [
        subprocess.Popen(
            given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        for _ in range(2)
    ]
    for process in both:
        _, err = process.communicate(timeout=180)
        assert process.returncode == 0, err
    [(folder, _)] = stores.find(own_settings / "cache")
    on_card.assert_alike(stores.open(folder), undisturbed())


def extracted(sercache: Run, cache: Path, *given: object) -> stores.FeatureStore:
    before = {path for path, _ in stores.find(cache)}
    code, _, err = sercache("extract", *given, "--cache", cache, "--dtype", "float32")
    assert code == 0, err
    [folder] = {path for path, _ in stores.find(cache)} - before
    return stores.open(folder)


def run_on(device: str) -> Path:
    """The run that is trained on a device, in a folder of its own: what one trained would not be trained again."""
    return Path(os.environ["SERCACHE_RUNS"]) / device.replace(":", "-") / "run"


def answers(sercache: Run, store: stores.FeatureStore, device: str, *given: object) -> np.ndarray:
    """(N, C) probabilities of the test utterances, of a head that was trained on ``device``."""
    run = run_on(device)
    where = ("--store", store.path, "--device", device, "--runs", run.parent, "--name", run.name)
    code, _, err = sercache("train", *given, *where, "--seeds", "1")
    assert code == 0, err
    report = run_folders.load(run)
    return np.array([p.probabilities for p in sorted(report.predictions, key=lambda p: (p.id, p.fold))])


TRAINED_ALIKE = 1e-3
"""Of probabilities after a few updates by plain gradient descent, which divides no gradient by its own rounding."""
SGD = ("--set", "optimiser=sgd", "--set", "max-epochs=3", "--set", "lr=1e-2")


Check = Callable[[stores.FeatureStore, stores.FeatureStore], None]


def both_stages(
    sercache: Run,
    cache: Path,
    encoder: str,
    where: tuple[object, ...],
    check: Check = on_card.assert_alike,
) -> None:
    """Extract on the CPU and on the card, compare both, train on either from the card's store."""
    given = ("--encoder", encoder, *where)
    expected = extracted(sercache, cache / "cpu", *given, "--device", "cpu")
    found = extracted(sercache, cache / "card", *given, "--device", DEVICE)
    check(found, expected)
    train = (*given, "--head", "superb", "--protocol", "speaker-kfold:3", *SGD)
    on_cpu = answers(sercache, found, "cpu", *train)
    assert np.abs(answers(sercache, found, DEVICE, *train) - on_cpu).max() <= TRAINED_ALIKE


def test_both_stages_on_recordings(sercache: Run, corpus: Corpus, checkpoint: str, tmp_path: Path) -> None:
    both_stages(sercache, tmp_path, checkpoint, ("--dataset", "manifest", "--root", corpus.table))


@pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None,
    reason="the extra `demo`, which makes its speech, is not here",
)
def test_both_stages_on_the_demo_corpus(sercache: Run, tmp_path: Path) -> None:
    for encoder in ("logmel",) if SMALL else ("logmel", "demo-wavlm"):
        where = ("--dataset", "demo", "--root", tmp_path / "demo")
        both_stages(sercache, tmp_path / encoder, encoder, where)


REAL = os.environ.get("SERCACHE_REAL_DATA")


@pytest.mark.real_data
@pytest.mark.skipif(not REAL, reason="SERCACHE_REAL_DATA names no folder with emodb/wav and whisper-tiny-en")
def test_both_stages_on_real_speech(sercache: Run, tmp_path: Path) -> None:
    data = Path(REAL or "")
    where = ("--dataset", "emodb", "--root", data / "emodb", "--task", "4class")
    encoder = str(data / "whisper-tiny-en")
    exact = encoders.load(encoder, device=DEVICE)
    exact._model, exact.dtype = exact._model.double(), torch.float64  # type: ignore[attr-defined]

    def in_float64(id: str) -> dict[str, np.ndarray]:
        wave, _ = soundfile.read(data / "emodb" / "wav" / f"{id}.wav", dtype="float32")
        return {state: x.cpu().numpy().copy() for state, x in exact.encode([wave])}

    def check(found: stores.FeatureStore, expected: stores.FeatureStore) -> None:
        on_card.assert_as_near(found, expected, in_float64, 1 if SMALL else 8)

    if SMALL:  # each recording is a window of 30 s
        given = ("--encoder", encoder, *where, "--limit", "6")
        where_to = (("a", "cpu"), ("b", DEVICE))
        found = [extracted(sercache, tmp_path / name, *given, "--device", d) for name, d in where_to]
        check(found[1], found[0])
        return
    both_stages(sercache, tmp_path, encoder, where, check)


def test_blocks_are_fine_tuned_as_on_the_cpu(
    sercache: Run, corpus: Corpus, checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.nn.functional, "dropout", lambda x, *args, **options: x)  # draws differ
    where = ("--encoder", checkpoint, "--dataset", "manifest", "--root", corpus.table)
    store = extracted(sercache, tmp_path, *where, "--states", "conv", "--device", DEVICE)
    train = (*where, "--head", "superb", "--states", "2", "--finetune-from", "conv", "--normalise", "none")
    train += ("--protocol", "speaker-kfold:3", *SGD)
    found = answers(sercache, store, DEVICE, *train)
    assert np.isfinite(found).all()
    assert np.abs(found - answers(sercache, store, "cpu", *train)).max() <= TRAINED_ALIKE


def test_a_run_predicts_on_a_card_what_it_predicts_on_the_cpu(
    sercache: Run, corpus: Corpus, checkpoint: str, tmp_path: Path
) -> None:
    where = ("--encoder", checkpoint, "--dataset", "manifest", "--root", corpus.table)
    store = extracted(sercache, tmp_path, *where, "--pooled-only", "--device", DEVICE)
    answers(sercache, store, DEVICE, *where, "--head", "superb", "--protocol", "speaker-kfold:3", *SGD)
    told = []
    for device in ("cpu", DEVICE):
        code, out, err = sercache(
            "predict", run_on(DEVICE), corpus.root / "4.wav", "--encoder", checkpoint, "--device", device
        )
        assert code == 0, err
        told.append(json.loads(out.splitlines()[0])["scores"])
    assert told[0] == pytest.approx(told[1], abs=TRAINED_ALIKE)
