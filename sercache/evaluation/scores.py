"""From outputs to numbers: clips merged, runs scored, folds and seeds summarised."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
from torch import nn

from sercache import metrics
from sercache.errors import TrainingError
from sercache.record import Classes, Numbers, Prediction, Run, Summary, Target, score
from sercache.statistics import OF_NUMBERS, arrays, by_target, grouped, keys, over_folds, over_units
from sercache.training import Fit
from sercache.views import AnyView

_OF_CLASSES: dict[str, metrics.Metric] = {"wa": metrics.wa, "ua": metrics.ua, "macro_f1": metrics.macro_f1}


def merge_clips(logits: np.ndarray, utterance_ids: Sequence[str]) -> dict[str, np.ndarray]:
    """Probabilities (C,) float64 of each utterance: mean over its clips of the softmax of logits (U, C).

    Source: specification of Ioannides et al., section 1.4 (scores are per utterance; merging is our reading).
    """
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    probabilities = np.exp(shifted)
    probabilities /= probabilities.sum(1, keepdims=True)
    return mean_of_clips(probabilities, utterance_ids)


def mean_of_clips(values: np.ndarray, utterance_ids: Sequence[str]) -> dict[str, np.ndarray]:
    """Mean (C,) float64 over the clips of each utterance of values (U, C)."""
    clips: dict[str, list[np.ndarray]] = {}
    for id, row in zip(utterance_ids, values.astype(np.float64), strict=True):
        clips.setdefault(id, []).append(row)
    return {id: np.mean(rows, axis=0) for id, rows in clips.items()}


def predictions_of(
    outputs: np.ndarray, test: AnyView, fold: str, seed: int, speakers: Mapping[str, str]
) -> list[Prediction]:
    """One prediction per utterance of a view, from the logits or numbers (U, C) of its items.

    Raises TrainingError for outputs that are no numbers: the last update of a training may have broken it.
    """
    ids = test.utterance_ids
    bad = np.flatnonzero(~np.isfinite(outputs).all(1))
    if len(bad):
        raise TrainingError(
            f"fold {fold}, seed {seed}: the head gives no finite number for {len(bad)} of {len(ids)} items, "
            f"first: {ids[bad[0]]}; lower lr, or set clip_norm"
        )
    targets = test.targets
    if targets is not None:
        numbers = dict(zip(ids, targets.astype(np.float64).tolist(), strict=True))
        return [
            Prediction(id, fold, seed, tuple(numbers[id]), tuple(row.tolist()), speaker=speakers[id])
            for id, row in mean_of_clips(outputs, ids).items()
        ]
    truth = dict(zip(ids, test.labels.tolist(), strict=True))
    return [
        Prediction(
            id=id,
            fold=fold,
            seed=seed,
            true=truth[id],
            predicted=int(row.argmax()),
            probabilities=tuple(row.tolist()),
            speaker=speakers[id],
        )
        for id, row in merge_clips(outputs, ids).items()
    ]


def run_record(
    fold: str,
    seed: int,
    done: Fit,
    found: Sequence[Prediction],
    weights: tuple[float, ...] | None,
    target: Target,
    job: str = "",
) -> Run:
    """What one training came to; times are kept elsewhere, so that equal runs have equal records."""
    history = [{k: v for k, v in asdict(epoch).items() if k != "seconds"} for epoch in done.history]
    return Run(
        fold=fold,
        seed=seed,
        scores=scores(found, target) if found else {},
        best_epoch=done.best_epoch,
        stopped_early=done.stopped_early,
        n_updates=done.n_updates,
        history=tuple(history),
        layer_weights=weights,
        weights_sha256=weights_digest(done.head),
        job=job,
        notes=done.notes,
    )


def scores(found: Sequence[Prediction], target: Target) -> dict[str, float]:
    """Every metric of some predictions; of numbers the mean over targets, and ``rho:<target>`` for each.

    A correlation that is not defined, for predictions that are all the same, counts as 0.
    """
    truth, predicted = arrays(found, target)
    if isinstance(target, Classes):
        return {name: metric(truth, predicted) for name, metric in _OF_CLASSES.items()}
    table: dict[str, float] = {}
    for name in OF_NUMBERS:
        table |= zip(keys(name, target.names), by_target(name)(truth, predicted).tolist(), strict=True)
    return table


def undefined(found: Sequence[Prediction], target: Target) -> list[str]:
    """Targets whose predictions, or truth, are all one number: they have no correlation."""
    if not found or isinstance(target, Classes):
        return []
    truth, predicted = arrays(found, target)
    flat = (np.ptp(truth, axis=0) == 0) | (np.ptp(predicted, axis=0) == 0)
    return [name for name, is_flat in zip(target.names, flat, strict=True) if is_flat]


def flat_remark(flat: Sequence[str], n: int) -> str:
    """A line on correlations that are not defined: what they are of, among ``n`` scores."""
    return (
        f"rho is not defined for {len(flat)} of {n} scores, whose predictions or truth are all one number "
        f"(first: {flat[0]}); it counts as 0 there"
    )


def summarise(runs: Sequence[Run], predictions: Sequence[Prediction], target: Target) -> dict[str, Summary]:
    """Each metric over folds and over seeds (see AGGREGATES), with the interval of each.

    Empty without predictions.
    """
    if not predictions:
        return {}
    by_fold: dict[str, list[Run]] = {}
    for run in runs:
        by_fold.setdefault(run.fold, []).append(run)
    by_seed = grouped(predictions, lambda each: each.seed)
    pooled = [scores(found, target) for found in by_seed]
    means = {
        name: [float(np.mean([run.scores[name] for run in own])) for own in by_fold.values()]
        for name in pooled[0]
    }
    of_folds = over_folds(means, predictions, target)
    of_pooled = over_units(by_seed, target)
    return {
        name: Summary(
            folds=score(means[name]),
            seeds=score([found[name] for found in pooled]),
            folds_interval=of_folds.get(name),
            seeds_interval=of_pooled.get(name),
        )
        for name in pooled[0]
    }


def confusion(predictions: Sequence[Prediction], target: Target) -> tuple[tuple[int, ...], ...]:
    """Counts (C, C) over all folds and seeds: rows are true classes. Empty for numbers."""
    if isinstance(target, Numbers):
        return ()
    counts = metrics.confusion(*arrays(predictions, target), len(target.names))
    return tuple(tuple(int(cell) for cell in row) for row in counts)


def weights_digest(head: nn.Module) -> str:
    """sha256 of a head's weights and buffers, by name."""
    state = hashlib.sha256()
    for name, value in sorted(head.state_dict().items()):
        state.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return state.hexdigest()
