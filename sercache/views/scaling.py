"""Normalisation statistics: exact means and deviations over all frames of a view or of each speaker."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sercache.errors import SettingsError
from sercache.views.source import Source
from sercache.views.view import FeatureView, Scaling

_CHUNK_BYTES = 1 << 25


def statistics(*views: FeatureView) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population standard deviation over all stored frames of some views: both (L, D) float64.

    Pooled from the items' own means, deviations and frame counts, so no frame is read.
    """
    parts = [part for view in views for part in _chunks(view)]
    if not parts:
        raise SettingsError("normalisation statistics need at least one utterance, got none")
    total = sum(weights.sum() for _, _, weights in parts)
    mean = np.zeros((views[0].n_layers, views[0].dim))
    for source, rows, weights in parts:
        mean += np.tensordot(weights, source.mean[rows].astype(np.float64), 1)
    mean /= total
    variance = np.zeros_like(mean)
    for source, rows, weights in parts:
        spread = source.std[rows].astype(np.float64) ** 2
        spread += (source.mean[rows] - mean) ** 2
        variance += np.tensordot(weights, spread, 1)
    return mean, np.sqrt(variance / total)


def _chunks(view: FeatureView) -> list[tuple[Source, np.ndarray, np.ndarray]]:
    """Source, rows and frame counts of slices of a view that are small enough for float64 copies."""
    step = max(1, _CHUNK_BYTES // (8 * view.n_layers * view.dim))
    slices = [view.rows[start : start + step] for start in range(0, len(view), step)]
    return [(view.source, rows, view.source.stored_frames[rows].astype(np.float64)) for rows in slices]


def global_scaling(*train: FeatureView) -> Scaling:
    """One mean and deviation per state and dimension, from the training part only."""
    mean, std = statistics(*train)
    return Scaling(mean[None], std[None])


def speaker_scaling(view: FeatureView, speakers: Mapping[str, str]) -> Scaling:
    """Mean and deviation per speaker over all of the speaker's items, test speakers included.

    Source: Pepino et al. 2021, section 3 (their "speaker" normalisation; it reads unlabelled test data).
    ``speakers`` maps utterance id to speaker. Raises SettingsError where a speaker is not known.
    """
    ids = list(dict.fromkeys(view.utterance_ids))
    nameless = [id for id in ids if not speakers.get(id)]
    if nameless:
        raise SettingsError(
            f"{len(nameless)} of {len(ids)} utterances have no speaker, first: {nameless[0]}; "
            "speaker normalisation needs one for each, use global or none"
        )
    of_speaker: dict[str, list[str]] = {}
    for id in ids:
        of_speaker.setdefault(speakers[id], []).append(id)
    moments = [statistics(view.subset(own)) for own in of_speaker.values()]
    groups = {id: k for k, own in enumerate(of_speaker.values()) for id in own}
    return Scaling(np.stack([m for m, _ in moments]), np.stack([s for _, s in moments]), groups)
