"""Intervals: of which number, drawn from which units, and none from too few; against a plain loop with scikit-learn."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from make_report import make_report

from sercache import metrics
from sercache.evaluation.scores import scores, summarise
from sercache.record import Classes, Interval, Numbers, Prediction, Report, Run, Summary, Target
from sercache.report import runs

WRITTEN = Path(__file__).parent / "fixtures" / "a1b0434"
N_DRAWS = 60
TARGET = Classes(("a", "b", "c", "d"))
RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "bootstrap", functools.partial(metrics.bootstrap, n_draws=N_DRAWS))


def predictions(
    n_speakers: int, n_folds: int | None = None, *, n_classes: int = 3, skew: bool = False
) -> list[Prediction]:
    """Of two seeds; speaker k is tested in fold k modulo ``n_folds``.

    ``skew``: each speaker lacks a class, most the last one.
    """
    found = []
    for k in range(n_speakers):
        told = [c for c in range(n_classes) if not skew or c != (2 if k % 3 else 0)]
        for u in range(12 + k):
            true = told[u % len(told)]
            for seed in (0, 1):
                said = true if RNG.random() < 0.3 + 0.05 * k else int(RNG.integers(n_classes))
                fold = str(k % (n_folds or n_speakers))
                found.append(Prediction(f"{k}-{u}", fold, seed, true, said, (), f"s{k}"))
    return found


def runs_of(found: Sequence[Prediction], target: Target = TARGET) -> list[Run]:
    places = dict.fromkeys((p.fold, p.seed) for p in found)
    own = {place: [p for p in found if (p.fold, p.seed) == place] for place in places}
    return [Run(*place, scores(each, target), 1, False, 1, ()) for place, each in own.items()]


def summary_of(found: Sequence[Prediction], target: Target = TARGET) -> dict[str, Summary]:
    return summarise(runs_of(found, target), found, target)


def ends(values: Sequence[float]) -> list[float]:
    return np.quantile(values, [0.025, 0.975]).tolist()


def drawn(n_units: int) -> np.ndarray:
    return np.random.default_rng(0).integers(n_units, size=(N_DRAWS, n_units))


THEIRS: dict[str, Callable[[list[int], list[int]], float]] = {
    "wa": sklearn.metrics.accuracy_score,
    "ua": lambda true, said: sklearn.metrics.recall_score(
        true, said, average="macro", labels=sorted(set(true))
    ),
    "macro_f1": lambda true, said: sklearn.metrics.f1_score(true, said, average="macro"),
}


def test_the_pooled_interval_draws_speakers_and_means_over_seeds() -> None:
    found = predictions(7)
    names = sorted({p.speaker for p in found})
    by_draw: dict[str, list[float]] = {name: [] for name in THEIRS}
    for draw in drawn(7):
        held = {
            seed: [p for k in draw for p in found if p.speaker == names[k] and p.seed == seed]
            for seed in (0, 1)
        }
        for name, theirs in THEIRS.items():
            each = [theirs([p.true for p in own], [p.predicted for p in own]) for own in held.values()]
            by_draw[name].append(float(np.mean(each)))
    for name, summary in summary_of(found).items():
        interval = summary.seeds_interval
        assert interval is not None
        assert (interval.n, interval.units) == (7, "speakers")
        np.testing.assert_allclose([interval.low, interval.high], ends(by_draw[name]), rtol=1e-12)


def test_the_interval_of_a_mean_over_folds_draws_folds() -> None:
    found = predictions(12, n_folds=6)
    summary = summary_of(found)["ua"]
    own = [[p for p in found if p.fold == str(k)] for k in range(6)]
    means = [
        np.mean(
            [
                sklearn.metrics.balanced_accuracy_score(
                    [p.true for p in each if p.seed == seed], [p.predicted for p in each if p.seed == seed]
                )
                for seed in (0, 1)
            ]
        )
        for each in own
    ]
    assert summary.folds.mean == pytest.approx(np.mean(means))
    interval = summary.folds_interval
    assert interval is not None
    assert (interval.n, interval.units) == (6, "folds")
    expected = ends([float(np.mean([means[k] for k in draw])) for draw in drawn(6)])
    np.testing.assert_allclose([interval.low, interval.high], expected, rtol=1e-12)
    assert summary.seeds_interval is not None
    assert summary.seeds_interval.counted == "12 speakers"


def test_each_interval_holds_the_number_that_it_is_of() -> None:
    """Two of three speakers lack the hardest class: their folds' UA is a mean over the two easy ones."""
    found = predictions(9, skew=True)
    right = (0.9, 0.9, 0.1)
    found = [
        dataclasses.replace(p, predicted=p.true if RNG.random() < right[p.true] else (p.true + 1) % 3)
        for p in found
    ]
    summary = summary_of(found)["ua"]
    assert abs(summary.folds.mean - summary.seeds.mean) > 0.05
    for aggregate in ("folds", "seeds"):
        interval = summary.interval(aggregate)
        assert interval is not None
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low <= summary.score(aggregate).mean <= interval.high


def test_draws_that_lack_a_class_do_not_count_for_ua() -> None:
    """One speaker says all of class 2: without them UA would be a mean over two classes, another quantity."""
    found = [p for p in predictions(6) if p.true < 2 or p.speaker == "s1"]
    values = []
    for draw in drawn(6):
        if 1 in draw:
            held = [
                [p for k in draw for p in found if p.speaker == f"s{k}" and p.seed == seed] for seed in (0, 1)
            ]
            each = [THEIRS["ua"]([p.true for p in own], [p.predicted for p in own]) for own in held]
            values.append(float(np.mean(each)))
    assert 0 < len(values) < N_DRAWS
    interval = summary_of(found)["ua"].seeds_interval
    assert interval is not None
    np.testing.assert_allclose([interval.low, interval.high], ends(values), rtol=1e-12)


def test_numbers_have_intervals_of_the_mean_over_seeds() -> None:
    found = []
    for k in range(6):
        for u in range(8):
            true = tuple(RNG.normal(size=2).tolist())
            for seed in (0, 1):
                said = tuple((np.array(true) * (0.5 + seed) + RNG.normal(size=2)).tolist())
                found.append(Prediction(f"{k}-{u}", str(k), seed, true, said, speaker=f"s{k}"))
    values: dict[str, list[float]] = {"rho": [], "rho:b": [], "mse": []}
    for draw in drawn(6):
        rho, square = [], []
        for seed in (0, 1):
            held = [p for k in draw for p in found if p.speaker == f"s{k}" and p.seed == seed]
            true, said = (np.array([getattr(p, part) for p in held]) for part in ("true", "predicted"))
            rho.append([scipy.stats.spearmanr(true[:, t], said[:, t]).statistic for t in (0, 1)])
            square.append(np.mean((true - said) ** 2))
        values["rho"].append(float(np.mean(rho)))
        values["rho:b"].append(float(np.mean(rho, axis=0)[1]))
        values["mse"].append(float(np.mean(square)))
    summary = summary_of(found, Numbers(("a", "b")))
    for name, expected in values.items():
        interval = summary[name].seeds_interval
        assert interval is not None
        np.testing.assert_allclose([interval.low, interval.high], ends(expected), rtol=1e-9)


@pytest.mark.parametrize("n_speakers", [1, 2, 4])
def test_below_five_units_there_is_no_interval_but_their_number(n_speakers: int) -> None:
    for summary in summary_of(predictions(n_speakers)).values():
        assert summary.seeds_interval == Interval(None, None, n_speakers, "speakers")
        assert summary.folds_interval == (
            Interval(None, None, n_speakers, "folds") if n_speakers > 1 else None
        )


def test_speakers_that_are_not_known_are_not_made_up() -> None:
    known = predictions(6)
    nameless = [dataclasses.replace(p, speaker="") for p in known]
    summary = summary_of(nameless)["ua"]
    assert summary.seeds_interval is not None
    assert summary.seeds_interval.counted == f"{len({p.id for p in known})} utterances"
    assert summary.folds_interval is None
    some = [p for p in known if p.speaker != "s0"] + [p for p in nameless if p.id.startswith("0-")]
    interval = summary_of(some)["ua"].seeds_interval
    assert interval is not None
    assert (interval.n, interval.units) == (5 + 12, "speakers and utterances")


def test_folds_that_share_some_speakers_have_no_interval_of_their_mean() -> None:
    found = predictions(8, n_folds=2)
    moved = [
        dataclasses.replace(p, fold="1") if p.speaker == "s0" and p.id.endswith("1") else p for p in found
    ]
    assert summary_of(moved)["ua"].folds_interval is None
    assert summary_of(moved)["ua"].seeds_interval is not None


def test_models_that_are_tested_on_the_same_speakers_are_meaned() -> None:
    """As on another corpus: the mean over models, with its speakers drawn."""
    once = predictions(6)
    found = [dataclasses.replace(p, fold=fold) for fold in ("a", "b", "c") for p in once]
    summary = summary_of(found)["wa"]
    assert summary.folds_interval == summary.seeds_interval
    assert summary.folds_interval is not None
    assert summary.folds_interval.counted == "6 speakers"


# Runs of before


def test_a_run_of_before_is_read_without_interval_and_with_its_units() -> None:
    written = WRITTEN / "runs" / "linear"
    assert json.loads((written / "report.json").read_text())["summary"]["ua"]["interval"] is not None
    for summary in runs.load(written).summary.values():
        assert summary.seeds_interval == Interval(None, None, 4, "speakers")
        assert summary.folds_interval is None


def test_a_run_of_before_keeps_an_interval_of_enough_speakers() -> None:
    record = json.loads(json.dumps(make_report(n_folds=6).to_json())) | {"schema": 2}
    for each in record["summary"].values():
        del each["folds_interval"], each["seeds_interval"]
        each["interval"] = [0.5, 0.75]
    read = Report.from_json(record)
    assert read.summary["ua"].seeds_interval == Interval(0.5, 0.75, 6, "speakers")
    for each in record["summary"].values():
        each["interval"] = None
    for p in record["predictions"]:
        p["speaker"] = ""
    assert Report.from_json(record).summary["ua"].seeds_interval is None
