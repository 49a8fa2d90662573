"""The verbs in Python that look at stores, mend them, and write what is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import howto
import numpy as np
import pandas
import pytest
from conftest import Outcome

import sercache as face
from sercache import stores, transcription
from sercache.errors import (
    AudioError,
    ContractError,
    DamagedStoreError,
    SettingsError,
    StoreError,
    UnknownNameError,
)

Sercache = Callable[..., Outcome]


@pytest.fixture
def store(cached: Path) -> Path:
    [folder] = (cached.parent / "cache").glob("*/*")
    return folder


def damaged(folder: Path) -> None:
    shard = next(path for path in folder.rglob("*") if path.is_file() and "frames/c" in str(path))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 255
    shard.write_bytes(bytes(data))


def test_stores_are_rows(store: Path, sercache: Sercache) -> None:
    [row] = face.info()
    assert row == face.info(store)[0]
    opened = face.open_store(store)
    assert (row.folder, row.spec, row.n_entries, row.fault) == (store, opened.spec, 24, None)
    assert row.seconds == pytest.approx(sum(e.n_samples for e in opened.entries().values()) / 16_000)
    assert row.origin["encoder"] == "logmel"
    table = pandas.DataFrame(face.info())
    assert list(table.n_entries) == [24]
    other = store.with_name("logmel-none")
    with pytest.raises(StoreError):
        face.info(other)
    first, second = face.info([store, other])
    assert first.fault is None
    assert isinstance(second.fault, StoreError)
    done = sercache("info", store, other)
    assert done.code == 2
    assert f"cannot be opened: {second.fault}" in done.out
    assert "1 of 2 stores cannot be opened" in done.err


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damage_is_a_record_and_is_mended(store: Path, sercache: Sercache) -> None:
    [found] = face.verify()
    assert found.is_whole
    damaged(store)
    [found] = face.verify(store)
    assert not found.is_whole
    assert {each.kind for each in found.damage} <= {each.kind for each in stores.verify(store)}
    other = store.with_name("logmel-none")
    done = sercache("verify", store, other)
    assert done.code == DamagedStoreError.exit_code
    assert "1 of 2 stores are damaged, 1 of 2 stores cannot be checked" in done.err
    [mended] = face.verify(store, repair=True, device="cpu")
    assert mended.is_whole
    assert sercache("verify", store).code == 0
    with pytest.raises(StoreError):
        face.verify(other)
    assert [each.is_whole for each in face.verify([store, other])] == [True, False]
    with pytest.raises(UnknownNameError, match="did you mean repair"):
        face.verify(store, repar=True)


class Parrot:
    """A recogniser that says how long a recording is."""

    name = "parrot"
    identity: ClassVar = {"source": "parrot"}
    sample_rate = 16_000
    max_seconds = None
    min_samples = 1

    def recognise(self, wave: np.ndarray, language: str) -> str:
        return f"{len(wave)} samples"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_said_comes_back_with_the_file(
    own_settings: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str, **options: Any) -> Parrot:
        return Parrot()

    monkeypatch.setattr(transcription, "load", load)
    corpus = face.read_corpus("manifest:said", manifest)
    found = face.transcribe("parrot", corpus, own_settings / "said.csv", limit=3)
    assert (found.n_recognised, found.n_there, found.skipped, found.rates) == (3, 0, (), None)
    assert list(found.texts) == [u.id for u in corpus.utterances[:3]]
    again = face.transcribe("parrot", corpus, own_settings / "said.csv", limit=4)
    assert (again.n_recognised, again.n_there, len(again.texts)) == (1, 3, 4)
    corpus.utterances[4].path.write_bytes(b"")
    with pytest.raises(AudioError, match="1 of 5 recordings could not be recognised; the rest is written"):
        face.transcribe("parrot", corpus, own_settings / "said.csv", limit=5)
    loose = face.transcribe(
        "parrot", "manifest:said", own_settings / "said.csv", root=manifest, limit=5, strict=False
    )
    assert [each.what for each in loose.skipped] == [corpus.utterances[4].id]
    with pytest.raises(SettingsError, match="limit of transcribe is"):
        face.transcribe("parrot", corpus, own_settings / "said.csv", limit=0)


def test_a_contract_is_checked_in_python(own_settings: Path) -> None:
    file = howto.write(own_settings / "work", "my_head.py") / "my_head.py"
    assert not any(each.faults for each in face.check(file))
    file.write_text(file.read_text().replace("SOURCE =", "ORIGIN ="))
    assert any("SOURCE is missing" in fault for each in face.check(str(file)) for fault in each.faults)
    file.write_text("1 +")
    with pytest.raises(ContractError, match="SyntaxError"):
        face.check(file)
