"""Augmentation: what is done to a recording before it is encoded, the same bits whoever does it and whenever.

Written ``noise:snr=10``, or steps one after another, ``reverb:rt60=0.5+noise:babble:snr=5+codec:mulaw`` (``parse``).
What a step draws follows from the seed, the number of the variant and the digest of the recording alone, so that
neither the order of work nor who shares it moves a bit, and equal audio stays equal (docs/decisions/0092).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sercache.augment._grammar import FORMS, Augmentation, Step, conditions, parse
from sercache.augment._material import (
    BABBLE_POOL,
    AddedRecordings,
    SourceStretch,
    added_recordings,
    folder_of,
    needs_corpus,
)
from sercache.augment._steps import ACTIVE_DB, VERSION, active_power, applied, length

__all__ = [
    "ACTIVE_DB",
    "BABBLE_POOL",
    "FORMS",
    "AddedRecordings",
    "Augmentation",
    "ReadyAugmentation",
    "SourceStretch",
    "Step",
    "active_power",
    "added_recordings",
    "applied",
    "conditions",
    "folder_of",
    "length",
    "needs_corpus",
    "parse",
    "said",
    "text_of",
    "written",
]

_FOLDER = "FOLDER"


@dataclass(frozen=True)
class ReadyAugmentation:
    """An augmentation with the recordings that it takes."""

    augmentation: Augmentation
    material: AddedRecordings

    @cached_property
    def spec(self) -> dict[str, Any]:
        """What a FeatureSpec holds: recordings by digests of what they are, not by where they lie."""
        digests, steps = self.material.digests, self.augmentation.steps
        named = {folder: f"[{digests[folder]}]" for folder in self.material.folders}
        if "babble" in digests:
            named["babble"] = f"babble[{digests['babble']}]"
        shown = "+".join(str(replace(each, what=named.get(each.what, each.what))) for each in steps)
        numbers = {"seed": self.augmentation.seed, "variant": self.augmentation.variant}
        return {"steps": shown, **(numbers if self.augmentation.draws else {}), "version": VERSION} | _coder(
            steps
        )

    def length(self, n_samples: int) -> int:
        """Samples that come out of ``n_samples``."""
        return length(n_samples, self.augmentation)

    def applied(self, wave: np.ndarray, rate: int, digest: str) -> np.ndarray:
        """The augmented wave (N',) float32. Raises AudioError."""
        return applied(wave, rate, self.augmentation, self.material, digest)


def _coder(steps: tuple[Step, ...]) -> dict[str, str]:
    if not any(each.kind == "codec" for each in steps):
        return {}
    import soundfile

    return {"coder": f"libsndfile {soundfile.__libsndfile_version__}"}


def text_of(spec: Mapping[str, Any]) -> str | None:
    """What writes the augmentation that a FeatureSpec holds; None where there is none, or its folders are not known."""
    found = written(spec)
    return None if not found or _FOLDER in found else found


def written(spec: Mapping[str, Any]) -> str:
    """As ``text_of``, with FOLDER for each folder; empty where there is no augmentation."""
    steps = re.sub(r"babble\[[0-9a-f]*\]", "babble", str(spec.get("steps", "")))
    steps = re.sub(r"\[[0-9a-f]*\]", _FOLDER, steps)
    numbers = (f"{name}:{spec[name]}" for name in ("seed", "variant") if spec.get(name))
    return "+".join([steps, *numbers]) if steps else ""


def said(spec: Mapping[str, Any]) -> str:
    """In words what a FeatureSpec says of an augmentation; empty where there is none."""
    if not spec:
        return ""
    numbers = [f"{name} {spec[name]}" for name in ("seed", "variant") if name in spec]
    return ", ".join([str(spec.get("steps")), *numbers, *([str(spec["coder"])] if "coder" in spec else [])])
