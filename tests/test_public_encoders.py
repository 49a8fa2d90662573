"""What public checkpoints were trained on is said where that is tested, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import data2vec2_helpers as d2v
import pytest
from conftest import Outcome
from make_report import make_report

from sercache import catalog, encoders
from sercache.encoders import hf_speech
from sercache.report import comparison
from sercache.report import runs as run_folders
from sercache.reported import emobox
from sercache.trained_on import LEAK, SeenCorpus

Sercache = Callable[..., Outcome]


def known(encoder: str, source: str = "") -> dict[str, set[str]]:
    """Corpus -> how it is known."""
    found: dict[str, set[str]] = {}
    for each in encoders.seen_corpora(encoder, {"source": source}):
        found.setdefault(each.corpus, set()).add(each.seen)
    return found


def test_a_checkpoint_is_known_by_its_place_its_names_and_the_names_of_copies() -> None:
    hub_id = "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim"
    expected = {"msp-podcast": {"labels"}}
    assert known("wav2vec2-large-robust-emotion-dim", hub_id) == expected
    assert known(hub_id, hub_id) == expected
    assert known("mine", hub_id) == expected  # called so in the configuration
    for folder in (hub_id.split("/")[1], "wav2vec2-large-robust-emotion-dim"):
        assert known(folder, f"local: {folder}") == expected
    assert known("emotion2vec_base") == known("emotion2vec-base") == known("x", "local: emotion2vec_base")
    assert known("emotion2vec-base")["iemocap"] == {"audio"}
    for other in ("wavlm-large", "microsoft/wavlm-large", "data2vec2-audio-base", "logmel", "msp-dim", ""):
        assert known(other, f"local: {other}") == {}


def test_heads_of_superb_leave_their_encoders_as_they_were() -> None:
    assert known("wav2vec2-base-superb-er", "superb/wav2vec2-base-superb-er") == {}
    assert "only the classifier above it" in hf_speech.PUBLISHED["wav2vec2-base-superb-er"].trained_on


def test_pretraining_labels_and_labels_at_second_hand_are_told_apart() -> None:
    assert known("emotion2vec-plus-seed")["iemocap"] == {"audio", "labels"}
    assert known("emotion2vec-plus-seed")["emodb"] == {"labels"}
    assert known("emotion2vec-plus-base")["iemocap"] == {"audio", "pseudo-labels"}
    assert known("emotion2vec-plus-large")["emodb"] == {"pseudo-labels"}
    assert "cmu-mosei" not in known("emotion2vec-plus-large")
    notes = [SeenCorpus("emodb", how, "in 1999").note("it") for how in ("audio", "labels", "pseudo-labels")]  # type: ignore[arg-type]
    assert len(set(notes)) == 3
    unsure = {
        each.is_certain
        for each in encoders.seen_corpora("emotion2vec-plus-seed", {})
        if each.seen == "labels"
    }
    assert unsure == {False}
    assert "it may have been trained on labels of emodb;" in SeenCorpus("emodb", "labels", "", False).note(
        "it"
    )
    assert all(note.startswith(LEAK) and " was " in note and "(in 1999)" in note for note in notes)


def test_every_corpus_is_one_of_the_catalogue() -> None:
    """A name that no corpus has would never be met."""
    names = set(catalog.names("sercache.datasets"))
    for family in encoders.families().values():
        for place, corpora in vars(family).get("SEEN_CORPORA", {}).items():
            assert place.count("/") == 1
            assert corpora
            assert {each.corpus for each in corpora} <= names, place


def test_corpora_of_emobox_are_those_of_its_table() -> None:
    """A reader that is added to EmoBox's corpora here is one that emotion2vec+ may know."""
    of_table = {table.dataset for table in emobox.TABLES}
    assert of_table == {name for name, how in known("emotion2vec-plus-seed").items() if "labels" in how}


def extracted(sercache: Sercache, encoder: Path | str, corpus: str, folder: Path) -> None:
    root = catalog.load("sercache.datasets", corpus).example(folder / corpus)
    code, _, err = sercache("extract", "--encoder", encoder, "--dataset", corpus, "--root", root)
    assert code == 0, err


def test_a_leak_is_said_under_every_number_that_it_touches(sercache: Sercache, tmp_path: Path) -> None:
    encoder, runs = d2v.funasr(tmp_path / "emotion2vec_base", plus=False), tmp_path / "runs"
    extracted(sercache, encoder, "iemocap", tmp_path)
    extracted(sercache, encoder, "emodb", tmp_path)
    extracted(sercache, "logmel", "iemocap", tmp_path)
    how = ["--task", "4class", "--seeds", "1", "--set", "max-epochs=1", "--head", "mlp"]
    note = "leak of audio: emotion2vec_base was pretrained on iemocap, without its labels"

    def said(*command: Any) -> str:
        code, out, err = sercache(*command)
        assert code == 0, err
        return " ".join(out.split())

    sessions = ["--dataset", "iemocap", "--protocol", "leave-one-session-out"]
    assert note in said("train", "--encoder", encoder, *sessions, *how, "--name", "known")
    assert "leak of" not in said("train", "--encoder", "logmel", *sessions, *how, "--name", "plain")
    notes = run_folders.load(runs / "known").notes
    assert [each[: len(note)] for each in notes if each.startswith(LEAK)] == [note]
    # A corpus that it did not hear, all of it trained on; what is tested is one that it did.
    where = ["--encoder", encoder, "--dataset", "emodb", "--protocol", "all", "--dev", "random20"]
    apart = ["--duplicates", "apart"]  # tones of the two examples are equal
    assert note in said("train", *where, *how, "--test-on", "iemocap", *apart, "--name", "there")
    found = run_folders.load(runs / "there")
    assert not [each for each in found.notes if each.startswith(LEAK)]
    assert [each[: len(note)] for each in found.cross_corpus[0].notes if each.startswith(LEAK)] == [note]
    # Beside a run that knows nothing of it.
    assert f": {note}" in said("compare", runs / "known", runs / "plain")
    assert f"known: {note}" in said("report", runs / "known", runs / "plain")


def test_a_table_of_trials_says_it_of_the_rows_that_it_touches() -> None:
    leak = SeenCorpus("iemocap", "audio").note("emotion2vec-base")
    knows, other = make_report(notes=("a remark", leak)), make_report()
    assert f"one: {leak}" in comparison.run_notes([("one", knows), ("two", other)])
    assert leak in comparison.run_notes([("one", knows), ("two", knows)])
    assert not [note for note in comparison.run_notes([("two", other)]) if LEAK in note]


def test_the_card_of_an_encoder_tells_what_it_knows(sercache: Sercache) -> None:
    code, out, err = sercache("encoders", "emotion2vec-base")
    assert code == 0, err
    assert "iemocap, meld, mead, cmu-mosei, msp-podcast: audio, without labels" in " ".join(out.split())
    code, out, err = sercache("encoders", "data2vec2-audio-base")
    assert "seen  " not in out


@pytest.mark.parametrize("name", ["emotion2vec-base", "data2vec2-audio-base"])
def test_what_is_published_of_an_encoder_needs_no_files(name: str) -> None:
    assert encoders.card(name).seen == encoders.seen_corpora(name, {})
