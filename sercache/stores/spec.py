"""FeatureSpec: everything that decides the bytes of a store, and nothing that does not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

DType = Literal["float16", "float32", "bfloat16"]

SCHEMA = 1


@dataclass(frozen=True)
class FeatureSpec:
    """What a store holds. Its digest names the folder; batch size and workers are not part of it."""

    encoder: str
    """Short name, hub id or folder name, for people; ``identity`` decides."""
    identity: Mapping[str, Any]
    """The encoder's identity: family, source, revision, sha256 of weights, preprocessing, the device if it matters."""
    sample_rate: int
    """Hz."""
    hop: int
    """Samples from one frame to the next."""
    corpus: str
    release: str
    states: tuple[str, ...]
    dim: int
    """Feature size D, the same for all states of a store."""
    dtype: DType = "float16"
    """Of the frames; means and standard deviations are float32 always."""
    frames: bool = True
    """False: only means and standard deviations over time are kept."""
    clip: str = "none"
    """``none``, ``trim:<s>`` or ``split:<s>``, in seconds."""
    encoder_states: tuple[str, ...] = ()
    """All states that the encoder has, so that ``blocks`` of a store of few means what it says."""
    transcripts: str = ""
    """Of an encoder of text: digest of the file whose transcripts it took; empty: the corpus' own."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, with the schema version."""
        record = {"schema": SCHEMA, **asdict(self)}
        lists = {"states": list(self.states), "encoder_states": list(self.encoder_states)}
        if not self.transcripts:
            del record["transcripts"]  # stores of before there were any keep their digest
        return record | {"identity": dict(self.identity)} | lists

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> FeatureSpec:
        """The spec that ``to_json`` wrote."""
        fields = {key: value for key, value in record.items() if key != "schema"}
        tuples = {name: tuple(fields.get(name, ())) for name in ("states", "encoder_states")}
        return cls(**{**fields, **tuples})

    @property
    def is_text(self) -> bool:
        """Whether frames are word pieces of transcripts, not stretches of audio."""
        return self.identity.get("modality") == "text"

    @property
    def shown(self) -> str:
        """The encoder's name for tables and plots; one with random weights is called that everywhere."""
        random = "random weights" in str(self.identity.get("source", ""))
        return f"{self.encoder} (random weights)" if random else self.encoder

    def is_held_by(self, other: FeatureSpec) -> bool:
        """Whether a store of ``other`` holds what this one would of equal samples, whatever corpus it is of."""
        named = replace(other, encoder=self.encoder, corpus=self.corpus, release=self.release)
        alike = replace(named, transcripts=self.transcripts, states=self.states, frames=self.frames)
        if not self.frames:  # means and deviations are float32 always
            alike = replace(alike, dtype=self.dtype)
        return self == alike and set(self.states) <= set(other.states) and other.frames >= self.frames

    @property
    def digest(self) -> str:
        """First 16 hex digits of the sha256 of the spec's canonical JSON."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
