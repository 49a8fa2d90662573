"""FeatureView: rows of a source with labels and, optionally, a normalisation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from sercache import advice
from sercache.clips import ClipRule, entry_ids, parse, utterance_id
from sercache.errors import MissingFeaturesError, SettingsError
from sercache.machine import free_memory
from sercache.states import select
from sercache.stores import FeatureStore
from sercache.views.source import MEMORY_SHARE, Affine, BatchMemory, Source, ViewPlan, check_means


@dataclass(frozen=True, eq=False)
class Scaling:
    """Normalisation ``(x - mean) / std`` by group; one group, or one per speaker."""

    mean: np.ndarray
    """(G, L, D) float64."""
    std: np.ndarray
    """(G, L, D) float64."""
    groups: Mapping[str, int] | None = None
    """Group of each utterance id; None: all belong to group 0."""

    def group_of(self, utterance_ids: Sequence[str]) -> np.ndarray:
        """(U,) int64 group of each utterance. Raises SettingsError for one without statistics."""
        if self.groups is None:
            return np.zeros(len(utterance_ids), np.int64)
        strange = [id for id in utterance_ids if id not in self.groups]
        if strange:
            raise SettingsError(
                f"{len(strange)} utterances have no normalisation statistics, first: {strange[0]}; "
                "take speaker statistics over all utterances that are used"
            )
        return np.array([self.groups[id] for id in utterance_ids], np.int64)


@dataclass(frozen=True, eq=False)
class FeatureView:
    """Rows of a source with labels; what training and prediction read. ``open_view`` makes the first."""

    source: Source
    rows: np.ndarray
    """(U,) int64 rows of the source."""
    labels: np.ndarray
    """(U,) int64 class of each item; zeros where the task gives numbers."""
    targets: np.ndarray | None = field(default=None, repr=False)
    """(U, C) float32 numbers of each item; None where the task gives classes."""
    shift: np.ndarray | None = field(default=None, repr=False)
    """(G, L, D) float32, taken off before scaling."""
    scale: np.ndarray | None = field(default=None, repr=False)
    """(G, L, D) float32, one over the standard deviation."""
    group: np.ndarray | None = field(default=None, repr=False)
    """(U,) int64."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_layers(self) -> int:
        """L, the number of states."""
        return len(self.source.states)

    @property
    def dim(self) -> int:
        """D, the feature size."""
        return self.source.dim

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the L states."""
        return self.source.states

    @property
    def n_frames(self) -> np.ndarray:
        """(U,) int64: T of each item as ``batch`` gives it; 1 for means over time."""
        return self.source.n_frames[self.rows]

    @property
    def entry_ids(self) -> list[str]:
        """Stored id of each item."""
        return [self.source.entry_ids[row] for row in self.rows]

    @property
    def utterance_ids(self) -> list[str]:
        """Utterance of each item; clips of one utterance share it."""
        return [self.source.utterance_ids[row] for row in self.rows]

    @property
    def plan(self) -> ViewPlan:
        """What reading the whole source takes."""
        return self.source.plan

    def batch(
        self, indices: Sequence[int] | np.ndarray | torch.Tensor, memory: BatchMemory | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (B, L, T, D) float32, zero where padded, and mask (B, T) bool, true on real frames.

        Of a cache of the clip rule ``whole`` what the encoder padded with lies behind the real frames.

        With ``memory`` the features lie there, until it is used for the next batch.
        """
        chosen = np.asarray(indices, np.int64)
        rows = self.rows[chosen]
        affine = None
        if self.shift is not None and self.scale is not None and self.group is not None:
            shift, scale = torch.from_numpy(self.shift), torch.from_numpy(self.scale)
            affine = Affine(shift, scale, self.group[chosen].tolist())
        x = self.source.gather(rows, affine, memory)
        mask = np.arange(x.shape[2]) < self.source.n_real[rows][:, None]
        return x, torch.from_numpy(mask)

    def expect(self, indices: np.ndarray) -> None:
        """Have the disk begin to read what ``batch`` will soon give; nothing where it lies in memory."""
        self.source.expect(self.rows[indices])

    def subset(self, utterance_ids: Sequence[str]) -> FeatureView:
        """The items of these utterances, in this order; nothing is copied.

        Raises MissingFeaturesError for an utterance that the view does not hold.
        """
        ids = self.utterance_ids
        places = dict(zip(ids, range(len(ids)), strict=True))  # of clips the last one
        clips: dict[str, list[int]] = {}
        for place, id in enumerate(ids if len(places) < len(ids) else ()):
            clips.setdefault(id, []).append(place)
        absent = [id for id in utterance_ids if id not in places]
        if absent:
            raise MissingFeaturesError(
                f"{len(absent)} of {len(utterance_ids)} utterances are not in this view, first: {absent[0]}"
            )
        if clips:
            keep = np.array([place for id in utterance_ids for place in clips[id]], np.int64)
        else:
            keep = np.fromiter(map(places.__getitem__, utterance_ids), np.int64, len(utterance_ids))
        group = None if self.group is None else self.group[keep]
        targets = None if self.targets is None else self.targets[keep]
        return replace(self, rows=self.rows[keep], labels=self.labels[keep], targets=targets, group=group)

    def scaled(self, scaling: Scaling) -> FeatureView:
        """This view normalised by ``scaling``, in place of any earlier normalisation."""
        # Below the rounding of the stored values a spread is noise: dividing by it would blow it up.
        floor = np.maximum(1e-8, self.source.rounding(scaling.mean))
        return replace(
            self,
            shift=scaling.mean.astype(np.float32),
            scale=(1 / np.maximum(scaling.std, floor)).astype(np.float32),
            group=scaling.group_of(self.utterance_ids),
        )


def open_view(
    store: FeatureStore,
    truth: Mapping[str, int | Sequence[float]],
    *,
    states: str,
    frames: bool,
    max_frames: int | None = None,
    skipped: Collection[str] = (),
    budget: int | None = None,
    remedy: str | None = None,
) -> FeatureView:
    """Features of the utterances that ``truth`` names, in its order: id -> class, or numbers (C,) for each of them.

    ``states`` is a selection as in ``--states``; ``frames`` chooses sequences, cut to ``max_frames``, instead of means
    over time; ``skipped`` names entries that extraction could not encode, so that a clip may be missing; ``budget``
    (bytes, default: MEMORY_SHARE of free memory) decides whether frames stay in memory; ``remedy`` ends
    the message of a MissingFeaturesError.
    Raises MissingFeaturesError, UnknownNameError (states) and SettingsError.
    """
    if frames and not store.spec.frames:
        raise SettingsError(
            "this head reads full sequences and the cache holds means only; "
            f"{_how_made(store)} without --pooled-only"
        )
    if not frames:
        check_means(store)
    if max_frames is not None and max_frames < 1:
        raise SettingsError(f"max frames must be at least 1, got {max_frames}")
    chosen = _states(store, states)
    entries, owners = _items(store, list(truth), skipped, remedy)
    budget = int(MEMORY_SHARE * free_memory()) if budget is None else budget
    source = Source(store, entries, owners, chosen, frames=frames, max_frames=max_frames, budget=budget)
    if any(isinstance(each, Sequence) for each in truth.values()):
        numbers = np.array([truth[owner] for owner in owners], np.float32)
        return FeatureView(source, np.arange(len(entries)), np.zeros(len(entries), np.int64), numbers)
    classes = np.array([truth[owner] for owner in owners], np.int64)
    return FeatureView(source, np.arange(len(entries)), classes, None)


def _states(store: FeatureStore, selection: str) -> tuple[str, ...]:
    """The selected states, as the encoder numbers them: a store may hold only some of them."""
    spec = store.spec
    if selection.strip() == "all":
        return spec.states
    chosen = select(spec.encoder_states or spec.states, selection)
    absent = [name for name in chosen if name not in spec.states]
    if absent:
        raise MissingFeaturesError(
            f"the cache holds states {' '.join(spec.states)}; {selection!r} also needs {' '.join(absent)}; "
            f"{_how_made(store)} with --states {selection}"
        )
    return chosen


def _how_made(store: FeatureStore) -> str:
    """Where the command that made a store stands: a view does not know how the encoder was called."""
    return f"`{advice.command('info', store.path)}` shows the command that adds to it"


def _items(
    store: FeatureStore, wanted: Sequence[str], skipped: Collection[str], remedy: str | None
) -> tuple[list[str], list[str]]:
    """Stored ids of the wanted utterances, clips in order, and the utterance of each."""
    rule = parse(store.spec.clip)
    if rule.kind != "split":  # an entry is an utterance, and bears its id
        held = set(store.ids())
        _check_there(store, wanted, [id for id in wanted if id not in held], remedy)
        return list(wanted), list(wanted)
    found = stored_entries(store)
    # A gap means that a crash fell between two clips: the later one is sealed, the earlier is not.
    torn = {id for id, own in found.items() if _gaps(own, rule) - set(skipped)}
    _check_there(store, wanted, [id for id in wanted if id not in found or id in torn], remedy)
    pairs = [(entry_id, id) for id in wanted for entry_id in found[id]]
    return [entry_id for entry_id, _ in pairs], [id for _, id in pairs]


def _check_there(
    store: FeatureStore, wanted: Sequence[str], missing: Sequence[str], remedy: str | None
) -> None:
    if missing:
        remedy = remedy or _how_made(store)
        raise MissingFeaturesError(
            f"{len(missing)} of {len(wanted)} utterances have no features, first: {missing[0]}; {remedy}"
        )


def stored_entries(store: FeatureStore) -> dict[str, list[str]]:
    """Entry ids of every utterance that a store holds something of, clips in order."""
    rule = parse(store.spec.clip)
    found: dict[str, list[str]] = {}
    for entry_id in store.ids():
        found.setdefault(utterance_id(entry_id, rule), []).append(entry_id)
    if rule.kind == "split":
        for own in found.values():
            own.sort(key=_number)
    return found


def _gaps(own: Sequence[str], rule: ClipRule) -> set[str]:
    """Entry ids that are missing before the last clip of an utterance that was split."""
    return set(entry_ids(utterance_id(own[0], rule), _number(own[-1]), rule)) - set(own)


def _number(entry_id: str) -> int:
    return int(entry_id.rpartition("#")[2])
