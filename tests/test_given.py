"""Code of others: a file that only a run or a store names is not executed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import howto
import numpy as np
import pytest
import soundfile
from conftest import Outcome

import sercache as face
from sercache import catalog, encoders, given
from sercache.errors import ContractError, UnknownNameError
from sercache.experiment.origin import read_origin, write_origin
from sercache.report import runs

Sercache = Callable[..., Outcome]
QUICK = ["--seeds", "1", "--set", "max-epochs=2"]


@pytest.fixture
def head(own_settings: Path) -> Path:
    """A head's file that leaves a mark where it is executed."""
    file = howto.write(own_settings / "work", "my_head.py") / "my_head.py"
    mark = f"\n__import__('pathlib').Path(r'{own_settings / 'executed'}').write_text('yes')\n"
    file.write_text(file.read_text() + mark)
    return file


@pytest.fixture
def executed(own_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Whether the head's file was executed since this was asked last; every call executes it anew."""

    def asked() -> bool:
        mark = own_settings / "executed"
        for name in [each for each in catalog.sys.modules if each.startswith("sercache_file_my_head")]:
            monkeypatch.delitem(catalog.sys.modules, name)
        found = mark.exists()
        mark.unlink(missing_ok=True)
        return found

    return asked


@pytest.fixture
def trained(
    sercache: Sercache, cached: Path, head: Path, recordings: Path, executed: Callable[[], bool]
) -> Path:
    """A run of that head."""
    done = sercache(
        "train", "--head", head, "--encoder", "logmel", "--dataset", "manifest", "--root", recordings, "--protocol",
        "kfold:2", "--dev", "random20", "--states", "all", "--name", "mine", *QUICK,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert executed()
    return cached / "mine"


def as_another_user(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Whoever reads what somebody else made: with settings of his own."""
    monkeypatch.setenv("SERCACHE_CONFIG", str(folder / "other" / "config.toml"))


def test_a_run_of_somebody_else_executes_nothing(
    sercache: Sercache, trained: Path, head: Path, recordings: Path, executed: Callable[[], bool],
    own_settings: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    calls = {
        "predict": ("predict", trained, recordings.with_name("0.wav")),
        "evaluate": (
            "evaluate",
            trained,
            "--dataset",
            "manifest",
            "--root",
            recordings,
            "--duplicates",
            "keep",
        ),
        "map": ("map", trained, "--dataset", "manifest", "--root", recordings, "--fold", "1"),
        "report": ("report", trained),
    }
    done = sercache(*calls["predict"])
    assert done.code == 0, done.err
    assert executed(), "who trained it need not name it again"

    as_another_user(monkeypatch, own_settings)
    for name in ("predict", "evaluate", "map"):
        done = sercache(*calls[name])
        assert done.code == 2, name
        assert f"{head} is code that a run or store names, and you have not named it" in done.err
        assert done.err.strip().endswith(f"give it with --head, or run: sercache check {head}")
        assert not executed(), name
    assert sercache(*calls["report"]).code == 0
    with pytest.raises(ContractError, match="you have not named it"):
        face.predict(trained, recordings.with_name("0.wav"))
    with pytest.raises(ContractError, match="you have not named it"):
        face.Result.load(trained).predict(recordings.with_name("0.wav"))
    assert not executed()

    done = sercache(*calls["predict"], "--head", head)
    assert done.code == 0, done.err
    assert executed()
    assert sercache(*calls["predict"]).code == 0, "it is remembered"
    line = (own_settings / "other" / given.LIST).read_text()
    assert line == f"{catalog.hashlib.sha256(head.read_bytes()).hexdigest()}  {head}\n"

    executed()
    head.write_text(head.read_text() + "# another word\n")
    done = sercache(*calls["predict"])
    assert done.code == 2
    assert "has changed since you named it" in done.err
    assert not executed()
    done = sercache(*calls["predict"], "--head", head)
    assert done.code == 2
    assert "is not the file of the head my-head" in done.err
    assert "has changed since" in done.err


def test_check_is_a_way_to_name_a_file(
    sercache: Sercache, trained: Path, head: Path, recordings: Path, own_settings: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    as_another_user(monkeypatch, own_settings)
    predict = ("predict", trained, recordings.with_name("0.wav"))
    refused = sercache(*predict)
    assert sercache(*refused.err.strip().rpartition("run: sercache ")[2].split()).code == 0
    assert sercache(*predict).code == 0


def test_a_list_of_another_user_gives_nothing(
    trained: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wave = recordings.with_name("0.wav")
    assert face.predict(trained, wave)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(ContractError, match="you have not named it"):
        face.predict(trained, wave)


def test_what_cannot_be_remembered_is_named_in_every_call(
    trained: Path, head: Path, recordings: Path, own_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_settings / "file").touch()
    monkeypatch.setenv("SERCACHE_CONFIG", str(own_settings / "file" / "config.toml"))
    for _ in range(2):
        assert face.predict(trained, recordings.with_name("0.wav"), head=head)
        with pytest.raises(ContractError, match="you have not named it"):
            face.predict(trained, recordings.with_name("0.wav"))


@pytest.mark.parametrize("where", ["encoder", "dataset"])
def test_a_store_of_somebody_else_executes_nothing(
    where: str, sercache: Sercache, cached: Path, head: Path, executed: Callable[[], bool]
) -> None:
    [folder] = (cached.parent / "cache").glob("*/*")
    write_origin(folder, {**read_origin(folder), where: str(head)})
    shard = next(path for path in folder.rglob("*") if path.is_file() and "frames/c" in str(path))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 255
    shard.write_bytes(bytes(data))
    done = sercache("verify", folder, "--repair")
    assert done.code == 2
    assert f"{head} is code that a run or store names" in done.err
    assert not executed()


def test_an_option_names_a_file_in_any_of_its_forms(tmp_path: Path) -> None:
    place = str((tmp_path / "a b.py").resolve())
    for text in (place, f"--encoder={place}", f"{place}:small", f"NAME={place}", f"x;{place},y", Path(place)):
        assert place in given.paths_in(given.texts_of(text))
    assert given.paths_in(["py", "x.pyc", "head.py/"]) == frozenset()
    nested: dict[str, Any] = {"a": [Path(place), {"b": (f"{place}:x",)}], "c": 1}
    assert place in given.paths_in(given.texts_of(nested))


def test_the_configuration_names_a_file(own_settings: Path) -> None:
    file = howto.write(own_settings / "work", "my_encoder.py") / "my_encoder.py"
    (own_settings / "config.toml").write_text(f'[encoders]\nmine = "{file}"\n')
    assert face.load_encoder("mine").name == "mine"
    other = file.rename(file.with_name("other.py"))
    with given.named_by_user(["my_encoder.py"]), pytest.raises(ContractError, match="give it with --encoder"):
        encoders.load(str(other))


SCRIPT = """
from torch import nn
import sercache

class {name}(nn.Module):
    def __init__(self, n_layers, dim, n_outputs):
        super().__init__()
        self.out = nn.Linear(dim, n_outputs)

    def forward(self, x, mask):
        return self.out(x.mean(1)[:, 0])
"""


@pytest.mark.parametrize("name", ["Mine", "Linear"])
def test_a_run_of_a_class_is_asked_with_its_file(
    name: str, sercache: Sercache, cached: Path, manifest: Path, own_settings: Path
) -> None:
    """Also of one that is called as a head of sercache's."""
    script = own_settings / "script.py"
    script.write_text(SCRIPT.format(name=name))
    kind = vars(catalog.load_file(str(script)))[name]
    [folder] = (cached.parent / "cache").glob("*/*")
    recordings = manifest
    corpus = face.read_corpus("manifest:recordings0", recordings)
    face.train(
        kind, face.open_store(folder), corpus, protocol="kfold:2", dev="random20", states="all", seeds=1,
        recipe={"max_epochs": 1}, normalise="none", frames=False, device="cpu",
    ).save(cached / "mine")  # fmt: skip
    wave = recordings.with_name("0.wav")
    done = sercache("predict", cached / "mine", wave)
    assert done.code == 2
    assert f"{cached / 'mine'} trained a class, which no name stands for" in done.err
    assert "--head FILE.py" in done.err
    done = sercache("predict", cached / "mine", wave, "--head", script)
    assert done.code == 0, done.err
    [said] = face.predict(cached / "mine", wave, head=script)
    assert json.loads(done.out)["scores"] == said.scores
    evening = own_settings / "evening" / "list.csv"
    evening.parent.mkdir()
    for k in range(4):
        soundfile.write(
            evening.with_name(f"{k}.wav"), np.random.default_rng(90 + k).normal(0, 0.1, 4000), 16_000
        )
    rows = [f"{k}.wav,{'loud' if k % 2 else 'soft'},e{k}" for k in range(4)]
    evening.write_text("\n".join(["path,label,speaker", *rows]))
    there = ("--dataset", "manifest:evening", "--root", evening)
    assert sercache("extract", "--encoder", "logmel", *there).code == 0
    done = sercache("evaluate", cached / "mine", *there, "--head", script)
    assert done.code == 0, done.err
    other = own_settings / "other.py"
    other.write_text(SCRIPT.format(name="Other"))
    with pytest.raises(ContractError, match="it defines Other; give that one"):
        face.Result.load(cached / "mine", head=other)
    with pytest.raises(UnknownNameError, match="there is no such file"):
        face.Result.load(cached / "mine", head=own_settings / "none.py")


def test_a_class_of_a_notebook_is_known_by_its_lines(own_settings: Path, cached: Path) -> None:
    from sercache.experiment.head_file import class_in

    report: Any = type("R", (), {"head": "mine", "experiment": 1})()
    lines = SCRIPT.format(name="Mine").partition("import sercache")[2].strip("\n")
    file = own_settings / "pasted.py"
    file.write_text(f"import torch\nfrom torch import nn\n\n\n{lines}\n")
    for end in ("", "\n"):
        report.head_source = ("mine", catalog.hashlib.sha256(f"{lines}{end}".encode()).hexdigest())
        assert class_in(str(file), report, None).__name__ == "Mine"
    report.head_source = ("mine", "0" * 64)
    with pytest.raises(ContractError, match="has changed since"):
        class_in(str(file), report, None)


def test_reports_show_which_file_read_the_corpus(
    sercache: Sercache, cached: Path, own_settings: Path
) -> None:
    from sercache.report.notes import corpus_notes, reader_notes

    file = howto.write(own_settings / "work", "my_corpus.py") / "my_corpus.py"
    root = catalog.load("sercache.datasets", str(file)).example(own_settings / "there")
    store = face.extract("logmel", str(file), root=root, device="cpu")
    found = face.train(
        "linear", store, face.read_corpus(str(file), root), protocol="leave-one-speaker-out", dev="random20",
        states="all", seeds=1, recipe={"max_epochs": 1}, device="cpu",
    )  # fmt: skip
    digest = catalog.hashlib.sha256(file.read_bytes()).hexdigest()
    assert found.report.corpus["reader_sha256"] == digest
    assert any(digest[:12] in line for line in corpus_notes(found.report.corpus))
    assert runs.load(found.save(cached / "own").folder or Path()).corpus == found.report.corpus
    edited = {**found.report.corpus, "reader_sha256": "f" * 64}
    [note] = reader_notes([found.report.corpus, edited, {}])
    assert digest[:12] in note
    assert "f" * 12 in note
    assert reader_notes([found.report.corpus, {}]) == []
