"""Calibration, temperature, coverage and breakdowns: against scikit-learn, scipy and plain loops."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import sklearn.calibration
import sklearn.metrics
from make_report import make_report
from test_pictures import outside

import sercache as api
from sercache import metrics
from sercache.errors import SettingsError
from sercache.record import Interval, Report
from sercache.report import breakdown, page, plots, probabilities, runs
from sercache.statistics import (
    N_BINS,
    Said,
    aurc,
    bins,
    brier,
    ece,
    is_at_end,
    log_loss,
    over_units_by,
    surest,
    temperature,
)

RNG = np.random.default_rng(7)


def some(n: int = 400, sharpness: float = 1.0, n_classes: int = 4) -> Said:
    """Probabilities that are right as often as they say, with logits times ``sharpness``."""
    logits = RNG.normal(size=(n, n_classes)) * 1.5
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = np.array([RNG.choice(n_classes, p=row) for row in chances])
    return Said(truth, chances).at(1 / sharpness)


def test_scores_of_probabilities_are_those_of_scikit_learn() -> None:
    found = some()
    assert log_loss(found).mean() == pytest.approx(sklearn.metrics.log_loss(found.truth, found.chances))
    every = [sklearn.metrics.brier_score_loss(found.truth == k, found.chances[:, k]) for k in range(4)]
    assert brier(found).mean() == pytest.approx(sum(every))


def test_bins_and_their_error_are_those_of_a_plain_loop() -> None:
    found = some()
    n, sure, right = bins(found)
    total = 0.0
    for k in range(N_BINS):
        own = [u for u in range(len(found.truth)) if k / N_BINS < max(found.chances[u]) <= (k + 1) / N_BINS]
        assert n[k] == len(own)
        if own:
            hits = np.mean([found.chances[u].argmax() == found.truth[u] for u in own])
            total += len(own) / len(found.truth) * abs(hits - np.mean([max(found.chances[u]) for u in own]))
    assert ece(found) == pytest.approx(total)
    share, mean = sklearn.calibration.calibration_curve(found.right, found.sure, n_bins=N_BINS)
    np.testing.assert_allclose(right[n > 0], share)
    np.testing.assert_allclose(sure[n > 0], mean)
    twice = Said(np.repeat(found.truth, 2), np.repeat(found.chances, 2, axis=0))
    assert ece(found, np.full(len(found.truth), 2.0)) == pytest.approx(ece(twice))


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 3.0])
def test_the_temperature_undoes_what_made_a_head_too_sure(sharpness: float) -> None:
    found = some(3000, sharpness)
    fitted = temperature(found)
    theirs = scipy.optimize.minimize(
        lambda t: sklearn.metrics.log_loss(found.truth, found.at(float(t[0])).chances),
        [1.0],
        method="Nelder-Mead",
    )
    assert fitted == pytest.approx(theirs.x[0], rel=1e-3)
    assert fitted == pytest.approx(sharpness, rel=0.15)
    assert (found.at(fitted).chances.argmax(1) == found.chances.argmax(1)).all()
    assert ece(found.at(fitted)) < max(ece(found), 0.05)


def test_certain_heads_have_a_temperature_too() -> None:
    certain = Said(np.array([0, 1, 0]), np.eye(2)[[0, 1, 1]])
    assert math.isfinite(temperature(certain))
    sure = Said(np.array([0, 1]), np.array([[0.6, 0.4], [0.3, 0.7]]))
    assert is_at_end(temperature(sure)), "all is right: the surer the better"
    assert not is_at_end(temperature(some()))
    assert 0 < temperature(Said(np.array([0, 1]), np.eye(2))) < 1


def test_the_area_under_risk_and_coverage_is_that_of_a_plain_loop() -> None:
    found = some(60)
    order = sorted(range(60), key=lambda u: -max(found.chances[u]))
    risks = [np.mean([found.chances[u].argmax() != found.truth[u] for u in order[:k]]) for k in range(1, 61)]
    assert aurc(found) == pytest.approx(np.mean(risks))
    assert surest(found).tolist() == order


# Of a run


def report(*, dev: bool = True, n_folds: int = 6) -> Report:
    made = make_report(n_folds, layers=0)
    own = tuple(dataclasses.replace(p, predicted=int(np.argmax(p.probabilities))) for p in made.predictions)
    folds = [fold.name for fold in made.folds]
    following = dict(zip(folds, [*folds[1:], folds[0]], strict=True))
    said = tuple(
        dataclasses.replace(p, fold=fold) for fold in folds for p in own if p.fold == following[fold]
    )
    return dataclasses.replace(made, predictions=own, dev_predictions=said if dev else ())


def test_temperatures_come_from_the_dev_part_of_each_training_alone() -> None:
    made = report()
    found = probabilities.calibrated(made)
    assert found.after is not None
    for seed, group, after in zip(made.seeds, found.groups, found.after, strict=True):
        for p, row in zip(group, after.chances, strict=True):
            dev = [d for d in made.dev_predictions if (d.fold, d.seed) == (p.fold, seed)]
            assert {d.speaker for d in dev}.isdisjoint({p.speaker})
            t = temperature(Said(np.array([d.true for d in dev]), np.array([d.probabilities for d in dev])))
            powers = np.array(p.probabilities) ** (1 / t)
            np.testing.assert_allclose(row, powers / powers.sum(), rtol=1e-6)
    # What is tested decides nothing: other labels there give the same temperatures.
    other = dataclasses.replace(
        made, predictions=tuple(dataclasses.replace(p, true=0) for p in made.predictions)
    )
    assert probabilities.calibrated(other).temperatures == found.temperatures


def test_the_interval_of_the_error_draws_speakers() -> None:
    made = report()
    table = probabilities.calibration_table(made)
    rows = {(row[0], row[1]): row for row in table.rows}
    interval = rows["as trained", "ECE"][3]
    assert isinstance(interval, Interval)
    names = sorted({p.speaker for p in made.predictions})
    found = probabilities.calibrated(made)
    draws = []
    for draw in np.random.default_rng(0).integers(6, size=(1000, 6))[:50]:
        each = []
        for group in found.groups:
            own = [p for k in draw for p in group if p.speaker == names[k]]
            each.append(ece(Said(np.array([p.true for p in own]), np.array([p.probabilities for p in own]))))
        draws.append(np.mean(each))
    small = pytest.MonkeyPatch()
    bootstrap = metrics.bootstrap
    small.setattr(metrics, "bootstrap", lambda measure, n: bootstrap(measure, n, n_draws=50))
    own = over_units_by(found.groups, ["ECE"], lambda k, times: [ece(found.before[k], times)])["ECE"]
    small.undo()
    np.testing.assert_allclose((own.low, own.high), np.quantile(draws, [0.025, 0.975]), rtol=1e-9)
    assert (interval.n, interval.units) == (6, "speakers")


def test_a_run_says_why_there_is_no_temperature() -> None:
    old = probabilities.calibration_table(report(dev=False), "sercache train --head superb")
    assert "saved without its dev predictions; to have them: sercache train --head superb" in old.notes[-1]
    assert {row[0] for row in old.rows} == {"as trained"}
    none = report(dev=False)
    none = dataclasses.replace(none, folds=tuple(dataclasses.replace(f, n_dev=0) for f in none.folds))
    assert "never fitted on what is tested" in probabilities.calibration_table(none).notes[-1]


def test_answering_the_surest_is_scored_on_these_alone() -> None:
    made = report()
    table = probabilities.selective_table(made)
    assert [row[0] for row in table.rows] == ["100%", "90%", "80%", "70%", "60%", "50%"]
    of_seed = []
    for seed in made.seeds:
        own = sorted((p for p in made.predictions if p.seed == seed), key=lambda p: -max(p.probabilities))[
            :18
        ]
        of_seed.append(
            sklearn.metrics.balanced_accuracy_score([p.true for p in own], [p.predicted for p in own])
        )
    assert table.rows[-1][3].mean == pytest.approx(np.mean(of_seed))  # type: ignore[union-attr]


def test_the_interval_of_answering_the_surest_draws_speakers_who_answer_anew() -> None:
    made = report(n_folds=6)
    speakers = sorted({p.speaker for p in made.predictions})
    draws = np.random.default_rng(0).integers(len(speakers), size=(1000, len(speakers)))
    found = []
    for draw in draws:
        of_seed = []
        for seed in made.seeds:
            own = sorted((p for p in made.predictions if p.seed == seed), key=lambda p: -max(p.probabilities))
            drawn = [p for p in own for k in draw if p.speaker == speakers[k]]
            answered = drawn[: round(len(drawn) / 2)]
            of_seed.append(np.mean([p.true == p.predicted for p in answered]))
        found.append(np.mean(of_seed))
    table = probabilities.selective_table(made)
    ends = table.rows[-1][table.columns.index("WA 95 %")]
    assert isinstance(ends, Interval)
    assert (ends.low, ends.high) == pytest.approx(tuple(np.percentile(found, [2.5, 97.5])), abs=1e-12)
    assert ends.n == len(speakers)


def test_parts_are_scored_alone_and_the_worst_is_named() -> None:
    made = report(n_folds=12)
    sexes = {p.id: "F" if int(p.speaker.split()[1]) <= 6 else "M" for p in made.predictions}
    weak = tuple(
        dataclasses.replace(p, predicted=(p.true + 1) % 3 if sexes[p.id] == "M" and i % 3 else p.true)
        for i, p in enumerate(made.predictions)
    )
    made = dataclasses.replace(made, predictions=weak)
    table = breakdown.breakdown_table(made, "sex", sexes)
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    for sex in "FM":
        each = [
            sklearn.metrics.balanced_accuracy_score(
                *zip(
                    *[(p.true, p.predicted) for p in weak if sexes[p.id] == sex and p.seed == seed],
                    strict=True,
                )
            )
            for seed in made.seeds
        ]
        assert rows[sex]["UA"].mean == pytest.approx(np.mean(each))  # type: ignore[union-attr]
        assert (rows[sex]["speakers"], rows[sex]["utterances"]) == (6, 36)
    gap = rows["F"]["UA"].mean - rows["M"]["UA"].mean  # type: ignore[union-attr]
    [note] = [note for note in table.notes if note.startswith("worst sex by UA: M")]
    assert f"{gap:.4f} below all others together (95 % 0." in note
    by_speaker = breakdown.breakdown_table(made, "speaker", {p.id: p.speaker for p in made.predictions})
    assert all(isinstance(row[-1], Interval) and row[-1].low is None for row in by_speaker.rows)
    assert "no interval from fewer than 5 speakers" in " ".join(by_speaker.notes)
    fewer = {id: sex for id, sex in sexes.items() if not id.startswith("speaker 1/")}
    assert "6 utterances are in no row" in " ".join(breakdown.breakdown_table(made, "sex", fewer).notes)


def test_a_part_that_lacks_a_class_is_not_called_worst_or_best() -> None:
    made = report(n_folds=12)
    value = {p.id: "easy" if p.true == 0 else "F" if "speaker 1" in p.id else "M" for p in made.predictions}
    table = breakdown.breakdown_table(made, "kind", value)
    [note] = [note for note in table.notes if note.startswith("worst")]
    assert "easy" not in note
    assert "among the 2 rows that hold 2 classes" in note


@pytest.mark.parametrize(
    ("seconds", "name"),
    [(0.4, "under 2 s"), (2.0, "2 to 4 s"), (3.99, "2 to 4 s"), (7.0, "4 to 8 s"), (8.0, "8 s and more")],
)
def test_bands_of_length(seconds: float, name: str) -> None:
    assert breakdown.band(seconds) == name


def test_dev_predictions_are_kept_and_runs_of_before_are_read(tmp_path: Path) -> None:
    made = report()
    folder = runs.save(made, tmp_path / "run")
    assert runs.load(folder).dev_predictions == made.dev_predictions
    assert "dev_predictions" not in json.loads((folder / "report.json").read_text())
    (folder / "predictions-dev.csv").unlink()
    assert runs.load(folder) == dataclasses.replace(made, dev_predictions=())


def test_the_page_and_the_picture_hold_them(undrawn: None) -> None:
    made = report()
    text = page.page(made)
    for heading in ("Calibration", "Answering the surest", "Speakers"):
        assert f"<h2>{heading}</h2>" in text
    figure = plots.figures(made)["calibration"]
    assert outside(figure) == []
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert any(str(label).startswith("temperature of the dev parts: ECE") for label in labels)


# The command


def test_the_command_tells_of_one_run(sercache: Callable, own_settings: Path) -> None:
    folder = runs.save(report(), own_settings / "runs" / "made")
    done = sercache("report", folder, "--calibration", "--by", "speaker")
    assert done.code == 0, done.err
    for words in ("with temperature", "AURC", "worst speaker by UA"):
        assert words in " ".join(done.out.split())
    tables = json.loads(sercache("report", folder, "--calibration", "--json").out)
    assert [each["title"].rsplit(": ")[-1] for each in tables] == ["calibration", "answering the surest"]
    assert tables[0]["rows"][0]["95 %"]["units"] == "speakers"
    assert sercache("report", folder, folder, "--by", "speaker").code == 2
    found = api.details(folder, by=["speaker"], progress=False)
    assert found.tables[0].columns[0] == "speaker"
    assert "<table>" in found._repr_html_()
    with pytest.raises(SettingsError, match="tested on emodb alone"):
        api.details(folder, by=["corpus"], progress=False)
    done = sercache("report", folder, "--by", "corpus", "--by", "speaker")
    assert done.code == 0, "what can be told is told"
    assert "a table is left out: these heads were tested on emodb alone" in " ".join(done.err.split())
    assert "worst speaker by UA" in " ".join(done.out.split())


def test_a_trained_run_keeps_what_it_says_of_dev(
    sercache: Callable, cached: Path, own_settings: Path
) -> None:
    train = ["train", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest", "--dev", "next"]
    done = sercache(*train, "--set", "max-epochs=1", "--seeds", 1, "--name", "made")
    assert done.code == 0, done.err
    [folder] = runs.find(own_settings / "runs")
    made = runs.load(folder)
    for run in made.runs:
        own = [p for p in made.dev_predictions if (p.fold, p.seed) == (run.fold, run.seed)]
        kept = run.history[run.best_epoch - 1]
        ua = metrics.ua(np.array([p.true for p in own]), np.array([p.predicted for p in own]))
        assert ua == pytest.approx(kept["dev_ua"])
        assert not {p.id for p in own} & {p.id for p in made.predictions if p.fold == run.fold}
    done = sercache("report", folder, "--by", "duration", "--calibration")
    assert done.code == 0, done.err
    assert "with temperature" in done.out
    # A run of before is told how to have them: its trainings are taken as they are.
    (folder / "predictions-dev.csv").unlink()
    again = " ".join(sercache("report", folder, "--calibration").out.split())
    command = again.partition("to have them: sercache ")[2].partition(" linear on logmel")[0].split()
    done = sercache(*command)
    assert done.code == 0, done.err
    assert "finished before" in done.out
    assert runs.load(own_settings / "runs" / "made-with-dev").dev_predictions == made.dev_predictions


def test_points_of_a_sweep_are_compared_by_their_dev_parts(sercache: Callable, cached: Path) -> None:
    sweep = ["sweep", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest", "--dev", "next"]
    done = sercache(*sweep, "--grid", "lr=1e-3,1e-1", "--set", "max-epochs=1", "--seeds", 1, "--name", "grid")
    assert done.code == 0, done.err
    [head] = [line for line in done.out.splitlines() if line.startswith("lr ")]
    assert head.endswith("differs from best")
    assert "note: dev parts: differs from best in UA: sign-flip permutation over" in done.out
