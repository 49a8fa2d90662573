"""A small report written out by hand, for tests of tables, plots and run folders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sercache.evaluation.published import Difference
from sercache.record import FoldRecord, Interval, Prediction, Report, Run, Score, Summary


@dataclass(frozen=True)
class Printed:
    """A number as a paper prints it."""

    mean: float
    std: float | None = None
    differs: tuple[Difference, ...] = ()
    where: str = "paper table: row, column"


CLASSES = ("anger", "neutral", "sadness")


def make_report(
    n_folds: int = 3,
    seeds: tuple[int, ...] = (0, 1),
    *,
    dev: bool = True,
    layers: int = 4,
    seed: int = 0,
    **changes: object,
) -> Report:
    rng = np.random.default_rng(seed)
    names = [f"speaker {k + 1}" for k in range(n_folds)]
    predictions = []
    for name in names:
        for s in seeds:
            for k in range(6):
                p = tuple(float(v) for v in rng.dirichlet(np.ones(3)))
                predictions.append(Prediction(f"{name}/u{k}, ü", name, s, k % 3, int(np.argmax(p)), p, name))
    runs = [
        Run(
            fold=name,
            seed=s,
            scores=dict.fromkeys(("wa", "ua", "macro_f1"), float(rng.uniform(0.4, 0.9))),
            best_epoch=2,
            stopped_early=False,
            n_updates=10,
            history=tuple(
                {
                    "number": e,
                    "train_loss": 1.0 / e,
                    "dev_loss": 1.2 / e if dev else None,
                    "dev_ua": 0.1 + 0.2 * e if dev else None,
                    "lr": 0.001,
                }
                for e in (1, 2, 3)
            ),
            layer_weights=tuple(float(v) for v in rng.dirichlet(np.ones(layers))) if layers else None,
            weights_sha256="00",
        )
        for name in names
        for s in seeds
    ]
    counts = np.zeros((3, 3), int)
    for p in predictions:
        counts[p.true, p.predicted] += 1
    summary = Summary(
        Score(0.7, 0.02, n_folds),
        Score(0.71, 0.01, len(seeds)),
        Interval(0.66, 0.77, n_folds, "folds"),
        Interval(0.65, 0.78, n_folds, "speakers"),
    )
    values = {
        "head": "superb",
        "options": {},
        "n_parameters": 7,
        "recipe": {"loss": "focal", "select": "dev-loss", "lr": 0.001},
        "setup": {
            "encoder": "wavlm-large",
            "dataset": "emodb",
            "protocol": "leave-one-speaker-out",
            "states": "blocks",
            "normalise": "global",
            "clip": "none",
            "dev": "next",
            "seeds": list(seeds),
        },
        "deviations": ("clip none instead of split:5",),
        "corpus": {
            "name": "emodb",
            "release": "classic",
            "task": "3class",
            "n_utterances": 6 * n_folds,
            "n_speakers": n_folds,
            "class_counts": dict.fromkeys(CLASSES, 2 * n_folds),
            "left_out": {},
            "skipped": [],
            "warnings": [],
        },
        "classes": CLASSES,
        "features": {"states": [str(k + 1) for k in range(layers or 1)], "dim": 8, "digest": "ab"},
        "folds": tuple(FoldRecord(name, True, 12, 6, 6, "a", "b", "c", True) for name in names),
        "normalisation": "global: mean and standard deviation of the training part",
        "selection": "the epoch with the lowest dev loss",
        "seeds": seeds,
        "runs": tuple(runs),
        "predictions": tuple(predictions),
        "summary": dict.fromkeys(("wa", "ua", "macro_f1"), summary),
        "confusion": tuple(tuple(int(c) for c in row) for row in counts),
        "layer_weights_are": "learned share of each state" if layers else "",
        "environment": {"packages": {"torch": "2"}, "device": "cpu"},
        "timing": {"started": "2026-01-01T00:00:00+00:00", "seconds": 1.5},
    }
    return Report(**{**values, **changes})  # type: ignore[arg-type]
