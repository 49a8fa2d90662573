"""Vectors that trained heads give for utterances, and how far apart groups of them lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sercache import catalog, record
from sercache.errors import ContractError, SettingsError
from sercache.head import Embeds
from sercache.training import moved
from sercache.views import AnyView

_CHUNK = 16
"""Utterances at a time."""


@dataclass(frozen=True, eq=False)
class LabelledVectors:
    """Vectors (U, D) with the name of the group that each belongs to."""

    vectors: np.ndarray
    labels: tuple[str, ...]


def separation(found: LabelledVectors) -> record.Score | None:
    """Mean silhouette by cosine: 1 where groups lie apart, 0 where they are mixed; n is the utterances.

    None for fewer than two groups, as where one class alone is predicted.
    """
    from sklearn.metrics import silhouette_score

    n_groups = len(set(found.labels))
    if not 1 < n_groups < len(found.labels):
        return None
    mean = silhouette_score(found.vectors, found.labels, metric="cosine")
    return record.Score(float(mean), None, len(found.labels))


def check_embeds(name: str, head_class: type) -> None:
    """Raises SettingsError for a head without vectors of its own, naming those that have some."""
    if not issubclass(head_class, Embeds):
        heads = {each: catalog.load("sercache.heads", each).Head for each in catalog.names("sercache.heads")}
        others = ", ".join(each for each, kind in heads.items() if issubclass(kind, Embeds))
        raise SettingsError(f"{name} has no vectors of its own to show; heads that have: {others}")


def embedded(head: Any, view: AnyView, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (U, D) and outputs (U, C) of all items. Raises ContractError for vectors of another shape."""
    head = head.to(device)
    vectors, outputs = [], []
    with torch.inference_mode():
        for start in range(0, len(view), _CHUNK):
            x, mask = view.batch(np.arange(start, min(start + _CHUNK, len(view))))
            x, mask = moved(x, torch.device(device)), moved(mask, torch.device(device))
            found = head.embed(x, mask)
            _check_vectors(type(head).__module__, found, len(x if torch.is_tensor(x) else x[0]))
            vectors.append(found.float().cpu().numpy())
            outputs.append(head(x, mask).float().cpu().numpy())
    return np.concatenate(vectors), np.concatenate(outputs)


def _check_vectors(head: str, found: Any, n: int) -> None:
    shape = tuple(found.shape) if torch.is_tensor(found) else None
    if shape is None or len(shape) != 2 or shape[0] != n:
        got = shape or type(found).__name__
        raise ContractError(f"embed of the head {head} gives {got}, expected a tensor (B, D') = ({n}, D')")
