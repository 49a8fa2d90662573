"""Heads that scikit-learn solves, and the probe of every state."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Outcome
from evaluations import evaluated
from fake_store import make_talk
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sercache.evaluation.solving import solve
from sercache.heads import logistic, svm
from sercache.recipe import Recipe, Setup
from sercache.report import page, plots, runs, tables
from sercache.training import build, predict
from sercache.views import open_view

pytestmark = pytest.mark.usefixtures("few_draws")

SETUP = Setup(encoder="tiny", dataset="talk", protocol="leave-one-speaker-out", states="blocks", frames=False)
RECIPE = Recipe(select="last-epoch")


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize(
    ("module", "theirs"),
    [(logistic, LogisticRegression(C=0.01, max_iter=1000)), (svm, LinearSVC(C=1e-3, random_state=3))],
)
def test_predictions_are_those_of_scikit_learn(module, theirs, n_classes: int) -> None:  # type: ignore[no-untyped-def]
    corpus, store = make_talk(n_speakers=4, signal=1.0)
    names = sorted(set(corpus.labels().values()))[:n_classes]
    labels = {id: names.index(name) for id, name in corpus.labels().items() if name in names}
    view = open_view(store, labels, states="all", frames=False)
    head = solve(build(module.Head, view, n_classes, 3), view, 3).head
    flat = store.pooled(list(labels)).reshape(len(labels), -1).astype(float)
    fitted = make_pipeline(StandardScaler(), theirs).fit(flat, view.labels)
    logits = predict(head, view)
    np.testing.assert_array_equal(logits.argmax(1), fitted.predict(flat))
    ours = logits if n_classes > 2 else logits[:, 1] - logits[:, 0]
    np.testing.assert_allclose(ours, fitted.decision_function(flat), rtol=1e-4, atol=1e-5)


def test_means_and_frames_give_one_solution() -> None:
    corpus, store = make_talk(n_speakers=3)
    labels = {id: k % 4 for k, id in enumerate(corpus.labels())}
    found = []
    for frames in (False, True):
        view = open_view(store, labels, states="all", frames=frames)
        found.append(predict(solve(build(logistic.Head, view, 4, 0), view, 0).head, view))
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_a_feature_that_never_varies_and_a_class_that_is_absent() -> None:
    pooled, labels = torch.randn(30, 2, 3), torch.arange(30) % 2 * 2
    pooled[:, 0, 1] = 0.7
    head = logistic.Head(2, 3, 3)
    head.solve(pooled, labels, 0)
    outputs = head(pooled[:, :, None], torch.ones(30, 1, dtype=torch.bool))
    assert torch.isfinite(outputs).all()
    assert set(outputs.argmax(1).tolist()) <= {0, 2}
    assert head.scale.view(2, 3)[0, 1] == 0


def test_a_solved_head_is_judged_shown_and_kept_like_any_other(tmp_path: Path) -> None:
    corpus, store = make_talk(n_speakers=3)
    done = evaluated(logistic.Head, corpus, store, SETUP, RECIPE, head_name="logistic")
    report, kept = done.report, done.weights
    assert report.summary["ua"].folds.mean > 0.6
    assert "there are no epochs" in report.selection
    assert not any("solver" in line for line in report.deviations)
    assert all(run.history == () for run in report.runs)
    assert runs.load(runs.save(report, tmp_path / "run", weights=kept)) == report
    assert set(plots.figures(report)) == {"calibration", "confusion", "folds"}
    assert "no epochs" in tables.table([report])
    page.write(report, tmp_path / "page.html")


def test_what_the_solver_warns_of_is_told() -> None:
    class Stops(logistic.Head):
        def solve(self, pooled: torch.Tensor, labels: torch.Tensor, seed: int) -> None:
            self.fill(LogisticRegression(C=1e6, max_iter=1), pooled, labels)

    corpus, store = make_talk(n_speakers=3)
    report = evaluated(Stops, corpus, store, SETUP, RECIPE, head_name="stops").report
    assert any("the solver warns: lbfgs failed to converge" in line for line in report.deviations)


def test_through_the_command_line(
    sercache: Callable[..., Outcome],
    manifest: Path,
    tmp_path: Path,
) -> None:
    made = sercache(
        "extract", "--encoder", "logmel", "--dataset", "manifest", "--root", manifest, "--pooled-only"
    )
    assert made.code == 0, made.err
    train = ["train", "--encoder", "logmel", "--dataset", "manifest", "--states", "all"]
    for head in ("logistic", "svm"):
        done = sercache(*train, "--head", head, "--option", "c=0.1", "--name", head)
        assert done.code == 0, done.err
        assert runs.load(tmp_path / "runs" / head).summary["ua"].seeds.mean > 0.9
    refused = sercache(*train, "--head", "svm", "--set", "lr=1")
    assert refused.code == 2
    assert "svm is solved and has no recipe; it has options, given by --option (c, balanced)" in refused.err

    probed = sercache("probe", "--encoder", "logmel", "--dataset", "manifest")
    assert probed.code == 0, probed.err
    [folder] = (tmp_path / "runs").glob("probe-logmel-*")
    assert {path.name for path in folder.iterdir()} == {
        f"probe.{kind}" for kind in ("md", "csv", "tex", "png", "svg", "json")
    }
    with (folder / "probe.csv").open() as file:
        rows = list(csv.DictReader(file))
    alone = sercache(*train, "--head", "logistic", "--states", rows[0]["state"], "--name", "alone")
    assert alone.code == 0, alone.err
    expected = runs.load(tmp_path / "runs" / "alone").summary["ua"]
    assert float(rows[0]["UA"]) == expected.seeds.mean
    said = " ".join(probed.out.split())
    for note in (
        "C = 0.01 fixed",
        "the head standardises what it reads by the training part of each fold",
        "nothing is selected",
        "no test speaker occurs in a training or dev part (checked)",
        "(4 speakers)",
        "no interval from fewer than 5 units",
    ):
        assert note in said
