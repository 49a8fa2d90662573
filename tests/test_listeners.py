"""Human listeners beside a head: one against the others by a plain loop, and what corpora publish of them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import corpus_trees
import numpy as np
import pytest
import sklearn.metrics
from make_report import make_report

import sercache as api
from sercache.datasets import cremad, emodb, iemocap, listener_rates, listener_votes
from sercache.errors import SettingsError
from sercache.record import Interval, Report, Score
from sercache.report.listeners import listeners_table, rates_table
from sercache.statistics import against_others

RNG = np.random.default_rng(3)


def heard(report: Report, n_listeners: int = 5, skill: float = 0.8) -> dict[str, dict[str, tuple[str, ...]]]:
    """Votes of listeners who name the true class with ``skill``."""
    true = {p.id: p.true for p in report.predictions}
    return {
        id: {
            f"L{k}": (report.classes[int(c) if RNG.random() < skill else int(RNG.integers(3))],)  # type: ignore[call-overload]
            for k in range(n_listeners)
        }
        for id, c in true.items()
    }


def test_one_listener_is_judged_by_the_majority_of_the_others() -> None:
    report = make_report(8, layers=0)
    votes = heard(report)
    found = against_others(votes, report.predictions, report.classes)
    expected, ties = [], 0
    for id, own in votes.items():
        for name, (answer,) in own.items():
            rest = Counter(label for other, (label,) in own.items() if other != name).most_common()
            if len(rest) > 1 and rest[0][1] == rest[1][1]:
                ties += 1
            else:
                expected.append((id, name, report.classes.index(rest[0][0]), report.classes.index(answer)))
    assert [(p.id, p.fold, p.true, p.predicted) for p in found.listeners] == expected
    assert found.n_ties == ties > 0
    table = listeners_table(report, votes)
    assert table is not None
    rows = {row[0]: row for row in table.rows}
    human = rows["one listener"]
    assert isinstance(human[4], Score)
    truth, said = zip(*[(t, s) for _, _, t, s in expected], strict=True)
    assert human[4].mean == pytest.approx(sklearn.metrics.recall_score(truth, said, average="macro"))
    assert isinstance(human[5], Interval)
    assert human[5].counted == "8 speakers"
    by_seed = []
    for seed in report.seeds:
        of = {p.id: p.predicted for p in report.predictions if p.seed == seed}
        by_seed.append(
            sklearn.metrics.recall_score(truth, [of[id] for id, _, _, _ in expected], average="macro")
        )
    head = rows["the head"][4]
    assert isinstance(head, Score)
    assert head.mean == pytest.approx(np.mean(by_seed))
    assert (
        f"UA of the head less that of one listener: {head.mean - human[4].mean:+.4f} (95 % -"
        in table.notes[1]
    )


def test_what_cannot_be_judged_is_left_out_and_counted() -> None:
    report = make_report(1, (0,), layers=0)
    first, second, third, fourth, *_ = [p.id for p in report.predictions]
    votes = {
        first: {"a": ("anger",), "b": ("anger",), "c": ("anger", "sadness")},  # c named two
        second: {"a": ("",), "b": ("",), "c": ("anger",)},  # no class of the task, but for a and b a tie
        third: {"a": ("anger",), "b": ("neutral",)},  # one other is no majority
        fourth: {"a": ("anger",), "b": ("anger",), "c": ("",)},
        "not tested": {"a": ("anger",), "b": ("anger",), "c": ("anger",)},
    }
    found = against_others(votes, report.predictions, report.classes)
    assert (found.n_several, found.n_outside, found.n_ties) == (1, 1, 4)
    kept = [(p.id, p.fold, p.true, p.predicted) for p in found.listeners]
    # a and b of the first: of the others one said anger, one divided a vote between anger and sadness.
    assert kept == [(first, "a", 0, 0), (first, "b", 0, 0), (fourth, "c", 0, 3)]
    assert listeners_table(report, {}) is None


# What corpora publish


def of_seven_classes(report: Report) -> Report:
    return dataclasses.replace(report, corpus={**report.corpus, "task": "7class"})


def test_iemocap_has_raters_from_outside(tmp_path: Path) -> None:
    corpus = iemocap.read(corpus_trees.iemocap(tmp_path))
    votes = listener_votes(corpus, "4class")
    excited = next(u for u in corpus.utterances if u.raw_label == "exc")
    assert votes[excited.id] == dict.fromkeys(("C-E2", "C-E3", "C-E4"), ("happiness",))
    assert all(name.startswith("C-E") for own in votes.values() for name in own), "no actor rates himself"
    assert set(votes) == set(corpus.labels("4class"))


def test_cremad_has_listeners_to_the_voice_alone(tmp_path: Path) -> None:
    root = corpus_trees.cremad(tmp_path)
    heads = '"","localid","pos","ans","ttr","queryType","numTries","clipNum","questNum","subType","clipName"'
    rows = [
        '"1","7","1","A_80","900","1","0","5","1","4","1001_TIE_ANG_XX"',
        '"2","8","1","D_20","900","1","0","5","1","4","1001_TIE_ANG_XX"',
        '"3","9","1","N_20","900","2","0","5","1","4","1001_TIE_ANG_XX"',  # saw the face
        '"4","7","9","S_20","900","1","0","5","1","4","1001_TIE_ANG_XX"',  # a second time
        '"5","7","2","X","900","1","0","5","1","4","1001_TIE_SAD_XX"',
    ]
    (root / "finishedResponses.csv").write_text("\n".join([heads, *rows]) + "\n")
    corpus = cremad.read(root)
    assert listener_votes(corpus, "6class") == {
        "1001_TIE_ANG_XX": {"voice:7": ("anger",), "voice:8": ("disgust",)}
    }
    assert corpus.target_names("shares") == ("anger", "disgust")
    assert corpus.targets("shares") == {"1001_TIE_ANG_XX": (0.5, 0.5)}
    assert list(corpus.labels("6class@voice-agreed")) == ["1001_TIE_ANG_XX"]


def test_emodb_has_rates_and_says_that_they_are_preselected(tmp_path: Path) -> None:
    root = corpus_trees.emodb(tmp_path)
    lines = (
        "Satz\terkannt\xa0\tnatürlich\n08a01Tb\t92,50\xa0\t80,00\n16a01Wa  100,00 90,00\n08a01Na\tunklar\t-\n"
    )
    (root / "erkennung.txt").write_bytes(lines.encode("latin-1"))
    corpus = emodb.read(root)
    assert listener_rates(corpus) == {"08a01Tb": 0.925, "16a01Wa": 1.0}
    assert listener_votes(corpus, "7class") == {}
    report = make_report(1, (0,), layers=0)
    renamed = dict(
        zip([p.id for p in report.predictions], ["16a01Wa", "x", "08a01Tb", "y", "z", "w"], strict=True)
    )
    report = dataclasses.replace(
        report, predictions=tuple(dataclasses.replace(p, id=renamed[p.id]) for p in report.predictions)
    )
    report = of_seven_classes(report)
    found = api.details(api.Result(report), corpus, listeners=True, progress=False)
    [table] = found.tables
    assert [row[:3] for row in table.rows] == [
        ("anger", 1, 1.0), ("sadness", 1, 0.925), ("mean over classes", 2, pytest.approx(0.9625)),
    ]  # fmt: skip
    assert table.notes[0].startswith(
        "preselected: the corpus kept those recordings that its listeners agreed on"
    )
    assert table == rates_table(report, listener_rates(corpus))


def test_a_corpus_without_listeners_is_said_to_have_none(tmp_path: Path) -> None:
    corpus = emodb.read(corpus_trees.emodb(tmp_path))
    result = api.Result(of_seven_classes(make_report(1, (0,), layers=0)))
    with pytest.raises(SettingsError, match="holds neither votes of single listeners nor rates"):
        api.details(result, corpus, listeners=True, progress=False)
