"""A second target beside the classes: who speaks, for heads that learn both (Park et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sercache.errors import RecipeError
from sercache.views import AnyView


def speakers_of(view: AnyView, speakers: Mapping[str, str], options: Mapping[str, Any]) -> np.ndarray:
    """Who speaks in each item of a training part, as a class (U,) in the order of names; -1 where nobody is named.

    ``speakers`` names who speaks in each utterance, ``options`` are the head's: ``speakers`` of them must be
    as many as the part has. Raises RecipeError.
    """
    spoken = [speakers.get(id, "") for id in view.utterance_ids]
    names = sorted(set(spoken) - {""})
    outputs = options.get("speakers")
    if not names:
        raise RecipeError(
            "second_weight trains speakers too, and this corpus names none; set second_weight=0"
        )
    if outputs is not None and outputs != len(names):
        raise RecipeError(
            f"the head has {outputs} outputs for speakers and the training part has {len(names)} speakers; "
            f"set --option speakers={len(names)}"
        )
    place = {name: k for k, name in enumerate(names)}
    return np.array([place.get(name, -1) for name in spoken], np.int64)
