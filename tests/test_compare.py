"""Pairs of systems: the test against scipy and every sign, the interval against a plain loop, and who is refused."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from make_report import make_report

import sercache as api
from sercache import metrics
from sercache.errors import SettingsError
from sercache.record import Classes, Numbers, Prediction, Report, Target
from sercache.report import pairs as shown
from sercache.report import runs
from sercache.statistics import LEVEL, System, grouped, holm, pairs, sign_flip, system_of, unlike

RNG = np.random.default_rng(11)
CLASSES = Classes(("a", "b", "c"))


def system(
    name: str,
    skill: float,
    *,
    n_speakers: int = 8,
    seeds: Sequence[int] = (0, 1),
    target: Target = CLASSES,
    rng: np.random.Generator = RNG,
    n_each: int = 9,
) -> System:
    """One that is right with ``skill``; speaker k has n_each + k utterances and is tested in fold k."""
    found = []
    for k in range(n_speakers):
        for u in range(n_each + k):
            for seed in seeds:
                true, said = _said(target, u, k, skill, rng)
                found.append(Prediction(f"{k}-{u}", str(k), seed, true, said, (), f"s{k}"))
    return System(name, ("corpus", "task", "folds"), target, grouped(found, lambda p: p.seed))


def _said(target: Target, u: int, k: int, skill: float, rng: np.random.Generator) -> tuple[object, object]:
    if isinstance(target, Classes):
        true = (u + k) % len(target.names)
        return true, true if rng.random() < skill else int(rng.integers(len(target.names)))
    value = np.sin(np.arange(len(target.names)) + 3 * u + k)
    return tuple(value.tolist()), tuple((value * skill + rng.normal(size=len(value))).tolist())


def ua_by_sklearn(group: Sequence[Prediction]) -> float:
    return float(
        sklearn.metrics.balanced_accuracy_score([p.true for p in group], [p.predicted for p in group])
    )


# The test


@given(st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=1, max_size=9))
def test_every_sign_is_gone_through_as_scipy_does(gaps: list[float]) -> None:
    values = np.round(gaps, 3)
    ours = sign_flip(lambda signs: signs @ values, len(values))
    theirs = (
        scipy.stats.permutation_test(
            (values,),
            lambda x, axis: np.sum(x, axis),
            permutation_type="samples",
            n_resamples=np.inf,
            vectorized=True,
        )
        if len(values) > 1
        else None
    )
    far = [
        abs(sum(sign * value for sign, value in zip(signs, values, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(values))
    ]
    assert ours.p == pytest.approx(np.mean(np.array(far) >= abs(values.sum()) - 1e-9))
    assert ours.smallest == 2 / 2 ** len(values)
    assert ours.exact
    if (
        theirs is not None and abs(values.sum()) > 1e-9
    ):  # of a sum that is rounding alone scipy calls equal ones less
        assert ours.p == pytest.approx(min(1.0, theirs.pvalue))


def test_drawn_signs_are_counted_with_the_seen_ones() -> None:
    values = RNG.normal(0.3, 1, 30)
    ours = sign_flip(lambda signs: signs @ values, 30)
    theirs = scipy.stats.permutation_test(
        (values,), lambda x, axis: np.sum(x, axis), permutation_type="samples", n_resamples=9_999, vectorized=True,
        rng=np.random.default_rng(1),
    )  # fmt: skip
    # Each draw is far with probability p; both estimate it from 9,999 draws.
    spread = math.sqrt(2 * theirs.pvalue * (1 - theirs.pvalue) / 10_000)
    assert abs(ours.p - theirs.pvalue) < 5 * spread
    assert not ours.exact
    assert ours.smallest == 1e-4
    assert sign_flip(lambda signs: signs @ np.ones(30), 30).p == 1e-4
    assert sign_flip(lambda signs: signs @ np.zeros(30), 30).p == 1


def test_holm_corrects_as_it_was_published() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.parametrize("metric", ["ua", "wa", "macro_f1"])
def test_speakers_are_swapped_whole_and_scored_by_seed(metric: str) -> None:
    """Every swap of five speakers, scored by scikit-learn."""
    theirs: dict[str, Callable[[Sequence[Prediction]], float]] = {
        "ua": ua_by_sklearn,
        "wa": lambda g: float(np.mean([p.true == p.predicted for p in g])),
        "macro_f1": lambda g: float(
            sklearn.metrics.f1_score([p.true for p in g], [p.predicted for p in g], average="macro")
        ),
    }
    one, other = (system(name, skill, n_speakers=5) for name, skill in (("one", 0.8), ("other", 0.5)))
    [found] = pairs([one, other], metric, intervals=False)
    gaps = []
    for swapped in itertools.product((False, True), repeat=5):
        scores = []
        for mine, their in ((one, other), (other, one)):
            scores.append(np.mean([
                theirs[metric]([b if swapped[int(a.speaker[1:])] else a for a, b in zip(first, second, strict=True)])
                for first, second in zip(mine.groups, their.groups, strict=True)
            ]))  # fmt: skip
        gaps.append(scores[0] - scores[1])
    assert found.difference == pytest.approx(gaps[0])
    assert found.test is not None
    assert found.test.p == pytest.approx(np.mean(np.abs(gaps) >= abs(gaps[0]) - 1e-12))
    assert found.test.smallest == 2**-4


def test_numbers_are_swapped_too() -> None:
    target = Numbers(("x", "y"))
    one, other = (
        system(name, skill, n_speakers=5, target=target) for name, skill in (("one", 3.0), ("other", 0.2))
    )
    for metric in ("rho", "ccc", "mse", "rho:y"):
        [found] = pairs([one, other], metric, intervals=False)
        assert found.test is not None
        assert found.test.p == 2**-4, f"{metric}: every speaker is better by far"
    [rho] = pairs([one, other], "rho:y", intervals=False)
    expected = [
        np.mean(
            [
                scipy.stats.spearmanr([p.true[1] for p in g], [p.predicted[1] for p in g]).statistic
                for g in s.groups
            ]
        )
        for s in (one, other)
    ]
    assert rho.scores == pytest.approx(expected)


def test_other_numbers_of_seeds_are_averaged() -> None:
    one, other = system("one", 0.8, seeds=(0, 1, 2)), system("other", 0.4, seeds=(5, 6))
    for metric in ("ua", "macro_f1"):
        [found] = pairs([one, other], metric)
        assert found.scores == pytest.approx(
            [np.mean([_score(metric, g) for g in each.groups]) for each in (one, other)]
        )
        assert found.differs


def _score(metric: str, group: Sequence[Prediction]) -> float:
    of = {"ua": metrics.ua, "macro_f1": metrics.macro_f1}[metric]
    return of(np.array([p.true for p in group]), np.array([p.predicted for p in group]))


# The interval


def test_the_interval_of_a_difference_draws_the_same_speakers_for_both() -> None:
    one, other = system("one", 0.8), system("other", 0.6, seeds=(0, 1, 2))
    drawn = np.random.default_rng(0).integers(8, size=(60, 8))
    small = pytest.MonkeyPatch()
    bootstrap = metrics.bootstrap
    small.setattr(metrics, "bootstrap", lambda measure, n: bootstrap(measure, n, n_draws=60))
    [few] = pairs([one, other], "ua")
    small.undo()
    gaps = [
        float(np.subtract(*[
            np.mean([ua_by_sklearn([p for k in draw for p in g if p.speaker == f"s{k}"]) for g in each.groups])
            for each in (one, other)
        ]))
        for draw in drawn
    ]  # fmt: skip
    assert few.interval is not None
    np.testing.assert_allclose(
        (few.interval.low, few.interval.high), np.quantile(gaps, [0.025, 0.975]), rtol=1e-12
    )
    assert few.interval.counted == "8 speakers"


def test_the_interval_of_accuracy_is_that_of_scipy() -> None:
    """Of speakers with as many utterances each, WA is a mean over speakers: what scipy draws of them."""
    one, other = (system(name, skill, n_each=0, n_speakers=12) for name, skill in (("a", 0.8), ("b", 0.5)))

    def even(each: System) -> System:
        kept = [
            p for g in each.groups for p in g if int(p.id.split("-")[0]) >= 4 and int(p.id.split("-")[1]) < 4
        ]
        return dataclasses.replace(each, groups=grouped(kept, lambda p: p.seed))

    one, other = even(one), even(other)
    [found] = pairs([one, other], "wa")
    shares = [
        [
            np.mean([p.true == p.predicted for g in s.groups for p in g if p.speaker == f"s{k}"])
            for k in range(4, 12)
        ]
        for s in (one, other)
    ]
    theirs = scipy.stats.bootstrap(
        (np.subtract(*shares),),
        np.mean,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    assert found.interval is not None
    spread = theirs.standard_error / math.sqrt(1000) / scipy.stats.norm.pdf(1.96) * math.sqrt(0.025 * 0.975)
    np.testing.assert_allclose(
        (found.interval.low, found.interval.high), theirs.confidence_interval, atol=5 * spread + 0.01
    )


# Its own error rate


def errors(n_worlds: int, n_speakers: int, seed: int) -> int:
    """Of so many worlds with two systems that are the same, those in which they are called different.

    A speaker is easy or hard for both, and sometimes for one of them alone, whichever.
    """
    rng = np.random.default_rng(seed)
    called = 0
    for _ in range(n_worlds):
        shared = rng.normal(0, 0.15, n_speakers)
        own = rng.normal(0, 0.12, (2, n_speakers))
        right = np.clip(0.6 + shared + own, 0.05, 0.95)
        n_each = rng.integers(6, 30, n_speakers)
        truth = [rng.integers(3, size=n) for n in n_each]
        systems = []
        for name in (0, 1):
            said = [
                np.where(rng.random(len(t)) < right[name, k], t, (t + rng.integers(1, 3, len(t))) % 3)
                for k, t in enumerate(truth)
            ]
            found = [
                Prediction(f"{k}-{u}", str(k), 0, int(t), int(p), (), f"s{k}")
                for k in range(n_speakers)
                for u, (t, p) in enumerate(zip(truth[k], said[k], strict=True))
            ]
            systems.append(System(str(name), ("c", "t", "p"), CLASSES, [found]))
        called += bool(pairs(systems, "ua", intervals=False)[0].differs)
    return called


@pytest.mark.parametrize(
    ("n_worlds", "n_speakers"),
    [
        (150, 10),
        pytest.param(4000, 10, marks=pytest.mark.slow),
        pytest.param(2000, 24, marks=pytest.mark.slow),
    ],
)
def test_what_is_the_same_is_called_different_at_most_as_often_as_said(
    n_worlds: int, n_speakers: int
) -> None:
    """An exact test errs with probability up to LEVEL: more than chance allows in one of 10,000 runs is a fault."""
    called = errors(n_worlds, n_speakers, seed=2)
    most = scipy.stats.binom.ppf(1 - 1e-4, n_worlds, LEVEL)
    least = scipy.stats.binom.ppf(
        1e-4, n_worlds, LEVEL * 0.8
    )  # p goes in steps, so the rate is a little below
    assert least <= called <= most


def test_too_few_speakers_are_never_enough() -> None:
    for n in (2, 5):
        [found] = pairs([system("a", 1.0, n_speakers=n), system("b", 0.0, n_speakers=n)], "ua")
        assert found.test is not None
        assert found.test.p >= 2 ** (1 - n) > LEVEL
        assert not found.differs
    [found] = pairs([system("a", 1.0, n_speakers=6), system("b", 0.0, n_speakers=6)], "ua")
    assert found.differs


# What may be compared


def report(head: str, seed: int, *, skill: float = 0.5, n_folds: int = 6, **changes: object) -> Report:
    made = make_report(n_folds, seed=seed, head=head, layers=0, **changes)
    rng = np.random.default_rng(seed)
    said = tuple(
        dataclasses.replace(p, predicted=p.true if rng.random() < skill else (p.true + 1) % 3)
        for p in made.predictions
    )
    return dataclasses.replace(made, predictions=said)


def test_each_reason_that_two_cannot_be_compared_is_said() -> None:
    one = report("mlp", 0)
    base = system_of(one, "one")
    assert unlike(base, system_of(report("linear", 1), "other")) == ""
    fewer = dataclasses.replace(one, predictions=one.predictions[12:])
    swapped = dataclasses.replace(
        one,
        predictions=tuple(
            dataclasses.replace(p, fold="speaker 9") if p.fold == "speaker 1" else p for p in one.predictions
        ),
    )
    ragged = dataclasses.replace(one, predictions=one.predictions[2:])
    relabelled = dataclasses.replace(
        one, predictions=tuple(dataclasses.replace(p, true=0) for p in one.predictions)
    )
    renamed = dataclasses.replace(
        one, predictions=tuple(dataclasses.replace(p, speaker="x") for p in one.predictions)
    )
    for other, words in (
        (fewer, "utterances: 6 of 36 of one are not in other, first: speaker 1/u0, ü"),
        (
            dataclasses.replace(one, corpus={**one.corpus, "task": "7class"}),
            "task: one has 3class, other 7class",
        ),
        (
            dataclasses.replace(one, corpus={**one.corpus, "release": "2"}),
            "corpus: one has emodb classic, other emodb 2",
        ),
        (dataclasses.replace(one, setup={**one.setup, "protocol": "kfold:3"}), "protocol: one has leave-one"),
        (
            dataclasses.replace(one, classes=("a", "b", "c")),
            "classes: one has anger, neutral, sadness, other a, b, c",
        ),
        (swapped, "folds: 6 of 36 utterances have another fold in other than in one, first: speaker 1/u0, ü"),
        (ragged, "utterances: 2 of 36 are not predicted by every seed of other, first: speaker 1/u0, ü"),
        (relabelled, "labels: 24 of 36 utterances have another label"),
        (renamed, "speakers: 36 of 36 utterances have another speaker"),
    ):
        assert unlike(base, system_of(other, "other")).startswith(words)
    assert "are not in one" in unlike(system_of(fewer, "other"), base).replace(
        "of one are not in other", "are not in one"
    )


def saved(folder: Path, *reports: Report) -> list[Path]:
    return [runs.save(each, folder / f"{each.head}-{k}") for k, each in enumerate(reports)]


def test_the_command_tells_pairs_and_draws_them(sercache: Callable, own_settings: Path) -> None:
    good, bad, same = (
        report("mlp", 0, skill=0.95),
        report("linear", 1, skill=0.2),
        report("svm", 2, skill=0.9),
    )
    folders = saved(own_settings / "runs", good, bad, same)
    done = sercache("compare", *folders, "--plot", own_settings / "p.png", "--page", own_settings / "p.html")
    assert done.code == 0, done.err
    text = " ".join(done.out.split())
    assert "the smallest p that 6 speakers can give is 0.031, and after correction 0.094" in text
    assert (
        "no pair can be called different here: 6 speakers are too few for 3 pairs, compare fewer rows" in text
    )
    assert {path.name for path in own_settings.glob("p.*")} == {"p.png", "p.svg", "p.html"}
    assert "<svg" in (own_settings / "p.html").read_text()
    two = json.loads(sercache("compare", *folders[:2], "--metric", "ua", "--json").out)
    [pair] = two["pairs"]
    assert pair["differs"] is True
    assert pair["test"] == {"p": 2**-5, "smallest": 2**-5, "n": 6, "exact": True}
    assert pair["interval"]["units"] == "speakers"
    rows = sercache("compare", own_settings / "runs", "--format", "csv").out.splitlines()
    assert len(rows) == 1 + 3 * 2
    assert rows[0].startswith("first,second,metric,first scores,second scores,difference,95 % low")


def test_python_compares_folders_and_results(own_settings: Path) -> None:
    good, bad = report("mlp", 0, skill=0.95), report("linear", 1, skill=0.2)
    [folder] = saved(own_settings / "runs", good)
    found = api.compare([folder, api.Result(bad)], metrics=["ua"], progress=False)
    assert [each.differs for each in found.pairs] == [True]
    assert "linear, result 1" in repr(found)
    assert "<table>" in found._repr_html_()
    with pytest.raises(SettingsError, match="takes two runs or more, got 1"):
        api.compare([folder], progress=False)
    with pytest.raises(SettingsError, match="list of run folders"):
        api.compare(str(folder), progress=False)
    with pytest.raises(SettingsError, match="unknown metric of these runs 'uar'"):
        api.compare([folder, folder.parent / folder.name, api.Result(bad)], metrics=["uar"], progress=False)


def heard(name: str, features: dict, *, more: tuple[dict, ...] = ()) -> api.Result:
    """A run that was tested on features of a spec with these fields, and of ``more`` inputs beside."""
    usual = {"encoder": "e", "identity": {}, "sample_rate": 16000, "hop": 320, "corpus": "c", "release": "1"}
    usual |= {"states": ["1"], "dim": 8, "dtype": "float16", "frames": True, "clip": "none"}
    first, *beside = ({"spec": usual | each} for each in (features, *more))
    return api.Result(dataclasses.replace(report(name, 0), features={**first, "beside": beside}))


def test_runs_on_other_sound_are_told_apart() -> None:
    """By clip rule, by what found the speech, by augmentation; of a second input too, and not of a text."""

    def told(*results: api.Result) -> list[str]:
        found = api.compare(list(results), metrics=["ua"], progress=False).table.notes
        return [line for line in found if "sound" in line or "augmented" in line]

    noise = {"augment": {"steps": "gain:3", "version": 1}}
    plain, noisy = heard("mlp", {}), heard("linear", noise)
    [line] = told(plain, noisy)
    assert line == (
        "the runs were not tested on the same sound, so that a difference may be of the sound "
        "(mlp, result 1: clip none; linear, result 2: clip none, augmented by gain:3)"
    )
    assert told(plain, heard("svm", {})) == []
    assert told(noisy, noisy) == [
        "every run was tested on augmented recordings (clip none, augmented by gain:3)"
    ]
    [line] = told(plain, heard("svm", {"clip": "vad+trim:2", "speech": "silero"}))
    assert "svm, result 2: clip vad+trim:2 by silero" in line
    [line] = told(plain, heard("svm", {}, more=({"clip": "trim:1"},)))
    assert "svm, result 2: clip none and clip trim:1" in line
    text = {"clip": "trim:1", "identity": {"modality": "text"}}
    assert told(plain, heard("svm", {}, more=(text,))) == []
    assert told(plain, heard("svm", text)) == []


def test_tables_of_several_rows_say_what_differs_from_the_best() -> None:
    systems = [
        system("good", 0.95, n_speakers=10),
        None,
        system("bad", 0.2, n_speakers=10),
        system("near", 0.93, n_speakers=10),
    ]
    cells, notes = shown.best_column(systems)
    assert cells[0] == "best"
    assert cells[1] is None
    assert str(cells[2]).startswith("yes (p 0.0")
    assert str(cells[3]).startswith("no (p ")
    assert notes[0].startswith("differs from best in UA: sign-flip permutation over 10 speakers")
    assert shown.best_column(systems[:2]) == ([], [])
    nameless = [
        dataclasses.replace(
            each, groups=[[dataclasses.replace(p, speaker="") for p in g] for g in each.groups]
        )
        for each in systems
        if each
    ]
    cells, notes = shown.best_column(nameless)
    assert cells == []
    assert "speakers are not known" in notes[0]
    other = dataclasses.replace(systems[2] or system("", 0), name="other", material=("esd", "task", "folds"))
    cells, notes = shown.best_column([systems[0], other, systems[3]])
    assert (cells[0], cells[1]) == ("best", None)
    assert "not tested against the best: " in notes[-1]
    marks, notes = shown.best_of_groups([systems[0], systems[2], other])
    assert notes[0].startswith("differs from best (good, on corpus): bad yes (p ")
    assert marks["good"] == "best"
    assert str(marks["bad"]).startswith("yes (p ")
    assert "other" not in marks, "nothing is like it"


def test_a_command_that_trains_on_the_same_is_named(advised: list[str]) -> None:
    one, other = report("mlp", 0), report("linear", 1)
    one, other = (dataclasses.replace(r, setup={**r.setup, "frames": False}) for r in (one, other))
    fewer = dataclasses.replace(
        other, predictions=other.predictions[12:], recipe={"lr": 0.5, "select": "dev-loss"}, options={}
    )
    words_of = "linear, result 2 cannot be compared with mlp, result 1: utterances: 6 of 36"
    with pytest.raises(SettingsError, match=words_of) as fault:
        api.compare([api.Result(one), api.Result(fewer)], progress=False)
    assert advised[-1] in str(fault.value)
    words = shlex.split(advised[-1])
    assert words[:6] == ["sercache", "train", "--head", "linear", "--encoder", "wavlm-large"]
    assert "lr=0.5" in words
    assert words[words.index("--protocol") + 1] == "leave-one-speaker-out"
