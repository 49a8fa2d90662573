"""Tasks: label maps from files, attributes on a common scale, shares; through the readers of real layouts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import corpus_trees
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sercache import checkup
from sercache.datasets import Corpus, CorpusInfo, Subset, Utterance, hume_prosody, iemocap, msp_improv
from sercache.errors import CorpusError, SercacheError, UnknownNameError

INFO = CorpusInfo(
    title="t", language="en", n_speakers=1, hours=1.0, licence="l", access="a", tree="t",
    tasks={"2class": {"ang": "anger", "sad": "sadness"}}, default_task="2class",
    expected_counts={"ang": 2, "sad": 1, "xxx": 1, "fea": 5},
    subsets={"early": Subset("the first two", lambda u: u.id < "c"), "late": Subset("", lambda u: u.id > "a")},
    setups={"two-early": "2class@early"},
    attribute_range=(1.0, 5.0),
)  # fmt: skip
ROWS = (
    ("a", "ang", {"arousal": 5.0, "valence": 1.0, "dominance": 2.0, "extra": 9.0}, {"anger": 1.0}),
    ("b", "sad", {"arousal": 3.0, "valence": 5.5, "dominance": 0.5}, {"anger": 0.25, "sadness": 0.75}),
    ("c", "ang", {"arousal": 3.0, "valence": 4.0}, None),
    ("d", "xxx", None, {}),
)


def toy(**changes: object) -> Corpus:
    made = tuple(
        Utterance(i, Path(f"{i}.wav"), label, "s", attributes=values, soft_label=shares)
        for i, label, values, shares in ROWS
    )
    return Corpus("toy", "1", Path("/"), dataclasses.replace(INFO, **changes), made)


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "map.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_attributes_come_on_one_scale_and_stay_as_published():
    corpus = toy()
    assert corpus.targets("avd") == {"a": (1.0, 0.0, 0.25), "b": (0.5, 1.0, 0.0)}
    assert corpus.target_names("avd") == ("arousal", "valence", "dominance")
    assert corpus.by_id()["b"].attributes == ROWS[1][2]
    assert corpus.targets("avd@late") == {"b": (0.5, 1.0, 0.0)}
    assert corpus.members("avd") == ["a", "b"]


def test_shares_are_those_published_by_class():
    corpus = toy()
    assert corpus.targets("shares") == {"a": (1.0, 0.0), "b": (0.25, 0.75)}
    assert corpus.target_names("shares@late") == ("anger", "sadness")
    assert corpus.members("shares@early@late") == ["b"]


def test_numbers_that_a_corpus_does_not_have():
    bare = dataclasses.replace(toy(attribute_range=None), utterances=(toy().utterances[2],))
    for task, words in (
        ("avd", "arousal, valence and dominance on a known scale"),
        ("shares", "shares of raters"),
    ):
        for ask in (bare.targets, bare.labels, bare.members):
            with pytest.raises(UnknownNameError, match=f"'{task}' of toy: this copy has no {words}.*2class"):
                ask(task)
    with pytest.raises(UnknownNameError, match="gives numbers, not classes; choose one of 2class"):
        toy().labels("avd")
    with pytest.raises(UnknownNameError, match="gives classes, not numbers: avd, shares do"):
        toy().targets("2class")
    with pytest.raises(UnknownNameError, match="unknown subset of toy 'erly'; did you mean early"):
        toy().targets("avd@erly")


def test_real_layouts_give_numbers(tmp_path):
    for module in (iemocap, msp_improv):
        name = module.__name__.rpartition(".")[2].replace("_", "-")
        corpus = module.read(corpus_trees.TREES[name](tmp_path / name))
        known = corpus.by_id()
        assert corpus.targets("avd")
        for i, values in corpus.targets("avd").items():
            published = [known[i].attributes[name] for name in ("arousal", "valence", "dominance")]
            assert values == pytest.approx([(v - 1) / 4 for v in published])
        for values in corpus.targets("shares").values():
            assert sum(values) == pytest.approx(1)
    corpus = hume_prosody.read(corpus_trees.TREES["hume-prosody"](tmp_path / "hume"))
    assert {max(values) for values in corpus.targets("shares").values()} == {1.0}
    assert corpus.target_names("shares") == tuple(e.lower() for e in hume_prosody.EMOTIONS)


def test_a_setup_can_be_narrowed_further():
    assert toy().labels("two-early@late") == {"b": "sadness"}


def test_a_label_map_of_the_users_own(tmp_path):
    corpus = toy()
    path = write(
        tmp_path, '[labels]\nang = "negative"\nsad = "negative"\nxxx = "unclear"\nfea = "negative"\n'
    )
    assert corpus.labels(path) == dict(zip("abcd", ["negative"] * 3 + ["unclear"], strict=True))
    assert corpus.labels(f"{path}@late") == {"b": "negative", "c": "negative", "d": "unclear"}
    assert corpus.classes(path) == ["negative", "unclear"]
    assert corpus.missing_classes(path) == []
    assert corpus.members(f"{path}@early") == ["a", "b"]


def test_what_is_recorded_names_the_content(tmp_path):
    corpus = toy()
    path = write(tmp_path, '[labels]\nang = "x"\nsad = "y"\n')
    recorded = corpus.task_name(f"{path}@early")
    assert recorded.startswith(f"{path}#")
    assert recorded.endswith("@early")
    assert corpus.labels(recorded) == {"a": "x", "b": "y"}
    assert corpus.task_name(recorded) == recorded
    write(tmp_path, '# moved about\n[labels]\nsad = "y"\nang = "x"\n')
    assert corpus.labels(recorded) == {"a": "x", "b": "y"}
    write(tmp_path, '[labels]\nang = "y"\nsad = "y"\n')
    with pytest.raises(CorpusError, match=r"map\.toml has changed"):
        corpus.labels(recorded)
    assert corpus.task_name(None) == "2class"
    assert corpus.task_name("two-early") == "two-early"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", CorpusError, r"map\.toml maps no label; expected a table \[labels\]"),
        ("[labels]\n", CorpusError, "maps no label"),
        ("labels = 3\n", CorpusError, "maps no label"),
        ('[label]\nang = "x"\n', CorpusError, "has the entry 'label'"),
        ("[labels]\nang = 1\n", CorpusError, "class of 'ang' must be a word, got 1"),
        ('[labels]\nang = " "\n', CorpusError, "must be a word"),
        ('[labels]\nangr = "x"\n', UnknownNameError, "unknown raw label of toy 'angr'; did you mean ang"),
        ("[labels\n", CorpusError, "cannot read the label map"),
    ],
)
def test_label_maps_that_cannot_be_used(tmp_path, text, error, message):
    with pytest.raises(error, match=message) as caught:
        toy().labels(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_label_map_that_is_not_there(tmp_path):
    with pytest.raises(UnknownNameError, match="there is no label map"):
        toy().labels(str(tmp_path / "gone.toml"))


@given(st.binary(max_size=80))
@settings(max_examples=80, deadline=None)
def test_any_file_is_a_label_map_or_a_refusal(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)
    with pytest.raises(SercacheError) as caught:
        toy().labels(str(path))
    assert "\n" not in str(caught.value)


def test_a_check_up_takes_a_label_map(tmp_path):
    corpus = iemocap.read(corpus_trees.TREES["iemocap"](tmp_path / "iemocap"))
    path = write(tmp_path, '[labels]\nang = "negative"\nsad = "negative"\nneu = "neutral"\n')
    found = checkup.check_up(checkup.part(corpus, path))
    assert found.task == corpus.task_name(path)
    assert {c.value: c.here for c in found.counts["class"]} == {
        name: list(corpus.labels(path).values()).count(name) for name in ("negative", "neutral")
    }
    assert found.n_utterances == len(corpus.labels(path))
    assert {c.rows for c in found.comparisons} == {found.n_utterances}
    assert {c.expected_rows for c in found.comparisons} == {1103 + 1084 + 1708}


def test_extraction_takes_what_a_task_gives(tmp_path, capsys):
    from sercache.experiment.selection import chosen_utterances

    corpus = toy()
    path = write(tmp_path, '[labels]\nxxx = "unclear"\nsad = "sad"\n')
    for task, ids in (("avd", "ab"), ("shares", "ab"), (f"{path}@late", "bd"), ("all", "abcd")):
        assert [u.id for u in chosen_utterances(corpus, task)] == list(ids)
    capsys.readouterr()


def test_how_many_a_task_labels_is_said_of_the_corpus_by_name(monkeypatch):
    """Where several corpora are read in turn a bare "of them" would be read as of the one named last."""
    from sercache.experiment import selection

    told = []
    monkeypatch.setattr(selection, "used", lambda label, value: told.append(value))
    corpus = toy()
    selection.chosen_utterances(corpus, "avd")
    [line] = told
    assert line.startswith(f"2 of the 4 utterances of {corpus.name} carry a label of task avd")
