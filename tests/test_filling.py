"""The command and the Python face fill a store in one way: batches that fit the device, threads that keep up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome

from sercache import api, extraction, stores


def by_command(sercache: Callable[..., Outcome], manifest: Path, cache: Path) -> None:
    done = sercache(
        "extract", "--encoder", "logmel", "--dataset", "manifest", "--root", manifest, "--cache", cache
    )
    assert done.code == 0, done.err


def in_python(sercache: Callable[..., Outcome], manifest: Path, cache: Path) -> None:
    encoder = api.load_encoder("logmel", device="cpu")
    for _ in range(2):  # the second time there is nothing to do
        store = api.extract(encoder, api.read_corpus("manifest", manifest), cache, progress=False)
        assert extraction.is_finished(store.path)


@pytest.mark.parametrize("face", [by_command, in_python])
def test_batches_and_threads_are_those_that_fit(
    face: Callable[..., None],
    sercache: Callable[..., Outcome],
    manifest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[int, int, int, int]] = []
    extract = extraction.extract

    def watched(plan: Any, *rest: Any, **options: Any) -> Any:
        fullest = max(sum(piece.n_frames for piece in batch) for batch in plan.batches)
        seen.append((len(plan.batches), fullest, options["workers"], len(options["beside"])))
        return extract(plan, *rest, **options)

    make_plan = extraction.make_plan
    monkeypatch.setattr(extraction, "make_plan", lambda *a, **o: make_plan(*a, **{**o, "pack_frames": 100}))
    monkeypatch.setattr(extraction, "threads", lambda encoder, spec, devices: (3, 2))
    monkeypatch.setattr(extraction, "extract", watched)
    face(sercache, manifest, tmp_path / "mine")
    [(n_batches, fullest, workers, n_beside)] = seen
    assert n_batches > 5
    assert fullest <= 100
    assert (workers, n_beside) == (3, 1)
    [(folder, _)] = stores.find(tmp_path / "mine")
    assert len(stores.open(folder).ids()) == 24
