from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from sercache import metrics

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 5, 200)
PREDICTED = np.where(RNG.random(200) < 0.5, TRUTH, RNG.integers(0, 5, 200))


def test_against_scikit_learn() -> None:
    assert metrics.wa(TRUTH, PREDICTED) == pytest.approx(sklearn.metrics.accuracy_score(TRUTH, PREDICTED))
    assert metrics.ua(TRUTH, PREDICTED) == pytest.approx(
        sklearn.metrics.balanced_accuracy_score(TRUTH, PREDICTED)
    )
    assert metrics.macro_f1(TRUTH, PREDICTED) == pytest.approx(
        sklearn.metrics.f1_score(TRUTH, PREDICTED, average="macro")
    )
    expected = sklearn.metrics.confusion_matrix(TRUTH, PREDICTED)
    np.testing.assert_array_equal(metrics.confusion(TRUTH, PREDICTED), expected)
    np.testing.assert_allclose(
        metrics.recalls(TRUTH, PREDICTED), sklearn.metrics.recall_score(TRUTH, PREDICTED, average=None)
    )


def test_rows_of_the_confusion_matrix_are_true_classes() -> None:
    np.testing.assert_array_equal(
        metrics.confusion(np.array([0, 0]), np.array([2, 0]), 3), [[1, 0, 1], [0, 0, 0], [0, 0, 0]]
    )


def test_classes_absent_from_the_truth_do_not_count_in_ua() -> None:
    truth, predicted = np.array([0, 0, 1]), np.array([0, 2, 1])
    assert metrics.ua(truth, predicted) == pytest.approx(0.75)
    assert np.isnan(metrics.recalls(truth, predicted)[2])
    # scikit-learn counts class 2, which is predicted, in macro F1
    assert metrics.macro_f1(truth, predicted) == pytest.approx(
        sklearn.metrics.f1_score(truth, predicted, average="macro", zero_division=0)
    )


def test_golden_confusion_matrix_of_pepino() -> None:
    """The published dump of the all-layers model, seed 0123: UAR 67.30."""
    cells = np.array([[813, 139, 128, 23], [183, 1005, 293, 130], [130, 259, 1103, 192], [33, 111, 204, 727]])
    truth = np.repeat(np.arange(4), cells.sum(1))
    predicted = np.concatenate([np.repeat(np.arange(4), row) for row in cells])
    assert round(100 * metrics.ua(truth, predicted), 2) == 67.30


def test_no_utterances_give_nan() -> None:
    none = np.array([], int)
    assert all(np.isnan(metric(none, none)) for metric in (metrics.wa, metrics.ua, metrics.macro_f1))


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="both be"):
        metrics.wa(np.array([0, 1]), np.array([0]))


@pytest.mark.parametrize("ties", [False, True])
def test_spearman_against_scipy(ties: bool) -> None:
    x = RNG.normal(size=100)
    y = x + RNG.normal(size=100)
    if ties:
        x, y = np.round(x), np.round(y)
    assert metrics.spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)
    assert metrics.pearson(x, y) == pytest.approx(scipy.stats.pearsonr(x, y).statistic, abs=1e-12)


def test_constant_predictions_have_no_correlation() -> None:
    x = np.arange(4.0)
    assert np.isnan(metrics.spearman(x, np.full(4, 0.1)))
    assert metrics.ccc(x, np.full(4, 0.1)) == 0
    assert np.isnan(metrics.ccc(np.ones(3), np.ones(3)))


def test_ccc_is_the_printed_formula_and_punishes_shift_and_scale() -> None:
    x, y = RNG.normal(size=50), RNG.normal(size=50)
    expected = 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert metrics.ccc(x, y) == pytest.approx(expected)
    assert metrics.ccc(x, x) == pytest.approx(1)
    assert metrics.ccc(x, x + 1) < 1
    assert metrics.ccc(x, 2 * x) < 1


def test_counts_of_many_draws_are_scored_as_each_alone() -> None:
    counts = RNG.integers(0, 6, (7, 2, 4, 4))
    counts[0, 0, 1] = 0  # a class that the truth does not hold
    counts[1, 0, 2] = counts[1, 0, :, 2] = 0  # nor is it predicted
    for of, alone in (
        (metrics.wa_of, metrics.wa),
        (metrics.ua_of, metrics.ua),
        (metrics.macro_f1_of, metrics.macro_f1),
    ):
        found = of(counts)
        for place in np.ndindex(7, 2):
            cells = counts[place]
            truth = np.repeat(np.arange(4), cells.sum(1))
            predicted = np.concatenate([np.repeat(np.arange(4), row) for row in cells])
            assert found[place] == pytest.approx(alone(truth, predicted))


def test_bootstrap_tells_how_often_each_unit_was_drawn() -> None:
    values = np.array([0.1, 0.2, 0.4, 0.5, 0.8, 0.9])
    seen = []

    def measure(times: np.ndarray) -> np.ndarray:
        seen.append(times)
        return np.array([values @ times / 6, 1.0])

    low, high = metrics.bootstrap(measure, 6, n_draws=300, seed=3)
    assert {int(times.sum()) for times in seen} == {6}
    draws = np.random.default_rng(3).integers(6, size=(300, 6))
    expected = np.quantile([values[draw].mean() for draw in draws], [0.025, 0.975])
    np.testing.assert_allclose([low[0], high[0]], expected)
    assert (low[1], high[1]) == (1, 1)
    assert not np.array_equal(low, metrics.bootstrap(measure, 6, n_draws=300, seed=4)[0])


def test_few_units_have_no_interval() -> None:
    with pytest.raises(ValueError, match="needs 5 units, got 4"):
        metrics.bootstrap(lambda times: times, 4)


def test_ppmi_by_hand() -> None:
    # ja: class 0 three times, 1 once; nein: class 1 three times; o: class 0 once. p(0) = p(1) = 1/2.
    items = ["ja"] * 4 + ["nein"] * 3 + ["o"]
    predicted = [0, 0, 0, 1, 1, 1, 1, 0]
    # p(ja, 0) = 3/8 against 1/2 * 1/2; p(o, 0) = 1/8 against 1/8 * 1/2; p(ja, 1) = 1/8 < 1/4 counts as 0.
    expected = [(np.log2(1.5) + 1) / 2, (0 + 1) / 2, np.nan]
    np.testing.assert_allclose(metrics.ppmi(items, predicted, 3), expected)
    weighted = [(3 * np.log2(1.5) + 1) / 4, (0 + 3 * 1) / 4, np.nan]
    np.testing.assert_allclose(metrics.ppmi(items, predicted, 3, weighted=True), weighted)
    # Words that say nothing of the class have none.
    assert metrics.ppmi(["a", "b"] * 4, [0, 0, 1, 1] * 2, 2).tolist() == [0, 0]


def test_mean_squared_error() -> None:
    assert metrics.mse(np.array([0.0, 1]), np.array([0.5, 1])) == 0.125
    assert np.isnan(metrics.mse(np.array([]), np.array([])))
