"""FeatureSpec: everything that decides the bytes of a store, and nothing that does not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from sercache.augment import said

DType = Literal["float16", "float32", "bfloat16", "int8"]

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
    """As sercache.clips writes it: ``none``, ``trim:<s>``, ``split:<s>``, …"""
    encoder_states: tuple[str, ...] = ()
    """All states that the encoder has, so that ``blocks`` of a store of few means what it says."""
    transcripts: str = ""
    """Of an encoder of text: digest of the file whose transcripts it took; empty: the corpus' own."""
    through: str = ""
    """Types that the frames were rounded to before this one, ``float16`` or ``float16+bfloat16``; empty: none."""
    augment: Mapping[str, Any] = field(default_factory=dict)
    """What was done to the recordings first: steps, seed, variant (sercache.augment); empty: nothing."""
    speech: str = ""
    """What told speech from silence where the clip rule is to, with its version; empty: nothing did."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, with the schema version."""
        record = {"schema": SCHEMA, **asdict(self)}
        lists = {"states": list(self.states), "encoder_states": list(self.encoder_states)}
        for name in ("transcripts", "through", "augment", "speech"):  # stores of before there were any keep
            if not record[name]:  # their digest
                del record[name]
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
    def sound(self) -> str:
        """What was done to the recordings, in words: ``trim:15``, ``none; noise:white:snr=10, seed 0, variant 1``."""
        by = f" by {self.speech}" if self.speech else ""
        return "; ".join(filter(None, (f"{self.clip}{by}", said(self.augment))))

    @property
    def values(self) -> str:
        """What decides the values of the frames beside their encoder: ``float16``, ``float32 of float16``."""
        return f"{self.dtype} of {self.through}" if self.through else self.dtype

    def of_dtype(self, dtype: DType) -> FeatureSpec:
        """The spec of a store of these frames in another type: as extracted where they were never rounded before."""
        rounded = [*filter(None, self.through.split("+")), *([self.dtype] if self.dtype != "float32" else [])]
        if rounded and rounded[-1] == dtype:
            rounded.pop()
        return replace(self, dtype=dtype, through="+".join(rounded))

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
            alike = replace(alike, dtype=self.dtype, through=self.through)
        return self == alike and set(self.states) <= set(other.states) and other.frames >= self.frames

    @property
    def digest(self) -> str:
        """First 16 hex digits of the sha256 of the spec's canonical JSON."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
