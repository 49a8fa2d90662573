"""Several inputs side by side, other corpora, and the protocol in which everything trains."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluations import evaluated
from fake_store import CLASSES, FakeStore, make_corpus, make_talk
from safetensors.torch import load_file
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor, nn

from sercache.datasets import Corpus
from sercache.errors import MissingFeaturesError, SettingsError, StoreError
from sercache.evaluation import Data, Extra, How, evaluate_cross_corpus, gather
from sercache.evaluation.cross_corpus import read_scalings
from sercache.evaluation.layers import layer_weights
from sercache.evaluation.material import fold_views
from sercache.heads import linear
from sercache.nn import masked_mean
from sercache.recipe import Recipe, Setup
from sercache.record import Report, StartRecord
from sercache.report import runs as run_folders
from sercache.text import reading_as
from sercache.training import build

pytestmark = pytest.mark.usefixtures("few_draws")

SETUP = Setup(encoder="tiny", dataset="talk", protocol="leave-one-speaker-out", states="blocks", frames=False)
RECIPE = Recipe(lr=0.05, max_epochs=8, batch_size=16, select="last-epoch")


def other(n_classes: int = 4, name: str = "abroad") -> Extra:
    """Two more speakers of the same kind as a corpus of its own, with its first ``n_classes`` classes."""
    corpus, store = make_talk(n_speakers=5)
    others = [u for u in corpus.utterances if u.speaker in ("s3", "s4")]
    kept = [u for u in others if u.raw_label in CLASSES[:n_classes]]
    ids = [f"{name}-{u.id}" for u in kept]
    frames = {new: store.frames[u.id] for new, u in zip(ids, kept, strict=True)}
    made = make_corpus(ids, [u.raw_label for u in kept], [f"{name}{u.speaker}" for u in kept], name)
    return Extra(made, FakeStore(frames, corpus=name))


def run(*test_on: Extra, head: type[nn.Module] = linear.Head, recipe: Recipe = RECIPE, **changes) -> Report:  # type: ignore[no-untyped-def]
    corpus, store = make_talk(n_speakers=3)
    return evaluated(head, corpus, store, SETUP, recipe, test_on, **changes).report


def test_every_head_is_tested_on_all_of_another_corpus() -> None:
    extra = other()
    report = run(extra, seeds=(0, 1))
    [there] = report.cross_corpus
    assert (there.dataset, there.task, there.classes) == ("abroad", "4class", CLASSES)
    assert len(there.predictions) == 3 * 2 * 16
    labels = extra.corpus.labels()
    assert all(report.classes[p.true] == labels[p.id] for p in there.predictions)
    by_fold = []
    for fold in ("s0", "s1", "s2"):
        own = [[p for p in there.predictions if (p.fold, p.seed) == (fold, s)] for s in (0, 1)]
        by_fold.append(
            np.mean([balanced_accuracy_score([p.true for p in o], [p.predicted for p in o]) for o in own])
        )
    assert there.summary["ua"].folds.mean == pytest.approx(np.mean(by_fold))
    assert there.summary["ua"].folds.std == pytest.approx(np.std(by_fold, ddof=1))
    assert np.sum(there.confusion) == 96
    assert len(there.layer_weights) == 6
    assert report.setup["test_on"] == ["abroad:4class"]
    # The main result is what it is without the other corpus.
    alone = run(seeds=(0, 1))
    assert (report.summary, report.predictions) == (alone.summary, alone.predictions)


def test_a_class_that_the_other_corpus_lacks_is_never_invented() -> None:
    [there] = run(other(n_classes=3)).cross_corpus
    assert there.classes == CLASSES[:3]
    assert len(there.predictions[0].probabilities) == 4
    truth, predicted = ([getattr(p, part) for p in there.predictions] for part in ("true", "predicted"))
    assert sum(there.confusion[3]) == 0
    found = [np.mean([p == t for t, p in zip(truth, predicted, strict=True) if t == c]) for c in range(3)]
    assert there.summary["ua"].seeds.mean == pytest.approx(np.mean(found))
    assert any("has no sadness" in note for note in there.notes)


@pytest.mark.parametrize("normalise", ["none", "global", "speaker"])
def test_which_statistics_another_corpus_is_normalised_by(normalise: str) -> None:
    corpus, store = make_talk(n_speakers=3)
    extra = other()
    material = gather(
        Data(corpus, (store,), test_on=(extra,)), dataclasses.replace(SETUP, normalise=normalise)
    )
    views = fold_views(material, material.folds[0], normalise)  # type: ignore[arg-type]
    x, _ = views.cross_corpus[0].batch(np.arange(16))
    raw = np.stack([extra.store.frames[id].mean(1) for id in extra.corpus.by_id()])  # type: ignore[attr-defined]
    if normalise == "none":
        np.testing.assert_allclose(x[:, :, 0], raw, rtol=1e-5, atol=1e-6)
    elif normalise == "global":
        train = np.concatenate([store.frames[id] for id in material.folds[0].train], axis=1).astype(float)
        mean, std = train.mean(1), train.std(1)
        np.testing.assert_allclose(x[:, :, 0], (raw - mean) / std, rtol=1e-4, atol=1e-4)
    else:
        first = np.concatenate(list(extra.store.frames.values())[:8], axis=1)  # type: ignore[attr-defined]
        expected = (raw[:8] - first.mean(1)) / first.std(1)
        np.testing.assert_allclose(x[:8, :, 0], expected, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_tested_on_another_corpus_is_refused() -> None:
    corpus, store = make_talk(n_speakers=3)
    with pytest.raises(SettingsError, match="24 utterances of talk are to be tested on"):
        run(Extra(corpus, store))
    with pytest.raises(SettingsError, match="named twice"):
        run(other(), other())
    strange = other()
    labels = {
        u.raw_label: "rage" if u.raw_label == "anger" else u.raw_label for u in strange.corpus.utterances
    }
    info = dataclasses.replace(strange.corpus.info, tasks={"4class": labels})
    with pytest.raises(SettingsError, match="classes that are not trained here: rage"):
        run(dataclasses.replace(strange, corpus=dataclasses.replace(strange.corpus, info=info)))
    foreign = dataclasses.replace(strange, store=FakeStore(strange.store.frames, identity={"source": "else"}))  # type: ignore[attr-defined]
    with pytest.raises(StoreError, match="other weights or settings"):
        run(foreign)


def test_classes_spelt_otherwise_in_another_corpus_are_those_trained() -> None:
    """Anger there is anger here, as within one table; kept apart they are no class that was trained."""
    plain = other()
    titled = {u.raw_label: f"{u.raw_label.title()} " for u in plain.corpus.utterances}
    info = dataclasses.replace(plain.corpus.info, tasks={"4class": titled})
    spelt = dataclasses.replace(plain, corpus=dataclasses.replace(plain.corpus, info=info))
    [expected] = run(plain).cross_corpus
    with pytest.warns(UserWarning, match="'Anger ' as anger"):
        [there] = run(spelt).cross_corpus
    assert there.predictions == expected.predictions
    assert there.classes == CLASSES
    with reading_as(labels_as_written=True), pytest.raises(SettingsError, match=r"not trained here: .*Anger"):
        run(spelt)


def test_what_gave_the_initial_weights_is_no_test(tmp_path: Path) -> None:
    begun = How(started_from=(StartRecord("", "first", "linear", ("older", "abroad")),))
    message = (
        "^first, which gives initial weights, was trained on abroad: testing on it is no test; leave abroad"
    )
    with pytest.raises(SettingsError, match=message):
        run(other(), how=begun)
    report = run(how=begun)
    assert report.deviations[-1] == "initial weights from first (linear on older)"
    kept = run_folders.load(run_folders.save(report, tmp_path / "run"))
    assert kept == report
    assert [name for name, _ in kept.seen] == ["talk", "older", "abroad"]
    with pytest.raises(SettingsError, match=message):
        evaluate_cross_corpus(kept, other(), lambda *_: pytest.fail("no head is read"), {})


def test_what_is_not_to_be_tested_is_never_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    tested = run(other())
    monkeypatch.setattr(
        "sercache.evaluation.run.output_of", lambda *_: pytest.fail("a test part was predicted")
    )
    report = run(other(), how=How(test=False))
    assert (report.predictions, report.cross_corpus, report.summary) == ((), (), {})
    assert [each.scores for each in report.runs] == [{}] * len(tested.runs)
    assert [each.weights_sha256 for each in report.runs] == [each.weights_sha256 for each in tested.runs]
    assert report.notes == ("not tested: the dev part is to choose among several trainings first",)


@pytest.mark.parametrize("normalise", ["none", "global", "speaker"])
def test_a_finished_run_says_the_same_of_another_corpus(normalise: str, tmp_path: Path) -> None:
    """The contract of ``train --test-on X`` and ``evaluate RUN --dataset X``: bit-equal."""
    extra, (corpus, store) = other(n_classes=3), make_talk(n_speakers=3)
    done = evaluated(linear.Head, corpus, store, SETUP, RECIPE, [extra], normalise=normalise, seeds=(0, 1))
    report, scalings = done.report, [place for place in done.weights if place[1] is None]
    assert bool(scalings) == (normalise == "global")
    folder = run_folders.save(report, tmp_path / "run", weights=done.weights)
    kept = run_folders.load(folder)
    assert kept == report

    def head_of(fold: str, seed: int, view):  # type: ignore[no-untyped-def]
        head = build(linear.Head, view, 4, 99)
        head.load_state_dict(load_file(run_folders.weights_path(folder, fold, seed)))
        return head.eval()

    found = {fold: read_scalings(load_file(run_folders.scaling_path(folder, fold))) for fold, _ in scalings}
    assert evaluate_cross_corpus(kept, extra, head_of, found) == report.cross_corpus[0]
    with pytest.raises(SettingsError, match="trained on talk"):
        evaluate_cross_corpus(kept, Extra(*make_talk(n_speakers=3)), head_of, found)


def test_everything_trains_and_only_other_corpora_are_tested(tmp_path: Path) -> None:
    report = run(other(), protocol="all", normalise="global", seeds=(0, 1))
    assert (report.predictions, report.summary) == ((), {})
    assert [r.scores for r in report.runs] == [{}, {}]
    assert (report.folds[0].n_train, report.folds[0].n_test) == (24, 0)
    assert report.cross_corpus[0].summary["ua"].seeds.mean > 0.6
    assert report.cross_corpus[0].summary["ua"].folds.n == 1
    assert run_folders.load(run_folders.save(report, tmp_path / "run")) == report
    assert run(protocol="all").cross_corpus == ()


class Two(nn.Module):
    """Reads two inputs, of which only the second tells."""

    def __init__(self, n_layers: tuple[int, ...], dim: tuple[int, ...], n_outputs: int) -> None:
        super().__init__()
        self.n_layers = n_layers
        self.first = nn.Linear(dim[0], n_outputs)
        self.second = nn.Linear(dim[1], n_outputs)

    def forward(self, x: tuple[Tensor, ...], mask: tuple[Tensor, ...]) -> Tensor:
        one, two = (masked_mean(part.mean(1), m) for part, m in zip(x, mask, strict=True))
        return 0.01 * self.first(one) + self.second(two)


def two_stores() -> tuple[Corpus, FakeStore, FakeStore]:
    """Noise beside the store that tells the classes apart."""
    corpus, telling = make_talk(n_speakers=3, signal=6)
    noise = {
        id: np.random.default_rng(k).normal(size=(1, 4, 2)).astype(np.float32)
        for k, id in enumerate(telling.frames)
    }
    return corpus, FakeStore(noise, encoder="noise", identity={"source": "noise"}), telling


@pytest.mark.parametrize("normalise", ["none", "global", "speaker"])
def test_heads_read_several_stores_side_by_side(normalise: str) -> None:
    corpus, noise, telling = two_stores()
    setup = dataclasses.replace(
        SETUP, encoder="noise", states="all", beside=("tiny:blocks:frames",), normalise=normalise
    )
    recipe = dataclasses.replace(RECIPE, max_epochs=100)
    report = evaluated(Two, corpus, (noise, telling), setup, recipe, head_name="two").report
    assert report.summary["ua"].seeds.mean > 0.6
    assert report.setup["beside"] == ["tiny:blocks:frames"]
    first, [second] = report.features, report.features["beside"]
    assert (first["digest"], second["digest"]) == (noise.spec.digest, telling.spec.digest)
    assert (first["kind"], second["kind"]) == ("means", "frames")
    views = fold_views(
        gather(Data(corpus, (noise, telling)), setup),
        gather(Data(corpus, (noise, telling)), setup).folds[0],
        normalise,
    )  # type: ignore[arg-type]
    assert (views.train.n_layers, views.train.dim) == ((1, 3), (2, 6))
    if normalise == "global":
        (one, two), (_, mask) = views.train.batch(np.arange(len(views.train)))
        torch.testing.assert_close(two.transpose(1, 2)[mask].mean(0), torch.zeros(3, 6), atol=1e-5, rtol=0)
        assert len(views.scalings) == 2
        assert one.abs().mean() < 2


def test_inputs_must_hold_the_same_utterances() -> None:
    corpus, noise, telling = two_stores()
    setup = dataclasses.replace(SETUP, encoder="noise", states="all", beside=("tiny",))
    with pytest.raises(SettingsError, match="2 inputs, got 1 stores"):
        gather(Data(corpus, (noise,)), setup)
    del telling.frames["s1-3"]
    with pytest.raises(MissingFeaturesError, match="1 of 24 utterances have no features, first: s1-3"):
        gather(Data(corpus, (noise, telling)), setup)


def test_inputs_share_one_memory_budget() -> None:
    corpus, noise, telling = two_stores()
    setup = dataclasses.replace(SETUP, encoder="noise", states="all", beside=("tiny",), frames=True)
    sizes = [view.plan.bytes for view in gather(Data(corpus, (noise, telling)), setup).main.inputs]
    for budget, expected in ((sum(sizes), [True, True]), (sum(sizes) - 1, [True, False])):
        inputs = gather(Data(corpus, (noise, telling), budget=budget), setup).main.inputs
        assert [view.plan.in_memory for view in inputs] == expected


def test_other_corpora_have_all_inputs_too() -> None:
    corpus, noise, telling = two_stores()
    extra = other()
    frames = {id: np.ones((1, 2, 2), np.float32) for id in extra.corpus.by_id()}
    both = Extra(
        extra.corpus, FakeStore(frames, encoder="noise", identity={"source": "noise"}), beside=(extra.store,)
    )
    setup = dataclasses.replace(
        SETUP, encoder="noise", states="all", beside=("tiny:blocks",), normalise="global"
    )
    report = evaluated(Two, corpus, (noise, telling), setup, RECIPE, [both], head_name="two").report
    assert len(report.cross_corpus[0].features["beside"]) == 1
    with pytest.raises(SettingsError, match="2 inputs, got 1 stores"):
        gather(Data(corpus, (noise, telling), test_on=(dataclasses.replace(both, beside=()),)), setup)


def test_attention_needs_a_view() -> None:
    class Attends(nn.Module):
        def attention(self, x: Tensor, mask: Tensor) -> Tensor:
            return torch.ones(len(x), 1, 3, 3)

    assert layer_weights(Attends(), None) is None
