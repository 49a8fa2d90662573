"""What the authors of a checkpoint say of it, so that it is known without its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LIBRISPEECH = "LibriSpeech 960 h (English)"
LIBRI_LIGHT = "Libri-Light 60,000 h (English)"


@dataclass(frozen=True)
class PublishedEncoder:
    """A checkpoint as the pages of its authors describe it."""

    trained_on: str
    """Corpora and hours, in the order of the training; without "labels of", unlabelled."""
    licence: str
    config: Mapping[str, Any] = field(default_factory=dict)
    """Settings of its config.json that decide its size, as far as they are no defaults of transformers' class; empty
    where they are not known here."""
