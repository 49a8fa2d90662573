"""Pictures by what they show: no text outside the figure, nothing outside the axes, units beside numbers."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from make_report import make_report
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from sercache import record
from sercache.record import Interval, Report, Score, Summary
from sercache.report import comparison_plots, pair_plots, plots
from sercache.report.canvas import canvas, label_states
from sercache.report.comparison import Compared, ComparedRow
from sercache.report.layer_plots import probe_curve
from sercache.report.maps import place_map
from sercache.report.render import Reference
from sercache.statistics import PairDifference, SignFlip

LONG = (
    "anger (hot, shouted)", "boredom", "contentment/happiness", "disgust", "fear of heights, long", "neutral",
    "sadness", "surprise (pleasant)", "anxious anticipation", "calm", "excited", "frustration",
)  # fmt: skip


def sized(n_folds: int, n_seeds: int, n_classes: int = 3) -> Report:
    """A report of so many trainings with long names of everything."""
    report = make_report(n_folds, tuple(range(n_seeds)), layers=13)
    counts = np.random.default_rng(0).integers(0, 900, (n_classes, n_classes))
    setup = {**report.setup, "encoder": "someone/wav2vec2-large-xlsr-53-finetuned-on-a-great-many-hours"}
    return dataclasses.replace(
        report, classes=LONG[:n_classes], confusion=tuple(map(tuple, counts.tolist())), setup=setup
    )


def outside(figure: Figure) -> list[str]:
    """Texts that are cut off at the border."""
    figure.draw_without_rendering()
    whole = figure.bbox
    found, hidden = [], set()
    for axes in figure.axes:  # ticks beyond the ends of an axis are there and not drawn
        for labels, ends, k in (
            (axes.get_xticklabels(), axes.get_xlim(), 0),
            (axes.get_yticklabels(), axes.get_ylim(), 1),
        ):
            hidden |= {label for label in labels if not min(ends) <= label.get_position()[k] <= max(ends)}
    for text in set(figure.findobj(Text)) - hidden:
        assert isinstance(text, Text)
        if text.get_visible() and text.get_text().strip() and all(a.get_visible() for a in [text.axes] if a):
            box = text.get_window_extent()
            if min(box.x0, box.y0) < -1 or box.x1 > whole.x1 + 1 or box.y1 > whole.y1 + 1:
                found.append(text.get_text())
    return found


@pytest.mark.parametrize(("n_folds", "n_seeds", "n_classes"), [(1, 1, 2), (12, 1, 4), (5, 5, 7), (20, 5, 12)])
def test_no_text_is_cut_off(n_folds: int, n_seeds: int, n_classes: int) -> None:
    drawn = plots.figures(sized(n_folds, n_seeds, n_classes))
    assert "learning-curves" in drawn
    assert {name: cut for name, figure in drawn.items() if (cut := outside(figure))} == {}


@pytest.mark.slow
def test_sixty_folds_and_long_papers_fit() -> None:
    figure = plots.folds(sized(60, 1))
    assert figure is not None
    assert outside(figure) == []
    cell = Compared(Reference(60, 1), Score(61, 2, 5))
    rows = [ComparedRow(f"system number {k} with a long name", dict.fromkeys("abc", cell)) for k in range(10)]
    for draw in (comparison_plots.lines, comparison_plots.bars):
        figure = draw(
            "Figure 2 of somebody et al. 2023: " + "what is shown " * 8, ["a", "b", "c"], rows, "x", "y"
        )
        assert figure is not None
        assert outside(figure) == []
        assert "± sample std of 5 values" in figure.axes[0].get_xlabel()


def test_counts_of_a_confusion_matrix_say_what_they_are_sums_of() -> None:
    label = " ".join(plots.confusion(sized(5, 3)).axes[0].get_xlabel().split())
    assert label == "predicted class; counts: predictions of 5 folds and 3 seeds taken together"


def test_a_class_without_utterances_has_no_shares() -> None:
    report = dataclasses.replace(make_report(), confusion=((8, 2, 0), (0, 0, 0), (1, 1, 2)))
    shown = [text.get_text() for text in plots.confusion(report).axes[0].texts]
    assert shown[3:6] == ["–"] * 3


def test_a_class_without_utterances_says_what_its_dash_means() -> None:
    report = dataclasses.replace(make_report(), confusion=((8, 2, 0), (0, 0, 0), (1, 1, 2)))
    label = plots.confusion(report).axes[0].get_xlabel()
    assert label.replace("\n", " ").endswith("–: no utterance of that class")


@pytest.mark.parametrize("n", [41, 1251])
def test_a_thousand_classes_fit_on_a_page(n: int) -> None:
    """As many speakers as VoxCeleb1 has: numbers and names could not be read, a cell each would be 900 inches."""
    counts = np.eye(n, dtype=int)
    report = dataclasses.replace(
        make_report(), classes=tuple(map(str, range(n))), confusion=tuple(map(tuple, counts.tolist()))
    )
    figure = plots.confusion(report)
    assert max(figure.get_size_inches()) < 9
    assert not figure.axes[0].texts
    assert f"by number, of {n}" in figure.axes[0].get_ylabel()
    assert outside(figure) == []


def test_runs_behind_the_layer_weights_stay_inside_the_axes() -> None:
    report = make_report(n_folds=4, layers=13)
    figure = plots.layer_weights(report)
    assert figure is not None
    shares = report.layer_weights()
    assert shares is not None
    low, high = figure.axes[0].get_ylim()
    assert low <= shares.min()
    assert shares.max() <= high


@pytest.mark.parametrize(("n_states", "angle"), [(6, 0), (40, 45)])
def test_state_names_are_aslant_only_where_they_would_touch(n_states: int, angle: int) -> None:
    _, [axes] = canvas("t", width=6.8)
    label_states(axes, ["input", *(f"s{k}" for k in range(1, n_states))])
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {angle}


def probed(intervals: list[Interval | None]) -> dict[str, Report]:
    report = make_report(n_folds=6)
    means = np.linspace(0.5, 0.98, len(intervals)).tolist()
    return {
        str(k): dataclasses.replace(
            report, summary={"ua": Summary(Score(0.9, 0.4, 6), Score(mean, 0.01, 2), None, each)}
        )
        for k, (mean, each) in enumerate(zip(means, intervals, strict=True))
    }


def test_a_probe_shows_the_interval_of_its_number_inside_the_axes() -> None:
    figure = probe_curve(probed([Interval(0.4 + k / 50, 0.9 + k / 50, 6, "speakers") for k in range(5)]))
    [axes] = figure.axes
    [bars] = [each for each in axes.collections if len(each.get_paths()) == 5]
    ends = np.array([path.vertices[:, 1] for path in bars.get_paths()])
    np.testing.assert_allclose(ends, [[0.4 + k / 50, 0.9 + k / 50] for k in range(5)])
    assert axes.get_ylim() == (0, 1)
    assert ends.min() >= 0
    assert ends.max() <= 1
    assert "pooled, 2 seeds, 95 % over 6 speakers" in [
        text.get_text() for text in figure.legends[0].get_texts()
    ]


def test_a_probe_of_few_speakers_shows_none() -> None:
    figure = probe_curve(probed([Interval(None, None, 2, "speakers")] * 3))
    assert any("(2 speakers: no interval)" in text.get_text() for text in figure.legends[0].get_texts())
    assert outside(figure) == []


def test_a_flat_mix_does_not_lie_on_the_frame() -> None:
    report = make_report(layers=12)
    flat = tuple(dataclasses.replace(run, layer_weights=(1 / 12,) * 12) for run in report.runs)
    figure = plots.layer_weights(dataclasses.replace(report, runs=flat))
    assert figure is not None
    low, high = figure.axes[0].get_ylim()
    assert low == 0
    assert 0.85 * high > 1 / 12


def test_the_folds_say_which_number_is_which() -> None:
    report = make_report(n_folds=6)
    kept = tuple(p for p in report.predictions if (p.fold, p.true) != ("speaker 2", 1))
    figure = plots.folds(dataclasses.replace(report, predictions=kept))
    assert figure is not None
    said = {" ".join(text.get_text().split()) for text in figure.legends[0].get_texts()}
    assert {
        "the test part lacks a class",
        "pooled, 2 seeds: 0.710 ± 0.010 (band: 95 % over 6 speakers)",
        "mean of 6 folds: 0.700 ± 0.020",
    } <= said
    hollow = [each for each in figure.axes[0].collections if np.allclose(each.get_facecolor()[:, :3], 1)]
    assert len(hollow) == 2, "one fold, and its entry in the legend"
    assert record.HEADLINE == "seeds"


def test_names_in_any_script_are_drawn_without_a_warning(tmp_path, recwarn):
    figure, [axes] = canvas("北京 हिन्दी 😀 العربية")
    axes.set_xticks([0, 1], ["怒り", "खुशी"])
    plots.save(figure, tmp_path / "a")
    assert [str(each.message) for each in recwarn] == []
    assert "北京" in (tmp_path / "a.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("n", [12, 48, 60])
def test_labels_of_a_map_differ_in_colour_and_shape(n: int) -> None:
    rng = np.random.default_rng(0)
    labels = [f"speaker {k % n + 1}" for k in range(2 * n)]
    figure = place_map([("", rng.normal(size=(2 * n, 2)), labels)], "vectors")
    drawn = figure.axes[0].collections
    looks = {(tuple(each.get_facecolor()[0]), each.get_paths()[0].vertices.tobytes()) for each in drawn}
    assert len(looks) == min(n, 56)
    assert [each.get_label() for each in drawn][:12] == [f"speaker {k + 1}" for k in range(12)]
    assert bool(figure.legends) == (n <= 48)
    title = figure.get_suptitle()
    assert ("too many for a legend" in title) == (n > 48)
    assert outside(figure) == []


@pytest.mark.parametrize("n", [2, 5, 20])
def test_pairs_fit_whatever_they_are_called(n: int) -> None:
    names = [f"layer-attention on a long name of an encoder {k}" for k in range(n)]
    found = [
        PairDifference(
            a, b, "ua", (0.5 + 0.1 * k, 0.4), SignFlip(0.01, 0.01, 8, exact=True), 0.04 if k % 2 else 0.5
        )
        for k, (a, b) in enumerate(itertools.combinations(names, 2))
    ]
    figure = pair_plots.matrix("Pairs of runs on a corpus", names, found)
    assert outside(figure) == []
    framed = [each for each in figure.axes[0].patches if isinstance(each, Rectangle)]
    assert len(framed) == 2 * sum(bool(each.differs) for each in found)
