"""From logits to numbers: clips merged, runs scored, folds and seeds summarised."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import nn

from sercache import metrics
from sercache.report.record import METRICS, Prediction, Run, Summary, score
from sercache.training import Fit
from sercache.views import FeatureView

_METRIC = {"wa": metrics.wa, "ua": metrics.ua, "macro_f1": metrics.macro_f1}


def merge_clips(logits: np.ndarray, utterance_ids: Sequence[str]) -> dict[str, np.ndarray]:
    """Probabilities (C,) float64 of each utterance: mean over its clips of the softmax of logits (U, C).

    Source: specification of Ioannides et al., section 1.4 (scores are per utterance; merging is our reading).
    """
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    probabilities = np.exp(shifted)
    probabilities /= probabilities.sum(1, keepdims=True)
    clips: dict[str, list[np.ndarray]] = {}
    for id, row in zip(utterance_ids, probabilities, strict=True):
        clips.setdefault(id, []).append(row)
    return {id: np.mean(rows, axis=0) for id, rows in clips.items()}


def predictions_of(
    logits: np.ndarray, test: FeatureView, fold: str, seed: int, speakers: Mapping[str, str]
) -> list[Prediction]:
    """One prediction per utterance of a test view, from the logits (U, C) of its items."""
    ids = test.utterance_ids
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
        for id, row in merge_clips(logits, ids).items()
    ]


def run_record(
    fold: str, seed: int, done: Fit, found: Sequence[Prediction], weights: tuple[float, ...] | None
) -> Run:
    """What one training came to; times are kept elsewhere, so that equal runs have equal records."""
    history = [{k: v for k, v in asdict(epoch).items() if k != "seconds"} for epoch in done.history]
    return Run(
        fold=fold,
        seed=seed,
        scores=scores(found),
        best_epoch=done.best_epoch,
        stopped_early=done.stopped_early,
        n_updates=done.n_updates,
        history=tuple(history),
        layer_weights=weights,
        weights_sha256=_digest(done.head),
    )


def scores(found: Sequence[Prediction]) -> dict[str, float]:
    """Every metric of some predictions."""
    truth, predicted = _arrays(found)
    return {name: metric(truth, predicted) for name, metric in _METRIC.items()}


def summarise(runs: Sequence[Run], predictions: Sequence[Prediction]) -> dict[str, Summary]:
    """Each metric over folds and over seeds (see AGGREGATES), with its interval over speakers."""
    by_fold: dict[str, list[Run]] = {}
    for run in runs:
        by_fold.setdefault(run.fold, []).append(run)
    by_seed: dict[int, list[Prediction]] = {}
    for prediction in predictions:
        by_seed.setdefault(prediction.seed, []).append(prediction)
    pooled = [scores(found) for found in by_seed.values()]
    return {
        name: Summary(
            folds=score([float(np.mean([run.scores[name] for run in own])) for own in by_fold.values()]),
            seeds=score([found[name] for found in pooled]),
            interval=_interval(name, predictions),
        )
        for name in METRICS
    }


def confusion(predictions: Sequence[Prediction], n_classes: int) -> tuple[tuple[int, ...], ...]:
    """Counts (C, C) over all folds and seeds: rows are true classes."""
    counts = metrics.confusion(*_arrays(predictions), n_classes)
    return tuple(tuple(int(cell) for cell in row) for row in counts)


def meaning_of(head: nn.Module) -> str:
    """What this head's layer weights are, in a sentence; empty where it has none."""
    if hasattr(head, "layer_weights"):
        return "learned share of each state in the weighted sum"
    if hasattr(head, "attention"):
        return "attention that each state receives: mean over test utterances, heads and queries"
    return ""


def layer_weights(head: nn.Module, view: FeatureView, device: str = "cpu") -> tuple[float, ...] | None:
    """Share (L,) of each state, sum 1: ``layer_weights()`` of the head, or what its ``attention`` gives.

    ``attention(x, mask)`` is (B, heads, L queries, L keys); received attention is its mean over all but
    keys (specification of Ioannides et al., section 1.6). None for heads with neither, or a single state.
    """
    learned, attention = getattr(head, "layer_weights", None), getattr(head, "attention", None)
    if view.n_layers < 2 or (learned is None and attention is None):
        return None
    with torch.inference_mode():
        shares = learned().double().cpu() if learned else _received(head, view, device)
        shares = shares / shares.sum()
    # Weights of both signs can sum to zero: then there are no shares to speak of.
    return tuple(shares.tolist()) if bool(torch.isfinite(shares).all()) else None


def _received(head: nn.Module, view: FeatureView, device: str) -> torch.Tensor:
    """Attention (L,) that each state receives, summed over the items of a view."""
    attention: Any = head.to(device).attention
    total = torch.zeros(view.n_layers, dtype=torch.float64)
    for start in range(0, len(view), 64):
        x, mask = view.batch(np.arange(start, min(start + 64, len(view))))
        total += attention(x.to(device), mask.to(device)).double().mean((1, 2)).sum(0).cpu()
    head.to("cpu")
    return total


def _interval(name: str, predictions: Sequence[Prediction]) -> tuple[float, float] | None:
    # Predictions of all seeds are taken together: a speaker is drawn with all that was said of it.
    speakers = [prediction.speaker for prediction in predictions]
    if "" in speakers or len(set(speakers)) < 2:
        return None
    low, high = metrics.bootstrap(_METRIC[name], *_arrays(predictions), speakers)
    return low, high


def _arrays(found: Sequence[Prediction]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p.true for p in found], np.int64), np.array([p.predicted for p in found], np.int64)


def _digest(head: nn.Module) -> str:
    state = hashlib.sha256()
    for name, value in sorted(head.state_dict().items()):
        state.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return state.hexdigest()
