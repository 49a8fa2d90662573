"""Normalisation statistics: exact means and deviations over all frames of a view or of each speaker."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sercache.errors import SettingsError
from sercache.views.source import Source
from sercache.views.view import FeatureView, Scaling

_CHUNK_BYTES = 1 << 21
"""Of a float64 copy: small enough for a processor's cache."""


def statistics(*views: FeatureView) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population standard deviation over all stored frames of some views: both (L, D) float64.

    Pooled from the items' own means, deviations and frame counts, so no frame is read.
    """
    parts = [part for view in views for part in _chunks(view)]
    if not parts:
        raise SettingsError("normalisation statistics need at least one utterance, got none")
    # One pass, about the first item's means: nothing is lost to cancellation in float64.
    source, rows, _ = parts[0]
    centre = source.mean[rows[0]].astype(np.float64)
    total, first, second = 0.0, np.zeros_like(centre), np.zeros_like(centre)
    for source, rows, weights in parts:
        shift = source.mean[rows] - centre
        spread = source.std[rows].astype(np.float64)
        total += weights.sum()
        first += np.tensordot(weights, shift, 1)
        second += np.tensordot(weights, np.square(spread, out=spread) + np.square(shift, out=shift), 1)
    first /= total
    return centre + first, np.sqrt(np.maximum(second / total - first**2, 0))


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
