"""Every figure that report, compare and the page print of real runs, computed again from the predictions alone."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import recomputed
from conftest import Outcome


@pytest.fixture
def emodb() -> Path:
    found = Path(os.environ.get("SERCACHE_REAL_DATA", "")) / "emodb"
    if not found.is_dir():
        pytest.skip("needs EMO-DB: SERCACHE_REAL_DATA=FOLDER with emodb in it")
    return found


@pytest.mark.draws
@pytest.mark.slow
@pytest.mark.real_data
def test_what_is_printed_of_real_runs_is_what_their_predictions_give(
    sercache: Callable[..., Outcome], own_settings: Path, emodb: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three heads on EMO-DB, leave one speaker out: scores, intervals, tests, probabilities, parts."""
    monkeypatch.setattr(recomputed, "N_DRAWS", 40)  # as commands of the tests draw, not the 1000 of a user
    code, _, err = sercache(
        "extract", "--encoder", "logmel", "--dataset", "emodb", "--root", emodb, "--pooled-only"
    )
    assert code == 0, err
    runs = own_settings / "runs"
    names = ("short", "long", "logistic")
    for name, head, more in zip(
        names,
        ("linear", "linear", "logistic"),
        (["--set", "max-epochs=2"], ["--set", "max-epochs=30"], []),
        strict=True,
    ):
        code, _, err = sercache(
            "train", "--head", head, "--encoder", "logmel", "--dataset", "emodb", "--task", "4class", "--dev", "next",
            "--seeds", "2", *more, "--name", name,
        )  # fmt: skip
        assert code == 0, err
        assert recomputed.wrong_on_page(runs / name) == []
    folders = [runs / name for name in names]
    code, out, err = sercache("compare", *folders, "--format", "csv")
    assert code == 0, err
    assert recomputed.wrong_of_pairs(folders, list(csv.DictReader(out.splitlines()))) == []


def test_holm_and_the_test_over_speakers_are_those_of_scipy() -> None:
    """The means by which the figures are computed again, against scipy's own where it has them."""
    from scipy import stats

    random = np.random.default_rng(5)
    speaker = np.repeat([f"s{k}" for k in range(8)], 6)
    true, one, other = (random.integers(0, 3, 48) for _ in range(3))

    def said(predicted: np.ndarray) -> recomputed.Said:
        ids = np.array([str(k) for k in range(48)])
        zeros = np.zeros(48, int)
        return recomputed.Said(
            speaker, zeros, ids, speaker, true, predicted, np.zeros((48, 0)), ["a", "b", "c"]
        )

    shares = [
        np.array([(true[speaker == s] == each[speaker == s]).sum() for s in np.unique(speaker)])
        for each in (one, other)
    ]
    found = stats.permutation_test(
        shares,
        lambda a, b: (a - b).sum() / 48,
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=False,
    )
    assert recomputed.p_of_swaps(said(one), said(other), recomputed.wa) == pytest.approx(found.pvalue)
