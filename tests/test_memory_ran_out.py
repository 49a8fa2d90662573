"""Memory that runs out: what fits is done, what does not is one line, what was finished is kept."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Outcome

from sercache import memory, stores

Sercache = Callable[..., Outcome]
ON_CPU = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "4398046511104 bytes. Error code 12 (Cannot allocate memory)"
)
WAYS = (RuntimeError(ON_CPU), MemoryError(), torch.OutOfMemoryError("CUDA out of memory"))


def test_all_ways_of_saying_so_are_known() -> None:
    with pytest.raises(RuntimeError) as said:
        torch.zeros(2**44)
    assert memory.ran_out(said.value)
    with pytest.raises(MemoryError) as numpys:
        np.zeros(2**56)
    assert memory.ran_out(numpys.value)
    assert all(map(memory.ran_out, WAYS))
    assert memory.ran_out(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)))
    for other in (
        RuntimeError("shapes do not fit"),
        OSError(errno.ENOSPC, "full"),
        ValueError("out of memory"),
    ):
        assert not memory.ran_out(other)


def test_an_extraction_computes_what_fits(
    sercache: Sercache, manifest: Path, own_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches are cut; a recording that does not fit by itself is left out by name, with the clip rule that helps."""
    from sercache.extraction import compute

    plain = compute.on_cpu

    def short_of_memory(items: list, *rest: object) -> object:
        n_samples = sum(item.n_samples for item in items)
        if len(items) > 2 or n_samples > 12000 or any(item.piece.entry_id == "u3" for item in items):
            raise WAYS[0]
        return plain(items, *rest)

    monkeypatch.setattr(compute, "on_cpu", short_of_memory)
    done = sercache("extract", "--encoder", "logmel", "--dataset", "manifest", "--root", manifest)
    assert done.code == 2
    assert "cpu ran out of memory on" in done.err
    assert re.search(r"u3: \S+3\.wav: 0\.\d s do not fit the memory of cpu; use --clip split:1\n", done.err)
    [(folder, _)] = stores.find(own_settings / "cache")
    assert set(stores.open(folder).ids()) == {f"u{k}" for k in range(24)} - {"u3"}
    assert stores.verify(folder) == []
    monkeypatch.setattr(compute, "on_cpu", plain)
    assert sercache("extract", "--encoder", "logmel", "--dataset", "manifest", "--root", manifest).code == 0
    assert len(stores.open(folder).ids()) == 24


def test_a_training_keeps_what_is_finished(
    sercache: Sercache, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sercache.training import many

    train = [
        "train",
        "--head",
        "linear",
        "--encoder",
        "logmel",
        "--dataset",
        "manifest",
        "--name",
        "r",
        "--serial",
    ]
    train += ["--protocol", "kfold:3", "--dev", "next", "--set", "max-epochs=1"]
    plain, begun = many.train_alone, []

    def short_of_memory(*arguments: object, **options: object) -> object:
        begun.append(1)
        if len(begun) == 3:
            raise WAYS[0]
        return plain(*arguments, **options)

    monkeypatch.setattr(many, "train_alone", short_of_memory)
    done = sercache(*train)
    assert done.code == 2
    told = done.err.splitlines()[-1]
    assert re.fullmatch(
        r"error: memory ran out.*; what was finished is kept: train one after another \(--serial\), .*, then run the "
        "same again",
        told,
    )
    assert "4398046511104 bytes more were asked for" in told
    assert "Traceback" not in done.err
    assert len(list((cached / "r.partial").glob("fold-*.safetensors"))) == 2
    assert sercache(*train).code == 0
    assert len(begun) == 4, "the first two were not trained again"


def test_a_checkpoint_is_not_blamed(
    sercache: Sercache, manifest: Path, own_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was: "cannot be loaded …; get the file again", for a disk or a memory that failed."""
    import transformers
    from encoder_helpers import save, tiny_model

    save(tiny_model("wavlm-base"), own_settings / "tiny")
    extract = ["extract", "--encoder", own_settings / "tiny", "--dataset", "manifest", "--root", manifest]

    def refused(fault: Exception) -> Callable[..., None]:
        def build(*arguments: object, **options: object) -> None:
            try:
                raise fault
            except Exception as cause:
                raise OSError("Can't load the model; see the error above") from cause

        return build

    for fault, said in (
        (
            OSError(errno.EIO, os.strerror(errno.EIO)),
            r"error: \S+tiny\S* cannot be read: Input/output error; see .*",
        ),
        (RuntimeError(ON_CPU), r"error: memory ran out \(4398046511104 bytes more were asked for\); .*"),
    ):
        monkeypatch.setattr(transformers.WavLMModel, "from_pretrained", refused(fault))
        done = sercache(*extract)
        assert done.code == 2
        assert re.fullmatch(said, done.err.splitlines()[-1]), done.err
        assert "get the file again" not in done.err
