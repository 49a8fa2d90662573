"""Features come from audio: what the cache holds of equal audio is copied, whatever the table says of it now."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sercache import stores

Sercache = Callable
EXTRACT = ["extract", "--encoder", "logmel", "--dataset", "manifest:rome"]
TRAIN = ["train", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest:rome"]


def edit(table: Path, old: str, new: str) -> None:
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))


def newest(cache: Path) -> stores.FeatureStore:
    folders = [folder for folder, _ in stores.find(cache)]
    return stores.open(max(folders, key=lambda folder: (folder / "ledger/spec.json").stat().st_mtime_ns))


def add(table: Path, name: str, seed: int) -> None:
    soundfile.write(
        table.parent / f"{name}.wav", np.random.default_rng(seed).normal(0, 0.1, 4000 + seed), 16000
    )
    with table.open("a") as rows:
        rows.write(f"{name},{name}.wav,loud,s0\n")


@pytest.mark.parametrize("options", [[], ["--pooled-only"], ["--format", "hdf5"]], ids=" ".join)
def test_an_edited_label_encodes_nothing(
    sercache: Sercache, manifest: Path, own_settings: Path, options: list[str]
) -> None:
    assert sercache(*EXTRACT, "--root", manifest, *options).code == 0
    before = newest(own_settings / "cache")
    edit(manifest, "u3,3.wav,loud", "u3,3.wav,soft")
    done = sercache(*EXTRACT, "--root", manifest, *options)
    assert done.code == 0, done.err
    assert f"done: 0 entries encoded, 24 copied from equal audio (24 from {before.path})" in done.out
    now = newest(own_settings / "cache")
    assert now.path != before.path
    assert stores.verify(now.path) == []
    assert sorted(now.ids()) == sorted(before.ids())
    for what in ("mean", "std"):
        np.testing.assert_array_equal(now.pooled(before.ids(), what=what), before.pooled(what=what))
    for id in before.ids() if now.spec.frames else ():
        np.testing.assert_array_equal(now.read(id), before.read(id))
        assert now.entries()[id] == before.entries()[id]
    again = sercache(*EXTRACT, "--root", manifest, *options)
    assert "nothing to do: all 24 entries" in again.out


def test_the_command_that_train_advises_then_encodes_nothing(
    sercache: Sercache, manifest: Path, own_settings: Path
) -> None:
    """It asks for fewer states, and means alone: the richer store has them."""
    assert sercache(*EXTRACT, "--root", manifest).code == 0
    edit(manifest, "u3,3.wav,loud", "u3,3.wav,soft")
    refused = sercache(*TRAIN, "--root", manifest)
    assert refused.code == 2
    assert "what has equal audio is copied from there, not encoded; run: sercache extract" in refused.err
    done = sercache(*shlex.split(refused.err.partition("run: sercache ")[2]))
    assert "done: 0 entries encoded, 24 copied from equal audio" in done.out
    assert (
        sercache(
            *TRAIN, "--root", manifest, "--set", "max-epochs=2", "--protocol", "leave-one-speaker-out"
        ).code
        == 0
    )


def test_what_is_new_in_a_table_is_encoded_alone(
    sercache: Sercache, manifest: Path, own_settings: Path
) -> None:
    """Rows are added, taken out and given other ids; files are moved and one holds other sound."""
    assert sercache(*EXTRACT, "--root", manifest).code == 0
    add(manifest, "new", 1)
    edit(manifest, "u3,3.wav", "renamed,moved.wav")
    (manifest.parent / "3.wav").rename(manifest.parent / "moved.wav")
    edit(manifest, "u5,5.wav,loud,s2\n", "")
    soundfile.write(manifest.parent / "7.wav", np.random.default_rng(77).normal(0, 0.1, 4000), 16000)  # of u7
    done = sercache(*EXTRACT, "--root", manifest)
    assert "done: 2 entries encoded, 22 copied from equal audio" in done.out
    now = newest(own_settings / "cache")
    elsewhere = sercache(*EXTRACT, "--root", manifest, "--cache", own_settings / "empty")
    assert "done: 24 entries encoded" in elsewhere.out
    encoded = newest(own_settings / "empty")
    assert sorted(now.ids()) == sorted(encoded.ids())
    np.testing.assert_allclose(
        now.pooled(encoded.ids()), encoded.pooled(), rtol=2e-5, atol=2e-5
    )  # what encoding alone and in company may differ by


def test_equal_audio_of_another_corpus_is_copied_and_other_weights_or_clips_are_not(
    sercache: Sercache, manifest: Path, own_settings: Path
) -> None:
    assert sercache(*EXTRACT, "--root", manifest).code == 0
    milan = ["--dataset", "manifest:milan", "--root", manifest]
    done = sercache("extract", "--encoder", "logmel", *milan)
    assert "done: 0 entries encoded, 24 copied from equal audio" in done.out
    for options in (["--encoder", "mfcc"], ["--encoder", "logmel", "--clip", "trim:0.1"]):
        done = sercache("extract", *options, *milan)
        assert "done: 24 entries encoded," in done.out
        assert "copied" not in done.out


def test_damaged_features_are_encoded_and_not_copied(
    sercache: Sercache, manifest: Path, own_settings: Path
) -> None:
    assert sercache(*EXTRACT, "--root", manifest, "--dtype", "float32").code == 0
    before = newest(own_settings / "cache")
    whole = before.pooled()
    shard = max(
        (path for path in (before.path / "pooled_mean").rglob("*") if path.is_file()),
        key=lambda path: path.stat().st_size,
    )
    data = bytearray(shard.read_bytes())
    data[2] ^= 0x40
    shard.write_bytes(data)
    edit(manifest, "u3,3.wav,loud", "u3,3.wav,soft")
    done = sercache(*EXTRACT, "--root", manifest, "--dtype", "float32")
    assert done.code == 0, done.err
    assert "done: 1 entries encoded, 23 copied from equal audio" in done.out
    assert f"1 entries are encoded that {before.path} holds: it is damaged there" in done.err
    now = newest(own_settings / "cache")
    assert stores.verify(now.path) == []
    np.testing.assert_allclose(now.pooled(before.ids()), whole, rtol=2e-5, atol=2e-5)


def test_a_store_that_cannot_be_opened_is_passed_over(
    sercache: Sercache, manifest: Path, own_settings: Path
) -> None:
    assert sercache(*EXTRACT, "--root", manifest).code == 0
    [record, *_] = (newest(own_settings / "cache").path / "ledger/commits").iterdir()
    record.write_text("{")
    edit(manifest, "u3,3.wav,loud", "u3,3.wav,soft")
    done = sercache(*EXTRACT, "--root", manifest)
    assert done.code == 0, done.err
    assert "done: 24 entries encoded," in done.out


def test_copying_that_is_cut_off_goes_on_to_the_same_end(
    sercache: Sercache, manifest: Path, own_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sercache.extraction import duplicates

    assert sercache(*EXTRACT, "--root", manifest).code == 0
    before = newest(own_settings / "cache")
    edit(manifest, "u3,3.wav,loud", "u3,3.wav,soft")
    plain, seen = duplicates._copy, list[str]()

    def cut(store: object, id: str, *more: object) -> None:
        if len(seen) == 9:
            raise KeyboardInterrupt
        seen.append(id)
        plain(store, id, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(duplicates, "_copy", cut)
    stopped = sercache(*EXTRACT, "--root", manifest)
    assert stopped.code == 130
    assert "interrupted: 9 of 24 entries are safe" in stopped.err
    monkeypatch.setattr(duplicates, "_copy", plain)
    done = sercache(*EXTRACT, "--root", manifest)
    assert "done: 0 entries encoded, 15 copied from equal audio" in done.out
    now = newest(own_settings / "cache")
    np.testing.assert_array_equal(now.pooled(before.ids()), before.pooled())
    assert list((now.path / "ledger/writers").iterdir()) == []
