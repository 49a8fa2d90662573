"""Evaluation of tasks that give numbers: attributes, and shares of raters."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.stats
from evaluations import evaluated
from fake_store import FakeStore, make_talk
from torch import Tensor, nn

from sercache.datasets import Corpus
from sercache.errors import RecipeError, SettingsError, UnknownNameError
from sercache.evaluation import Data, Extra, gather
from sercache.evaluation.scores import scores, summarise, undefined
from sercache.heads import linear
from sercache.recipe import Recipe, Setup
from sercache.record import Interval, Numbers, Prediction, Report, Run
from sercache.report import plots, tables

pytestmark = pytest.mark.usefixtures("few_draws")

SETUP = Setup(
    encoder="tiny",
    dataset="talk",
    protocol="leave-one-speaker-out",
    states="blocks",
    frames=False,
    task="shares",
)
RECIPE = Recipe(loss="mse", lr=0.05, max_epochs=40, batch_size=16, select="last-epoch")
N_EACH = 16
TARGETS = ("bored", "glad")


def talk_of_numbers(n_speakers: int = 3, n_clips: int = 1) -> tuple[Corpus, FakeStore]:
    """Each utterance's shares are linear in its only state's mean."""
    corpus, store = make_talk(n_speakers=n_speakers, n_each=N_EACH, n_layers=1, n_clips=n_clips)
    utterances = []
    for u in corpus.utterances:
        means = [x[0].mean(0) for id, x in store.frames.items() if id.partition("#")[0] == u.id]
        a, b = np.mean(means, axis=0)[:2]
        shares = {"bored": 0.5 + 0.1 * float(a), "glad": 0.3 - 0.1 * float(b)}
        utterances.append(dataclasses.replace(u, soft_label=shares))
    return dataclasses.replace(corpus, utterances=tuple(utterances)), store


def run(
    setup: Setup = SETUP, recipe: Recipe = RECIPE, head: type[nn.Module] = linear.Head, **options
) -> Report:  # type: ignore[no-untyped-def]
    corpus, store = talk_of_numbers()
    return evaluated(head, corpus, store, setup, recipe, **options).report


def test_numbers_are_learned_and_scored() -> None:
    report = run()
    assert (report.targets, report.classes, report.confusion) == (TARGETS, (), ())
    assert report.main_metric == "rho"
    assert set(report.summary) == {f"{m}{t}" for m in ("rho", "ccc", "mse") for t in ("", ":bored", ":glad")}
    assert report.summary["rho"].seeds.mean > 0.8
    truth, predicted = (
        np.array([getattr(p, part) for p in report.predictions]) for part in ("true", "predicted")
    )
    assert truth.shape == (48, 2)
    for k, name in enumerate(TARGETS):
        theirs = scipy.stats.spearmanr(truth[:, k], predicted[:, k]).statistic
        assert report.summary[f"rho:{name}"].seeds.mean == pytest.approx(theirs)
        assert report.summary[f"mse:{name}"].seeds.mean == pytest.approx(
            ((truth - predicted)[:, k] ** 2).mean()
        )
    both = [report.summary[f"ccc:{name}"].seeds.mean for name in TARGETS]
    assert report.summary["ccc"].seeds.mean == pytest.approx(np.mean(both))
    assert report.summary["rho"].seeds_interval == Interval(None, None, 3, "speakers")
    assert Report.from_json(report.to_json()) == report


def test_one_target_can_be_picked() -> None:
    report = run(dataclasses.replace(SETUP, target="glad"))
    assert report.targets == ("glad",)
    assert report.summary["rho"].seeds == report.summary["rho:glad"].seeds
    corpus, _ = talk_of_numbers()
    true = {u.id: u.soft_label["glad"] for u in corpus.utterances if u.soft_label}
    assert all(p.true == (pytest.approx(true[p.id]),) for p in report.predictions)
    with pytest.raises(UnknownNameError, match="did you mean glad"):
        run(dataclasses.replace(SETUP, target="glat"))
    with pytest.raises(SettingsError, match="gives classes; choose another task"):
        run(dataclasses.replace(SETUP, task="4class", target="glad"))


def test_numbers_of_clips_are_averaged() -> None:
    corpus, store = talk_of_numbers(n_clips=2)
    material = gather(Data(corpus, (store,)), dataclasses.replace(SETUP, clip="split:5"))
    assert len(material.main.view) == 96
    targets = material.main.view.targets
    assert targets is not None
    np.testing.assert_array_equal(targets[0::2], targets[1::2])
    report = evaluated(linear.Head, corpus, store, SETUP, RECIPE).report
    assert len(report.predictions) == 48


def test_loss_and_task_must_fit() -> None:
    with pytest.raises(
        RecipeError, match="task shares gives numbers, which loss=focal does not train; set loss=mse or ccc"
    ):
        run(recipe=dataclasses.replace(RECIPE, loss="focal"))
    with pytest.raises(RecipeError, match="task 4class gives classes, which loss=ccc does not train"):
        run(dataclasses.replace(SETUP, task="4class"), dataclasses.replace(RECIPE, loss="ccc"))


class Flat(nn.Module):
    """Says the same of everything."""

    def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
        super().__init__()
        self.value = nn.Parameter(Tensor(n_outputs).fill_(0.4))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.value.expand(len(x), -1) * 1


def test_constant_predictions_count_as_no_correlation_and_are_told() -> None:
    report = run(head=Flat)
    assert report.summary["rho"].folds.mean == 0
    [note] = report.notes
    assert note.startswith("rho is not defined for 6 of 6 scores")
    assert "first: fold s0, seed 0, bored" in note
    assert run().notes == ()


def test_numbers_by_hand() -> None:
    def said(fold: str, truth: float, value: float) -> Prediction:
        return Prediction(f"{fold}{truth}", fold, 0, (truth, 1.0), (value, value), speaker=fold)

    found = [said("a", 0.0, 0.1), said("a", 1.0, 0.2), said("b", 0.5, 0.3), said("b", 0.7, 0.3)]
    assert undefined(found[:2], Numbers(("x", "y"))) == ["y"]
    assert undefined(found[2:], Numbers(("x", "y"))) == ["x", "y"]
    a = scores(found[:2], Numbers(("x", "y")))
    assert (a["rho:x"], a["rho:y"], a["rho"]) == (1, 0, 0.5)
    assert a["mse:x"] == pytest.approx((0.1**2 + 0.8**2) / 2)
    runs = [
        Run(f, 0, scores([p for p in found if p.fold == f], Numbers(("x", "y"))), 1, False, 1, ())
        for f in "ab"
    ]
    rho = summarise(runs, found, Numbers(("x", "y")))["rho:x"]
    assert (rho.folds.mean, rho.folds.n) == (0.5, 2)
    assert rho.seeds.mean == pytest.approx(
        scipy.stats.spearmanr([0, 1, 0.5, 0.7], [0.1, 0.2, 0.3, 0.3]).statistic
    )


def test_numbers_of_another_corpus() -> None:
    corpus, store = talk_of_numbers(n_speakers=5)
    there = [u for u in corpus.utterances if u.speaker in ("s3", "s4")]
    moved = tuple(dataclasses.replace(u, id=f"x{u.id}") for u in there)
    abroad = dataclasses.replace(corpus, name="abroad", utterances=moved)
    extra = Extra(abroad, FakeStore({f"x{u.id}": store.frames[u.id] for u in there}, corpus="abroad"))
    report = run(test_on=[extra])
    [found] = report.cross_corpus
    assert (found.task, found.classes, found.confusion) == ("shares", (), ())
    assert found.summary["rho"].folds.mean > 0.8
    assert found.summary["rho:glad"].folds.n == 3
    assert set(plots.figures(report)) >= {"scatter", "scatter-on-abroad"}
    assert tables.cross_corpus_table(report).rows[0][3] == found.summary["rho"].folds
    with pytest.raises(SettingsError, match="numbers are trained here and abroad has classes"):
        run(test_on=[dataclasses.replace(extra, task="4class")])
    fewer = tuple(dataclasses.replace(u, soft_label={"glad": 0.5, "tense": 0.1}) for u in moved)
    with pytest.raises(SettingsError, match="has the targets glad, tense; expected bored, glad"):
        run(test_on=[dataclasses.replace(extra, corpus=dataclasses.replace(abroad, utterances=fewer))])
    one = run(dataclasses.replace(SETUP, target="glad"), test_on=[extra])
    assert one.cross_corpus[0].summary["rho"] == one.cross_corpus[0].summary["rho:glad"]


def test_numbers_have_no_labels_and_a_report_one_target() -> None:
    corpus, store = talk_of_numbers()
    material = gather(Data(corpus, (store,)), SETUP)
    assert material.target == Numbers(TARGETS)
    truth = material.main.truth
    assert not truth.labels
    assert {len(value) for value in truth.values.values()} == {len(TARGETS)}
    assert run().target == material.target
