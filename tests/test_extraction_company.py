"""Which utterances are computed together is fixed by the plan, and by the cuts that the store keeps.

The encoder here gives other bits in other company, which no encoder of sercache may, so that company shows in them.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluations import noted
from test_extraction import Squares, tone

from sercache import extraction, stores
from sercache.datasets import Corpus, manifest
from sercache.errors import DamagedStoreError
from sercache.stores.contract import Damage

N = 14
ROOM = 95
"""Frames: less than any batch has, more than the longest recording (85)."""


class InCompany(Squares):
    """Adds a number that depends on all that is encoded together; runs out of memory beyond ``room`` frames."""

    pack_frames = 150

    def __init__(self, room: float = math.inf, stop_after: float = math.inf) -> None:
        super().__init__()
        self.room, self.stop_after = room, stop_after

    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, torch.Tensor]]:
        if sum(self.n_frames(len(wave)) for wave in waves) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if len(self.calls) >= self.stop_after:
            raise KeyboardInterrupt
        company = sum(float(np.abs(wave).sum()) for wave in waves)
        for state, packed in super().encode(waves, states):
            yield state, packed + company


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Recordings of 20 to 85 frames; two with equal samples fall into two batches."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = ["id,path,label"]
    for k in range(N):
        tone(folder / f"{k}.wav", 0.2 + 0.05 * k, seed=k)
        rows.append(f"u{k},{k}.wav,a")
    tone(folder / "twin.wav", 0.2 + 0.05 * 9, seed=9)
    (folder / "list.csv").write_text("\n".join([*rows, "z,twin.wav,a"]) + "\n")
    return manifest.read(folder / "list.csv")


def planned(corpus: Corpus, folder: Path, pack_frames: int | None = None) -> extraction.Plan:
    spec = extraction.feature_spec(Squares(), corpus, dtype="float32")
    done = stores.open(folder).ids() if stores.exists(folder) else []
    return extraction.make_plan(
        InCompany(), corpus.utterances, spec, folder, done=done, pack_frames=pack_frames
    )


def fill(plan: extraction.Plan, folder: Path, encoder: InCompany) -> stores.FeatureStore:
    """What the plan leaves, as far as the encoder goes before it is interrupted."""
    with suppress(KeyboardInterrupt), noted():
        extraction.extract(plan, encoder, stores.create(folder, plan.spec), stores.open(folder), seal_every=0)
    return stores.open(folder)


def assert_equal(got: stores.FeatureStore, expected: stores.FeatureStore) -> None:
    assert sorted(got.ids()) == sorted(expected.ids())
    wrong = [id for id in expected.ids() if not np.array_equal(got.read(id), expected.read(id))]
    assert wrong == [], "these were computed in other company"
    np.testing.assert_array_equal(got.pooled(expected.ids()), expected.pooled(expected.ids()))
    assert stores.verify(got.path) == []


@pytest.mark.parametrize("room", [math.inf, ROOM])
def test_a_run_that_is_interrupted_anywhere_keeps_company(
    corpus: Corpus, tmp_path: Path, room: float
) -> None:
    encoder = InCompany(room)
    whole = fill(planned(corpus, tmp_path / "whole"), tmp_path / "whole", encoder)
    n_calls = len(encoder.calls)
    assert n_calls > 4
    for after in range(0, n_calls, 4):
        folder = tmp_path / f"cut{after}"
        fill(planned(corpus, folder), folder, InCompany(room, after))
        got = fill(planned(corpus, folder), folder, InCompany(room))
        assert_equal(got, whole)


def test_memory_that_was_short_for_a_while_leaves_its_cuts(corpus: Corpus, tmp_path: Path) -> None:
    """What was cut stays so: a run that has memory again ends a batch as the one before would have."""
    short = fill(planned(corpus, tmp_path / "short"), tmp_path / "short", InCompany(ROOM))
    folder = tmp_path / "then"
    before = fill(planned(corpus, folder), folder, InCompany(ROOM, 3)).ids()
    noted_at = {path.stem for path in (stores.notes_folder(folder) / "splits").iterdir()}
    plenty = InCompany()
    store = fill(planned(corpus, folder), folder, plenty)
    begun = [
        batch
        for batch in planned(corpus, folder).batches
        if extraction.batch_digest(batch) in noted_at or any(piece.entry_id in before for piece in batch)
    ]
    ids = [piece.entry_id for batch in begun for piece in batch]
    assert set(ids) - set(before), "no batch was left half done: the test shows nothing"
    for id in ids:
        np.testing.assert_array_equal(store.read(id), short.read(id))
    assert max(map(sum, plenty.calls)) > ROOM * InCompany.hop, "memory that is there is used for the rest"


def test_a_batch_of_which_a_part_is_stored_is_never_cut_anew(corpus: Corpus, tmp_path: Path) -> None:
    """Whole it was, whole it is computed again, though others were cut since."""
    folder = tmp_path / "store"
    whole = fill(planned(corpus, tmp_path / "whole"), tmp_path / "whole", InCompany())
    store = fill(planned(corpus, folder), folder, InCompany(stop_after=3))
    lost = planned(corpus, folder).batches[2][1].entry_id
    stores.drop(folder, [Damage(lost, folder, "for the test")])
    note = {"cuts": [1], "ran_out_at": 10}
    (stores.notes_folder(folder) / "splits").mkdir()
    stores.write_note(folder, f"splits/{'0' * 32}.json", note)  # of some other batch
    store = fill(planned(corpus, folder), folder, InCompany(stop_after=1))
    np.testing.assert_array_equal(store.read(lost), whole.read(lost))


def test_two_processes_at_once_compute_in_the_same_company(corpus: Corpus, tmp_path: Path) -> None:
    whole = fill(planned(corpus, tmp_path / "whole"), tmp_path / "whole", InCompany())
    for after in (1, 3):  # the second plans when the first has done so much
        folder = tmp_path / f"both{after}"
        early = planned(corpus, folder)
        fill(early, folder, InCompany(stop_after=after))
        late = planned(corpus, folder)
        assert late.done
        fill(early, folder, InCompany(stop_after=after + 2))  # sees by now that what it did is there
        assert_equal(fill(late, folder, InCompany()), whole)


@pytest.mark.parametrize("lost", ["u9", "z"])
def test_which_of_two_equal_recordings_is_computed_depends_on_the_plan_alone(
    corpus: Corpus, tmp_path: Path, lost: str
) -> None:
    """Of two with equal samples the plan's first keeps its place, also where only the other one is stored."""
    folder = tmp_path / "store"
    fill(planned(corpus, folder), folder, InCompany())
    whole = tmp_path / "whole"
    shutil.copytree(folder, whole)
    batch = next(b for b in planned(corpus, folder).batches if any(p.entry_id == lost for p in b))
    stores.drop(folder, [Damage(piece.entry_id, folder, "for the test") for piece in batch])
    assert_equal(fill(planned(corpus, folder), folder, InCompany()), stores.open(whole))


def test_batches_have_names_that_no_process_or_place_moves(corpus: Corpus, tmp_path: Path) -> None:
    plan = planned(corpus, tmp_path / "a")
    moved = tmp_path / "moved"
    shutil.copytree(corpus.root, moved)
    there = planned(manifest.read(moved / "list.csv"), tmp_path / "b")
    names = [extraction.batch_digest(batch) for batch in plan.batches]
    assert names == [extraction.batch_digest(batch) for batch in there.batches]
    assert len(set(names)) == len(names)
    piece, *rest = plan.batches[0]
    for other in ({"start": 0.5}, {"end": 0.5}, {"copies": 2}, {"text": "a"}, {"entry_id": "b"}):
        assert extraction.batch_digest([dataclasses.replace(piece, **other), *rest]) != names[0]


def test_a_note_of_cuts_that_was_damaged_is_found_and_set_aside(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store = fill(planned(corpus, folder), folder, InCompany(ROOM, 3))
    note = next((stores.notes_folder(folder) / "splits").iterdir())
    data = note.read_bytes()
    assert stores.verify(folder) == []
    note.write_bytes(data.replace(b'"cuts"', b'"cut5"'))
    with pytest.raises(DamagedStoreError, match=f"{note.name}.*--repair"):
        fill(planned(corpus, folder), folder, InCompany(ROOM))
    [damage] = stores.verify(folder)
    assert damage.path == note
    stores.drop(folder, [damage])
    store = fill(planned(corpus, folder), folder, InCompany(ROOM))
    assert len(store.ids()) == N + 1


def test_the_next_batch_under_way_is_waited_for_before_anything_is_cut(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a card two batches are in memory at a time; where both do not fit, one does, and company stays."""
    from sercache.extraction import compute

    whole = fill(planned(corpus, tmp_path / "whole"), tmp_path / "whole", InCompany())
    under_way: list[int] = []

    class Flying:
        def __init__(self, batch: compute.ComputedBatch) -> None:
            self.batch = batch
            under_way.append(1)

        def finished(self) -> compute.ComputedBatch:
            under_way.pop()
            return self.batch

    def launcher(encoder: InCompany, spec: stores.FeatureSpec, busy: object) -> tuple[object, int]:
        def launch(items: Sequence) -> Flying:
            if under_way:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return Flying(compute.on_cpu(items, encoder, spec, busy))  # type: ignore[arg-type]

        return launch, 1

    monkeypatch.setattr(compute, "_launcher", launcher)
    store = fill(planned(corpus, tmp_path / "two"), tmp_path / "two", InCompany())
    assert_equal(store, whole)
    assert not (stores.notes_folder(store.path) / "splits").exists()
