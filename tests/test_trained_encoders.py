"""An exported encoder carries what it was trained on, which is no test, however it is extracted."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome
from encoder_helpers import save, tiny_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sercache import encoders, extraction, stores, trained_on
from sercache.errors import DamagedStoreError, EncoderError
from sercache.report import runs as run_folders
from sercache.trained_on import TrainedOn, Tuning

Sercache = Callable[..., Outcome]

HOW = ["--seeds", "1", "--set", "max-epochs=1", "--clip", "none"]
FOLDS = ["--protocol", "leave-one-speaker-out", *HOW]
HEAD = ["--head", "mlp", "--states", "3", "--normalise", "none"]


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    return save(tiny_model("wavlm-base"), tmp_path / "tiny")


def extract(sercache: Sercache, encoder: Path, table: Path, name: str, states: str = "1,3") -> None:
    where = ["--encoder", encoder, "--dataset", f"manifest:{name}", "--root", table]
    code, _, err = sercache("extract", *where, "--states", states)
    assert code == 0, err


def tune(sercache: Sercache, encoder: Path, name: str) -> None:
    """A training of the blocks from state 1 up, fold by fold."""
    where = ["--encoder", encoder, "--dataset", "home", "--finetune-from", "1"]
    code, _, err = sercache("train", *HEAD, *where, *FOLDS, "--name", name)
    assert code == 0, err


def export(sercache: Sercache, run: Path, encoder: Path, out: Path, fold: str) -> str:
    code, said, err = sercache("export", run, "--out", out, "--encoder", encoder, "--fold", fold)
    assert code == 0, err
    assert err == ""  # no bars of those who write the weights
    return said


def split(path: Path, tested: str) -> Path:
    """A list in which one speaker is tested and the others train."""
    rows = [f"s{k}\t{'test' if f's{k}' == tested else 'train'}" for k in range(4)]
    path.write_text("\n".join(rows) + "\n")
    return path


def abroad(table: Path, folder: Path, ids: range) -> Path:
    """Some of the recordings under other names, and ids of their own."""
    folder.mkdir()
    rows = ["id,path,label,speaker"]
    for line in table.read_text().splitlines()[1:]:
        _, path, label, speaker = line.split(",")
        if int(path.removesuffix(".wav")) in ids:
            shutil.copy(table.parent / path, folder / f"x{path}")
            rows.append(f"a{path},x{path},{label},other-{speaker}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder / "list.csv"


@pytest.mark.slow
def test_what_an_exported_encoder_was_trained_on_is_no_test(
    sercache: Sercache, encoder: Path, manifest: Path, tmp_path: Path
) -> None:
    extract(sercache, encoder, manifest, "home")
    tune(sercache, encoder, "tuned")
    tuned = tmp_path / "tuned-encoder"
    said = export(sercache, tmp_path / "runs" / "tuned", encoder, tuned, "s1")
    assert "trained by tuned (mlp on home, fold s1, seed 0) on 18 recordings of home" in said
    record = encoders.training_record(str(tuned))
    assert record is not None
    trained = {f"u{k}" for k in range(24) if k // 2 % 4 != 1}
    assert record.recordings is not None
    assert set(record.recordings["home"]) == trained  # of fold s1 no more than its training part
    # Its identity is that of the weights: without the record it is the same encoder.
    bare = Path(shutil.copytree(tuned, tmp_path / "bare" / tuned.name))
    (bare / trained_on.FILE).unlink()
    assert encoders.identify(str(bare)) == encoders.identify(str(tuned))
    assert encoders.training_record(str(bare)) is None

    # The same corpus: folds that test what it was trained on are refused, the one that it held out is a test.
    extract(sercache, tuned, manifest, "home")
    where = ["--encoder", tuned, "--dataset", "home"]
    code, _, err = sercache("train", *HEAD, *where, *FOLDS)
    assert code == 2
    assert "18 of 24 test utterances are among its training data" in err
    assert "folds that test such: s0, s2, s3" in err
    assert "--duplicates keep" in err
    code, out, err = sercache("train", *HEAD, *where, *FOLDS, "--duplicates", "keep", "--name", "kept")
    assert code == 0, err
    assert "are counted (duplicates keep), though they are no test" in " ".join(out.split())
    code, _, err = sercache("probe", *where, "--protocol", "leave-one-speaker-out")
    assert code == 2
    assert "18 of 24 test utterances are among its training data" in err
    held_out = ["--protocol", f"fixed:{split(tmp_path / 'fold-s1.txt', 's1')}", *HOW, "--dev", "random20"]
    code, out, err = sercache("train", *HEAD, *where, *held_out, "--name", "after")
    assert code == 0, err
    assert "none of the test utterances is among its training data (checked by id and audio)" in " ".join(
        out.split()
    )
    report = run_folders.load(tmp_path / "runs" / "after")
    assert report.encoders_trained[0].corpora == ("home",)
    assert {each.id for each in report.recordings or () if each.by == "encoder"} == trained

    # Another corpus of the encoder's recordings: by audio, whatever they are called.
    other = abroad(manifest, tmp_path / "abroad", range(16))
    extract(sercache, tuned, other, "abroad")
    code, _, err = sercache("evaluate", tmp_path / "runs" / "after", "--dataset", "abroad")
    assert code == 2
    assert "of abroad have audio that is trained on" in err
    code, out, err = sercache(
        "train", *HEAD, *where, *held_out, "--test-on", "abroad", "--duplicates", "apart", "--name", "on"
    )
    assert code == 0, err
    code, _, err = sercache("train", *HEAD, "--encoder", tuned, "--dataset", "abroad", *FOLDS)
    assert code == 2
    assert "12 of 16 test utterances are among its training data, first: a0.wav = home u0" in err
    # The encoder's own corpus, to be tested on by heads that never saw it themselves.
    strange = abroad(manifest, tmp_path / "strange", range(16, 24))
    extract(sercache, tuned, strange, "strange")
    train = [
        "train",
        *HEAD,
        "--encoder",
        tuned,
        "--dataset",
        "strange",
        "--protocol",
        "all",
        *HOW,
        "--dev",
        "random20",
    ]
    code, _, err = sercache(*train, "--test-on", "home")
    assert code == 2
    assert "the encoder tuned-encoder was trained on home: testing on it is no test" in err
    code, _, err = sercache(*train, "--name", "strange")
    assert code == 0, err
    code, _, err = sercache("evaluate", tmp_path / "runs" / "strange", "--dataset", "home")
    assert code == 2
    assert "the encoder tuned-encoder was trained on home: testing on it is no test" in err

    # What was trained on goes on with what is trained from there.
    tune_again = ["train", *HEAD, *where, "--finetune-from", "1", *held_out, "--name", "again"]
    code, _, err = sercache(*tune_again)
    assert code == 0, err
    twice = tmp_path / "twice-tuned"
    export(sercache, tmp_path / "runs" / "again", tuned, twice, "fold-s1")
    record = encoders.training_record(str(twice))
    assert record is not None
    assert [each.run for each in record.tunings] == ["tuned", "again"]
    assert record.recordings is not None
    assert set(record.recordings["home"]) == trained


def test_the_record_stays_with_the_store(
    sercache: Sercache, encoder: Path, manifest: Path, tmp_path: Path
) -> None:
    extract(sercache, encoder, manifest, "home")
    tune(sercache, encoder, "tuned")
    tuned = tmp_path / "tuned-encoder"
    export(sercache, tmp_path / "runs" / "tuned", encoder, tuned, "s1")
    kept = Path(shutil.copytree(tuned, tmp_path / "kept" / tuned.name))
    (tuned / trained_on.FILE).unlink()
    extract(sercache, tuned, manifest, "home", "3")
    (folder,) = [f for f, spec in stores.find(tmp_path / "cache") if spec.encoder == tuned.name]
    assert extraction.training_record(stores.open(folder)) is None
    # The same encoder with its record: nothing is encoded, and what it says is written down.
    extract(sercache, kept, manifest, "home", "3")
    record = extraction.training_record(stores.open(folder))
    assert record == encoders.training_record(str(kept))
    extract(sercache, tuned, manifest, "home", "3")  # one that says nothing takes nothing back
    assert extraction.training_record(stores.open(folder)) == record
    code, out, err = sercache("info", folder)
    assert "trained by tuned (mlp on home, fold s1, seed 0) on 18 recordings of home" in out + err
    # A damaged one is found, and never taken for none.
    note = stores.notes_folder(folder) / trained_on.FILE
    note.write_bytes(note.read_bytes().replace(b"u0", b"v0", 1))
    code, out, err = sercache("verify", folder)
    assert code == 2
    assert trained_on.FILE in out + err
    assert sercache("verify", folder, "--repair").code == 0
    with pytest.raises(DamagedStoreError, match="what the encoder was trained on is not known; run"):
        extraction.training_record(stores.open(folder))
    code, out, err = sercache("info", folder)
    assert code == 0
    assert "what the encoder was trained on is not known" in err
    extract(sercache, kept, manifest, "home", "3")
    assert extraction.training_record(stores.open(folder)) == record


def test_a_record_of_other_weights_is_refused(tmp_path: Path) -> None:
    folder = save(tiny_model("wavlm-base"), tmp_path / "one")
    sha256 = encoders.identify(str(folder))["weights_sha256"]
    record = TrainedOn("", (Tuning("run", "mlp", "home", "1", 0),), (("home", ""),), {"home": {"u0": ("0",)}})
    trained_on.write(record, folder, sha256)
    assert encoders.training_record(str(folder)) == dataclasses.replace(record, weights_sha256=sha256)
    save(tiny_model("wavlm-base", seed=1), folder)  # trained on by other means
    with pytest.raises(EncoderError, match=r"is of other weights .* export the encoder again, or remove"):
        encoders.training_record(str(folder))


texts = st.text('ab é\n"', max_size=3)
records = st.builds(
    TrainedOn,
    st.sampled_from(["0", "1f"]),
    st.lists(st.builds(Tuning, texts, texts, texts, texts, st.integers(0, 9), texts), max_size=2).map(tuple),
    st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
    st.none()
    | st.dictionaries(texts, st.dictionaries(texts, st.lists(texts).map(tuple), max_size=3), max_size=2),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records)
def test_records_are_their_json_and_back(record: TrainedOn) -> None:
    assert TrainedOn.from_json(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 2),
        ("weights_sha256", ""),
        ("weights_sha256", 1),
        ("tunings", {}),
        ("tunings", [{}]),
        ("tunings", [{**dataclasses.asdict(Tuning("r", "h", "c", "1", 0)), "seed": True}]),
        ("corpora", [["home"]]),
        ("corpora", [["home", 1]]),
        ("heard", []),
        ("heard", {"home": []}),
        ("heard", {"home": {"u0": "0"}}),
        ("heard", {"home": {"u0": [0]}}),
        ("more", 1),
    ],
)
def test_anything_else_is_no_record(field: str, value: object) -> None:
    whole = TrainedOn("0", (), (), None).to_json()
    with pytest.raises(ValueError, match=r"."):
        TrainedOn.from_json(whole | {field: value})
