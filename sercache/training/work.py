"""A training of many that are alike, and what it takes by the pace of a few of its updates."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass

import numpy as np
import torch

from sercache import __version__, paces
from sercache.head import version_of
from sercache.recipe import Recipe
from sercache.record import TRAINING, digest_of
from sercache.training.contract import Member, place_of, variants_of
from sercache.training.grouping import geometry
from sercache.training.many import Choice
from sercache.training.plan import computes_at_once, drawn_batches, update_groups
from sercache.training.residing import has_room
from sercache.training.tables import Tables
from sercache.views import FeatureView, inputs_of, shape_of

_COUNTS = ("loss", "optimiser", "batch_size", "accumulate", "bucket", "balance", "clip_value", "clip_norm")
"""Fields of a recipe that move the time of an update, beside ``mixed_precision`` and ``second_weight``."""


@dataclass(frozen=True)
class Pace:
    """What was measured."""

    update: float
    """Seconds of an update, of all members that are computed at once."""
    frames: float
    """Frames of it, padding included; of means one an item."""
    judged: float
    """Seconds of a frame of an item that is predicted after an epoch, by all members that are computed at once."""
    tested: float = 0.0
    """As ``judged``, of an item that is predicted after the training: its features lie with the store."""
    start: float = 0.0
    """Seconds of a training beyond its epochs: the head's way to the device and back, what is first and dearer."""
    brought: float = 0.0
    """Seconds of a frame that is brought to the device before the first training, for all of them."""
    is_rough: bool = False
    """Whether it is that of a first update alone, since there is so little to do."""


@dataclass(frozen=True, eq=False)
class Work:
    """A training of many that are alike."""

    member: Member
    recipe: Recipe
    device: str
    choice: Choice

    @property
    def n_at_once(self) -> int:
        """Trainings that are computed at once: processes, or members of a stack."""
        return self.choice.n_workers or max(map(len, self.choice.stacks), default=1)

    @functools.cached_property
    def groups(self) -> list[list[np.ndarray]]:
        """Batches of an epoch, by update."""
        train, recipe = self.member.train, self.recipe
        parts = drawn_batches(recipe, train.labels, train.n_frames, variants_of(train), self.member.seed, 1)
        at_once = computes_at_once(recipe, train.n_frames)
        return update_groups(parts, recipe.accumulate, at_once=at_once)

    @functools.cached_property
    def sizes(self) -> list[int]:
        """Frames of each update, padding included."""
        lengths = self.member.train.n_frames
        return [sum(len(rows) * int(lengths[rows].max()) for rows in group) for group in self.groups]

    def seconds(self, pace: Pace, n_tested: int) -> float:
        """What one training takes where each epoch is done, ``n_tested`` frames being tested at its end."""
        dev = 0 if self.member.dev is None else int(self.member.dev.n_frames.sum())
        updates = pace.update * sum(self.sizes) / max(pace.frames, 1)
        if self._is_of_means:  # an update of few items takes about as long as one of many
            updates = pace.update * len(self.groups)
        epochs = self.recipe.max_epochs * (updates + pace.judged * dev)
        return pace.start + epochs + pace.tested * n_tested

    def once(self, pace: Pace) -> float:
        """Seconds of bringing the features to the device, all of their source, which is done for all trainings."""
        if self.choice.held is not None:
            return 0.0
        inputs = inputs_of(self.member.train)  # type: ignore[arg-type]
        sources = [each.source for each in inputs if isinstance(each, FeatureView)]
        own = int(self.member.train.n_frames.sum())
        return pace.brought * max((int(each.n_frames.sum()) for each in sources), default=own)

    @functools.cached_property
    def is_held(self) -> bool:
        """Whether the features lie on the device, or come to; else each batch is sent there."""
        if self.choice.held is not None:
            return self.choice.held
        return has_room(self.member.train, place_of(self.device), Tables())

    @property
    def _is_of_means(self) -> bool:
        return int(self.member.train.n_frames.max(initial=1)) == 1

    @property
    def key(self) -> str:
        """What the time of an update depends on, in a digest."""
        recipe = asdict(self.recipe)
        fields = {name: recipe[name] for name in (*_COUNTS, "mixed_precision", "second_weight")}
        about = [
            version_of(type(self.member.head)),
            geometry(self.member.head),
            [asdict(shape_of(each)) for each in inputs_of(self.member.train)],  # type: ignore[arg-type]
            # Lengths within a tenth of each other count as the same; what is measured goes by frames.
            round(float(np.log(np.mean(self.sizes)) / np.log(1.1))),
            fields,
            [self.choice.n_workers > 0, self.n_at_once if self.choice.stacks else 1, self.is_held],
            [
                paces.machine(self.device),
                torch.get_num_threads(),
                torch.__version__,
                __version__,
            ],
            TRAINING,
        ]
        return digest_of(json.loads(json.dumps(about)))
