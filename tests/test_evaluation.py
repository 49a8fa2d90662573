from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluations import evaluated, told
from fake_store import CLASSES, FakeStore, make_corpus, make_talk
from scipy.special import softmax
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score

from sercache import stores
from sercache.errors import (
    MissingFeaturesError,
    ProtocolError,
    RecipeError,
    SettingsError,
    StoreError,
    TrainingError,
    UnknownNameError,
)
from sercache.evaluation import Data, Extra, Progress, gather
from sercache.evaluation.experiment import items_digests
from sercache.evaluation.layers import layer_weights
from sercache.evaluation.material import fold_views
from sercache.evaluation.scores import merge_clips, run_record, summarise
from sercache.heads import layer_attention, linear
from sercache.recipe import Published, Recipe, Setup
from sercache.record import Classes, Interval, Prediction, Report, Run
from sercache.report import runs
from sercache.report.notes import corpus_notes

TARGET = Classes(("a", "b", "c", "d"))
pytestmark = pytest.mark.usefixtures("few_draws")

SETUP = Setup(encoder="tiny", dataset="talk", protocol="leave-one-speaker-out", states="blocks", frames=False)
RECIPE = Recipe(lr=0.05, max_epochs=8, batch_size=16, select="last-epoch")
DEV_RECIPE = Recipe(lr=0.05, max_epochs=8, batch_size=16)


def run(corpus=None, store=None, head=linear.Head, recipe=RECIPE, **options) -> Report:  # type: ignore[no-untyped-def]
    if corpus is None:
        corpus, store = make_talk(n_speakers=3)
    return evaluated(head, corpus, store, SETUP, recipe, **options).report


def random_predictions(n_folds: int = 3, n_seeds: int = 2, n: int = 12, seed: int = 0) -> list[Prediction]:
    rng = np.random.default_rng(seed)
    found = []
    for fold in range(n_folds):
        truth = rng.integers(0, 4, n)
        for s in range(n_seeds):
            for k in range(n):
                p = rng.dirichlet(np.ones(4))
                found.append(
                    Prediction(
                        f"{fold}-{k}", str(fold), s, int(truth[k]), int(p.argmax()), tuple(p), f"s{fold}"
                    )
                )
    return found


def test_clips_are_merged_by_the_mean_of_their_softmax() -> None:
    logits = np.array([[5.0, 0, 0], [0, 2, 0], [0, 2, 0], [1, 2, 3]], np.float32)
    merged = merge_clips(logits, ["a", "a", "a", "b"])
    np.testing.assert_allclose(merged["a"], softmax(logits[:3].astype(float), axis=1).mean(0), rtol=1e-7)
    np.testing.assert_allclose(merged["b"], softmax(logits[3].astype(float)), rtol=1e-7)
    # The mean of logits would say otherwise: 5/3 against 4/3.
    assert merged["a"].argmax() == 1
    assert logits[:3].mean(0).argmax() == 0


def test_merging_survives_huge_logits() -> None:
    merged = merge_clips(np.array([[1e4, -1e4]], np.float32), ["a"])
    np.testing.assert_array_equal(merged["a"], [1, 0])


def test_outputs_that_are_no_numbers_are_never_a_class() -> None:
    class Broken(linear.Head):
        """Right while it is trained, and no number after the last update."""

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            outputs: torch.Tensor = super().forward(x, mask)
            return outputs if self.training else outputs * float("nan")

    with pytest.raises(TrainingError, match=r"seed 0: the head gives no finite number for \d+ of \d+ items"):
        run(recipe=dataclasses.replace(RECIPE, max_epochs=1), head=Broken)


def test_summaries_by_hand() -> None:
    def p(fold: str, seed: int, true: int, predicted: int) -> Prediction:
        return Prediction(f"{fold}{seed}{true}", fold, seed, true, predicted, (0.5, 0.5), fold)

    found = [
        *(p("a", 0, 0, 0), p("a", 0, 1, 1)),  # fold a, seed 0: WA 1
        *(p("a", 1, 0, 0), p("a", 1, 1, 0)),  # fold a, seed 1: WA 1/2
        *(p("b", 0, 0, 0), p("b", 0, 0, 1), p("b", 0, 1, 0), p("b", 0, 1, 0)),  # 1/4
        *(p("b", 1, 0, 0), p("b", 1, 0, 0), p("b", 1, 1, 1), p("b", 1, 1, 0)),  # 3/4
    ]
    runs = [
        Run(fold, seed, {"wa": wa, "ua": wa, "macro_f1": wa}, 1, False, 1, ())
        for fold, seed, wa in [("a", 0, 1.0), ("a", 1, 0.5), ("b", 0, 0.25), ("b", 1, 0.75)]
    ]
    wa = summarise(runs, found, TARGET)["wa"]
    # Over folds: a 0.75, b 0.5. Over seeds: seed 0 pooled 3/6, seed 1 pooled 4/6.
    assert (wa.folds.mean, wa.folds.n) == (0.625, 2)
    assert wa.folds.std == pytest.approx(0.25 / np.sqrt(2))
    assert wa.seeds.mean == pytest.approx((3 / 6 + 4 / 6) / 2)
    assert wa.seeds.std == pytest.approx((1 / 6) / np.sqrt(2))
    assert wa.seeds_interval == Interval(None, None, 2, "speakers")
    assert wa.folds_interval == Interval(None, None, 2, "folds")


def test_scores_equal_those_of_scikit_learn() -> None:
    found = random_predictions()

    def arrays(chosen: list[Prediction]) -> tuple[list[int], list[int]]:
        return [p.true for p in chosen], [p.predicted for p in chosen]

    runs = [
        run_record(
            str(fold), seed, _fit(), [p for p in found if (p.fold, p.seed) == (str(fold), seed)], None, TARGET
        )
        for fold in range(3)
        for seed in range(2)
    ]
    summary = summarise(runs, found, TARGET)
    theirs = {
        "wa": accuracy_score,
        "ua": balanced_accuracy_score,
        "macro_f1": lambda t, p: f1_score(t, p, average="macro"),
    }
    for name, metric in theirs.items():
        of_run = {(r.fold, r.seed): r.scores[name] for r in runs}
        for (fold, seed), value in of_run.items():
            assert value == pytest.approx(
                metric(*arrays([p for p in found if (p.fold, p.seed) == (fold, seed)]))
            )
        folds = [np.mean([of_run[str(f), s] for s in range(2)]) for f in range(3)]
        seeds = [metric(*arrays([p for p in found if p.seed == s])) for s in range(2)]
        assert summary[name].folds.mean == pytest.approx(np.mean(folds))
        assert summary[name].folds.std == pytest.approx(np.std(folds, ddof=1))
        assert summary[name].seeds.mean == pytest.approx(np.mean(seeds))
        assert summary[name].seeds.std == pytest.approx(np.std(seeds, ddof=1))


def _fit():  # type: ignore[no-untyped-def]
    from sercache.training import Fit

    return Fit(torch.nn.Linear(1, 1), (), 1, False, 1, 0.0)


def test_a_separable_problem_is_solved() -> None:
    report = run(*make_talk(n_clips=2), seeds=(0, 1))
    assert report.summary["ua"].seeds.mean > 0.9
    assert report.classes == CLASSES
    weights = report.layer_weights()
    assert weights is not None
    assert (weights.argmax(1) == 1).all(), "only state 2 carries the class"


@pytest.mark.parametrize("normalise", ["none", "global", "speaker"])
def test_random_labels_stay_at_chance_however_well_they_are_learned(normalise: str) -> None:
    # 96 dimensions for 80 training utterances: the head can learn them by heart, so any test utterance in
    # its training part would show.
    corpus, store = make_talk(n_speakers=5, n_each=20, n_layers=1, dim=96, signal=0.0)
    report = run(corpus, store, recipe=dataclasses.replace(RECIPE, max_epochs=40), normalise=normalise)
    assert np.mean([r.history[-1]["train_loss"] for r in report.runs]) < 0.1  # type: ignore[type-var]
    # 100 utterances at chance 0.25: 4 standard deviations are 0.17.
    assert abs(report.summary["ua"].seeds.mean - 0.25) < 0.17


def test_the_report_holds_every_test_utterance_once_per_seed() -> None:
    corpus, store = make_talk(n_speakers=3, n_clips=2)
    report = run(corpus, store, seeds=(3, 7))
    assert [(r.fold, r.seed) for r in report.runs] == [(f, s) for f in ("s0", "s1", "s2") for s in (3, 7)]
    for seed in (3, 7):
        own = [p for p in report.predictions if p.seed == seed]
        assert sorted(p.id for p in own) == sorted(u.id for u in corpus.utterances)
        for p in own:
            assert p.fold == p.speaker == corpus.by_id()[p.id].speaker
            assert report.classes[p.true] == corpus.by_id()[p.id].raw_label
            assert sum(p.probabilities) == pytest.approx(1)
            assert p.predicted == int(np.argmax(p.probabilities))
    truth, predicted = zip(*((p.true, p.predicted) for p in report.predictions), strict=True)
    assert np.array_equal(report.confusion, confusion_matrix(truth, predicted, labels=range(4)))


def test_the_report_says_what_was_done() -> None:
    corpus, store = make_talk(n_speakers=3, n_clips=2)
    published = dataclasses.replace(SETUP, encoder="wavlm-large", clip="trim:15", seeds=(0, 1))
    report = run(
        corpus,
        store,
        recipe=DEV_RECIPE,
        dev="next",
        normalise="global",
        published=Published(published, dataclasses.replace(DEV_RECIPE, lr=1e-4)),
    )
    assert report.deviations == (
        "encoder tiny instead of wavlm-large",
        "clip split:5 instead of trim:15",
        "normalise global instead of none",
        "dev next instead of none",
        "seeds 0 instead of 0, 1",
        "lr 0.05 instead of 0.0001",
    )
    assert report.normalisation.startswith("global: mean and standard deviation")
    assert "lowest dev loss" in report.selection
    assert "dev part: next" in report.selection
    assert (report.setup["clip"], report.setup["fold_seed"]) == ("split:5", 0)
    assert report.corpus["class_counts"] == dict.fromkeys(CLASSES, 6)
    assert (report.corpus["n_utterances"], report.corpus["n_speakers"]) == (24, 3)
    assert report.features["n_items"] == 48
    assert report.features["digest"] == store.spec.digest
    assert report.n_parameters == 3 + 6 * 4 + 4
    fold = report.folds[0]
    assert (fold.n_train, fold.n_dev, fold.n_test) == (8, 8, 8)
    assert fold.speakers_disjoint
    assert set(report.environment["packages"]) >= {"sercache", "torch", "numpy"}
    assert report.timing["seconds"] > 0


def test_nothing_is_said_to_deviate_when_nothing_does() -> None:
    report = run(published=Published(dataclasses.replace(SETUP, task=None), RECIPE))
    assert report.deviations == ()


def test_equal_runs_give_equal_reports_and_seeds_differ() -> None:
    corpus, store = make_talk(n_speakers=2)
    first, second = (run(corpus, store, seeds=(1,)) for _ in range(2))
    assert first == second
    assert run(corpus, store, seeds=(2,)).runs[0].weights_sha256 != first.runs[0].weights_sha256


def test_a_report_survives_json() -> None:
    report = run(seeds=(0, 1), recipe=DEV_RECIPE, dev="next")
    assert Report.from_json(report.to_json()) == report


def test_progress_tells_every_epoch_and_heads_can_be_kept() -> None:
    seen: list[Progress] = []
    corpus, store = make_talk(n_speakers=3)
    with told("reading") as plans:
        done = evaluated(linear.Head, corpus, store, SETUP, RECIPE, seeds=(0, 1), progress=seen.append)
    assert len(seen) == 3 * 2 * RECIPE.max_epochs
    assert (seen[-1].run, seen[-1].n_runs, seen[-1].epoch.number) == (6, 6, RECIPE.max_epochs)
    assert set(done.weights) == {(r.fold, r.seed) for r in done.report.runs}
    assert "24" in plans[0]


@pytest.mark.parametrize(
    ("normalise", "centred"), [("none", set()), ("global", {"train"}), ("speaker", {"train", "dev", "test"})]
)
def test_which_parts_of_a_fold_the_statistics_see(normalise: str, centred: set[str]) -> None:
    corpus, store = make_talk(n_speakers=3)
    setup = dataclasses.replace(SETUP, normalise=normalise, dev="next")  # type: ignore[arg-type]
    material = gather(Data(corpus, (store,)), setup)
    views = fold_views(material, material.folds[0], setup.normalise)
    for part in ("train", "dev", "test"):
        view = getattr(views, part)
        weights = np.array([store.frames[id].shape[1] for id in view.entry_ids], float)
        x = view.batch(np.arange(len(view)))[0][:, :, 0].double().numpy()
        mean = np.average(x, axis=0, weights=weights)
        assert (np.abs(mean).max() < 1e-5) == (part in centred), part


def test_only_utterances_of_the_folds_need_features() -> None:
    corpus, store = make_talk(n_speakers=3)
    split = {"two": {"train": ["s0"], "test": ["s1"]}}
    corpus = dataclasses.replace(corpus, info=dataclasses.replace(corpus.info, splits=split))
    for id in [id for id in store.frames if id.startswith("s2")]:
        del store.frames[id]
    report = run(corpus, store, protocol="fixed:two")
    assert report.corpus["n_utterances"] == 16
    assert report.folds[0].name == "two"


def test_a_split_that_names_a_speaker_whom_the_copy_lacks_is_told() -> None:
    corpus, store = make_talk(n_speakers=3)
    split = {"two": {"train": ["s0", "s7"], "test": ["s1"]}}
    corpus = dataclasses.replace(corpus, info=dataclasses.replace(corpus.info, splits=split))
    with pytest.warns(
        UserWarning, match="in the lists of fixed:two, 1 are not in this copy of talk, first: s7"
    ):
        report = run(corpus, store, protocol="fixed:two")
    assert any("1 are not in this copy of talk, first: s7" in note for note in corpus_notes(report.corpus))


def test_what_extraction_skipped_is_left_out_and_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, store = make_talk(n_speakers=3)
    del store.frames["s1-3"]
    with pytest.raises(MissingFeaturesError, match="1 of 24 utterances have no features, first: s1-3"):
        run(corpus, store)
    monkeypatch.setattr("sercache.evaluation.parts.skips", lambda folder: {"s1-3": "s1-3.wav is silent"})
    report = run(corpus, store)
    assert report.corpus["left_out"] == {"s1-3": "s1-3.wav is silent"}
    assert report.corpus["n_utterances"] == 23
    assert "s1-3" not in {p.id for p in report.predictions}


def test_an_added_corpus_trains_and_is_never_tested() -> None:
    corpus, store = make_talk(n_speakers=3)
    other, other_store = make_talk(n_speakers=2, seed=1)
    other = dataclasses.replace(other, name="more")
    alone = run(corpus, store, normalise="global")
    report = run(corpus, store, normalise="global", also_train=[Extra(other, other_store)])
    assert len(report.predictions) == len(alone.predictions) == 24
    assert report.also_trained[0]["name"] == "more"
    assert report.also_trained[0]["n_utterances"] == 16
    assert "more added to every training part" in report.deviations
    assert report.runs[0].n_updates == RECIPE.max_epochs * 2  # 16 + 16 utterances in batches of 16
    assert alone.runs[0].n_updates == RECIPE.max_epochs


def test_an_added_corpus_must_fit() -> None:
    corpus, store = make_talk(n_speakers=3)
    other, other_store = make_talk(n_speakers=2, seed=1)
    strange = make_corpus(["s0-0", "s0-1"], ["awe", "anger"], ["a", "a"], name="more")
    with pytest.raises(SettingsError, match="more labels classes that are not trained here: awe"):
        run(corpus, store, also_train=[Extra(strange, other_store)])
    weights = FakeStore(other_store.frames, identity={"source": "other"})
    with pytest.raises(StoreError, match="other weights"):
        run(corpus, store, also_train=[Extra(other, weights)])
    with pytest.raises(MissingFeaturesError, match="no labelled utterances in language zh"):
        run(corpus, store, also_train=[Extra(other, other_store, language="zh")])


def test_how_an_added_corpus_is_stored_names_a_training() -> None:
    corpus, store = make_talk(n_speakers=3)
    other = dataclasses.replace(corpus, name="more")

    def items(frames: bool, **changes: str) -> dict[str, str]:
        _, own = make_talk(n_speakers=3)
        own.spec = dataclasses.replace(own.spec, **changes)
        data = Data(corpus, (store,), also_train=(Extra(other, own),))
        setup = dataclasses.replace(SETUP, frames=frames)
        return items_digests(gather(data, setup), setup.normalise, with_speakers=False)

    assert items(True) != items(True, dtype="bfloat16")
    assert items(False) == items(False, dtype="bfloat16"), "means are float32 in every store"
    assert items(False) != items(False, clip="trim:15")


def test_added_corpora_share_one_memory_budget() -> None:
    corpus, store = make_talk(n_speakers=3)
    other = dataclasses.replace(corpus, name="more")
    setup = dataclasses.replace(SETUP, frames=True)
    size = gather(Data(corpus, (store,)), setup).main.view.plan.bytes
    for budget, fits in ((2 * size, True), (2 * size - 1, False)):
        material = gather(Data(corpus, (store,), also_train=(Extra(other, store),), budget=budget), setup)
        assert material.main.view.plan.in_memory
        assert material.also[0][1].view.plan.in_memory == fits


def test_what_cannot_be_trained_is_refused_before_training() -> None:
    seen: list[Progress] = []
    for fault, match, options in (
        (RecipeError, "fold s0 has none; give one with --dev", {"recipe": DEV_RECIPE}),
        (RecipeError, "seeds must be different", {"seeds": (1, 1)}),
        (RecipeError, "at least one", {"seeds": ()}),
        (RecipeError, "whole numbers from 0", {"seeds": (-1,)}),
        (RecipeError, "'hiden'", {"head_options": {"hiden": 3}}),
        (RecipeError, "not JSON serializable", {"head_options": {"hidden": {1}}}),
        (UnknownNameError, "leave-one-out", {"protocol": "leave-one-out"}),
        (UnknownNameError, "5class", {"task": "5class"}),
        (UnknownNameError, "state", {"states": "9"}),
        (ProtocolError, "no session with another speaker", {"dev": "other-speaker"}),
    ):
        with pytest.raises(fault, match=match):
            run(progress=seen.append, **options)
    assert not seen


def test_a_head_that_refuses_its_shape_is_one_clear_error() -> None:
    class Fussy(torch.nn.Module):
        def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
            raise ValueError("variant is paper or code")

    with pytest.raises(RecipeError, match="this head cannot be built: variant is paper or code"):
        run(head=Fussy)


def test_notes_of_the_head_are_deviations() -> None:
    report = run(*make_talk(n_speakers=2, n_layers=3, dim=16), head=layer_attention.Head)
    assert any(line.startswith("3 layers of 16, published with") for line in report.deviations)
    assert report.layer_weights_are.startswith("attention that each state receives")


def test_layer_weights_of_attention_are_the_mean_over_utterances_heads_and_queries() -> None:
    corpus, store = make_talk(n_speakers=2, n_layers=3, dim=16)
    view = gather(Data(corpus, (store,)), SETUP).main.view
    head = layer_attention.Head(3, 16, 4).eval()
    found = layer_weights(head, view)
    x, mask = view.batch(np.arange(len(view)))
    with torch.no_grad():
        expected = head.attention(x, mask).mean((0, 1, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert sum(found or ()) == pytest.approx(1)


def test_heads_without_layer_weights_have_none() -> None:
    class Plain(torch.nn.Module):
        def __init__(self, n_layers: int, dim: int, n_outputs: int) -> None:
            super().__init__()
            self.out = torch.nn.Linear(n_layers * dim, n_outputs)

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.out(x.flatten(1))

    report = run(head=Plain)
    assert report.layer_weights() is None
    assert report.layer_weights_are == ""


def test_frames_are_read_for_heads_that_want_them() -> None:
    corpus, store = make_talk(n_speakers=2)
    report = run(corpus, store, frames=True, max_frames=4)
    assert report.features["kind"] == "frames"
    assert store.n_reads == len(store.frames), "kept in memory over folds and epochs"


@pytest.mark.parametrize("format", ["zarr", "hdf5"])
@pytest.mark.parametrize("frames", [False, True])
def test_a_real_store_gives_the_same_report_as_the_fake(tmp_path: Path, format: str, frames: bool) -> None:
    corpus, fake = make_talk(n_speakers=3, n_clips=2)
    writer = stores.create(tmp_path / "store", fake.spec, format)
    for id, x in fake.frames.items():
        mean, std = (
            getattr(x.astype(np.float64), what)(axis=1).astype(np.float32) for what in ("mean", "std")
        )
        n = x.shape[1]
        writer.append(id, mean, std, x, n_frames=n, n_samples=320 * n, audio_digest=id)
    writer.close()
    options = {"frames": frames, "normalise": "speaker", "seeds": (1,)}
    fake.digests = {id: id for id in fake.frames}
    expected = run(corpus, fake, **options)
    report = run(corpus, stores.open(tmp_path / "store"), **options)
    assert report == expected
    assert runs.load(runs.save(report, tmp_path / "run")) == expected
