"""Stores that a table would have to extract first: their lengths and sizes are known before an encoder runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from sercache import encoders, extraction
from sercache.datasets import Corpus
from sercache.encoders import Encoder
from sercache.experiment.filling import place_of, plan_for
from sercache.experiment.finding import holds
from sercache.experiment.pace import amount, kept_speed, pace
from sercache.experiment.selection import chosen_utterances
from sercache.extraction import Plan
from sercache.recipe import Setup
from sercache.stores import Damage, Entry, FeatureSpec
from sercache.units import duration, size
from sercache.views import DrawnStore, Shape


@dataclass(frozen=True)
class ToExtract:
    """What filling a store takes."""

    encoder: str
    corpus: str
    n_entries: int
    amount: str
    """How much is encoded, in words."""
    pace: str
    """How fast, in words; empty where nobody knows."""
    seconds: float
    """At most, as what equals other audio is copied; NaN where nobody knows."""
    n_bytes: int
    """Of disk."""

    @property
    def time(self) -> str:
        """The time in words."""
        return (
            "time not known" if math.isnan(self.seconds) else f"about {duration(self.seconds)} ({self.pace})"
        )

    def __str__(self) -> str:
        return (
            f"first to extract: {self.encoder} x {self.corpus}, {self.n_entries} entries, {self.amount}, {self.time}; "
            f"{size(self.n_bytes)} of disk"
        )


class PlannedStore:
    """What is read of a store before it is there: ids and lengths as planned, values drawn."""

    def __init__(self, plan: Plan) -> None:
        self.path = Path("planned")  # nothing lies there
        self.spec = plan.spec
        pieces = [piece for batch in plan.batches for piece in batch]
        self._entries = {
            each.entry_id: Entry(each.entry_id, each.n_frames, each.n_samples, each.entry_id)
            for each in pieces
        }
        typical = round(float(np.mean([each.n_frames for each in pieces])))
        # Why something cannot be encoded is told by the extraction; here it counts as another one.
        self._entries |= {each.what: Entry(each.what, typical, typical, each.what) for each in plan.skipped}

    @cached_property
    def _drawn(self) -> DrawnStore:
        lengths = np.array([each.n_frames for each in self._entries.values()])
        return DrawnStore(
            Shape(len(self.spec.states), self.spec.dim, self.spec.frames, self.spec.dtype), lengths
        )

    def refresh(self) -> bool:
        """Nothing is committed to it."""
        return False

    def ids(self) -> list[str]:
        """All that will be there."""
        return list(self._entries)

    def entries(self) -> Mapping[str, Entry]:
        """With lengths, without digests: nothing was decoded."""
        return self._entries

    def read(self, id: str, states: Sequence[str] | None = None) -> np.ndarray:
        """Drawn frames (L', T, D)."""
        return self.read_many([id], states)[0]

    def read_stored(self, id: str, states: Sequence[str] | None = None) -> np.ndarray:
        """Drawn frames (L', T, D)."""
        return self.read(id, states)

    def read_many(self, ids: Sequence[str], states: Sequence[str] | None = None) -> list[np.ndarray]:
        """Drawn frames (L', T, D) of each."""
        return [x.copy() for _, x in sorted(self.read_each(ids, states), key=lambda pair: pair[0])]

    def read_each(
        self, ids: Sequence[str], states: Sequence[str] | None = None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Place and drawn frames (L', T, D) of each."""
        names, n_states = list(self._entries), len(states or self.spec.states)
        for place, x in self._drawn.read_each([str(names.index(id)) for id in ids], ()):
            yield place, x[:n_states]

    def expect(self, ids: Sequence[str], states: Sequence[str] | None = None) -> None:
        """Nothing: there is no disk to tell."""

    def pooled(
        self, ids: Sequence[str] | None = None, states: Sequence[str] | None = None, what: str = "mean"
    ) -> np.ndarray:
        """Drawn means (U, L', D)."""
        return self._drawn.pooled(self.ids() if ids is None else ids, states or self.spec.states, what)

    def n_bytes(self) -> int:
        """None yet."""
        return 0

    def verify(self) -> list[Damage]:
        """Nothing lies there."""
        return []


@dataclass(eq=False)
class PlannedStores:
    """Stores that are planned, each once, and what they take."""

    cache: Path
    device: str
    made: dict[str, PlannedStore] = field(default_factory=dict)
    """By what is extracted, as all below."""
    to_do: dict[str, ToExtract] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    """What was asked for since this was emptied last."""
    untold: dict[str, None] = field(default_factory=dict)
    """What takes a time that nobody knows, in words."""
    _loaded: tuple[str, Encoder] | None = None

    def of(self, setup: Setup, selection: str, corpus: Corpus, words: tuple[str | None, str]) -> PlannedStore:
        """The store that ``_extract`` would make for this input, or one that was planned and serves it.

        ``words``: the language that is read, and whose texts stand in for the corpus' own transcripts. Raises
        EncoderError, DiskSpaceError, AudioError, and UnknownNameError for states that the encoder lacks.
        """
        language, recogniser = words
        about = f"{setup.dataset} {setup.encoder} {setup.task} {language} {recogniser}"
        for key, made in self.made.items():
            if key.startswith(f"{about} ") and holds(made.spec, setup):
                self.used.add(key)
                return made
        encoder = self._encoder(setup.encoder)
        clip = "none" if encoders.modality(encoder) == "text" else setup.clip
        spec = extraction.feature_spec(
            encoder,
            corpus,
            selection=selection,
            frames=setup.cached_frames,
            clip=clip,
            transcripts=recogniser,
        )
        spec, folder = place_of(self.cache, spec, corpus, "zarr")
        utterances = chosen_utterances(corpus, setup.task, language)
        plan = plan_for(encoder, utterances, spec, folder)
        key = f"{about} {spec.digest}"
        self.made[key], self.to_do[key] = PlannedStore(plan), self._cost(plan, encoder, spec, corpus)
        self.used.add(key)
        return self.made[key]

    def _encoder(self, name: str) -> Encoder:
        """Loaded; the last one is kept."""
        if self._loaded is None or self._loaded[0] != name:
            self._loaded = None
            self._loaded = name, encoders.load(name, device=self.device)
        return self._loaded[1]

    def _cost(self, plan: Plan, encoder: Encoder, spec: FeatureSpec, corpus: Corpus) -> ToExtract:
        speed = kept_speed(self.cache, spec, self.device) or extraction.real_time_factor(encoder, spec.states)
        n, much = len(plan.pending), amount(spec, plan.seconds)
        return ToExtract(
            spec.shown, corpus.name, n, much, pace(spec, speed), plan.seconds / speed, plan.n_bytes
        )
