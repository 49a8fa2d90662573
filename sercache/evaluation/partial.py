"""Trainings of an evaluation that is not finished: each is on the disk as soon as it is done.

One file per training (safetensors: the weights, and the rest of the Fit as JSON beside them), named by fold,
seed and a digest of all that decides it: head and its options, recipe, features, labels, initial weights, the
code that trains. What other settings or another version left behind is not taken for ours.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch.nn import Module

from sercache import __version__, files, metrics, nn, training, views
from sercache.recipe import Recipe
from sercache.training import Epoch, Fit, Member, View
from sercache.training.contract import second_of, targets_of
from sercache.training.feeding import features_of
from sercache.views import FeatureView, JoinedView, SideBySideView

_FIELD = "fit"


@dataclass(frozen=True)
class Partial:
    """The folder of an unfinished evaluation, ``RUN.partial``."""

    folder: Path
    recipe: Recipe
    device: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the head: a rate of dropout, for example, shows in no weight."""

    def key(self, fold: str, member: Member) -> str:
        """File name of a training; of another one in any respect that decides it, another name."""
        state = hashlib.sha256()
        device = self.device.partition(":")[0]
        order = member.seed if member.order_seed is None else member.order_seed
        options = sorted(self.options.items())
        versions = (__version__, torch.__version__, _code())
        for part in (*versions, repr(self.recipe), options, member.seed, order, device):
            state.update(f"{part}\n".encode())
        state.update(_source(member.head).encode())
        for name, value in sorted(member.head.state_dict().items()):
            state.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
        for view in (member.train, member.dev):
            _add(state, view)
        return f"fold-{quote(fold, safe=' ')}-seed-{member.seed}-{state.hexdigest()[:16]}.safetensors"

    def write(self, key: str, done: Fit) -> None:
        """Bring a training to the disk; it is there whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        record = {name: value for name, value in vars(done).items() if name not in ("head", "history")}
        record["history"] = [asdict(epoch) for epoch in done.history]
        temporary = self.folder / f".{secrets.token_hex(4)}.new"
        files.write_tensors(temporary, done.head.state_dict(), {_FIELD: json.dumps(record)})
        temporary.rename(self.folder / key)
        files.sync_folder(self.folder)

    def read(self, key: str, head: Module) -> Fit | None:
        """The training of this name, its weights in ``head``; None where it is not there or damaged."""
        path = self.folder / key
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                record: dict[str, Any] = json.loads(file.metadata()[_FIELD])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            return None  # it is trained again, and then replaced
        head.load_state_dict(weights)
        history = tuple(Epoch(**epoch) for epoch in record.pop("history"))
        return Fit(head=head.eval(), history=history, **{**record, "notes": tuple(record["notes"])})


def remove(folder: Path) -> None:
    """Remove the folder of a run that stands: all trainings in it, of other settings too."""
    for path in (*folder.glob("fold-*.safetensors"), *folder.glob(".*.new")):
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


@functools.cache
def _code() -> str:
    """Digest of what trains: how batches are read, the loop, the parts of heads, what selects an epoch."""
    return code_digest([Path(str(module.__file__)) for module in (training, nn, views, metrics)])


def code_digest(modules: Sequence[Path]) -> str:
    """Digest (hexadecimal) of the source of some modules; with ``__init__.py`` of all in its folder."""
    state = hashlib.sha256()
    for path in modules:
        folder = path.parent
        for file in sorted(folder.rglob("*.py")) if path.name == "__init__.py" else [path]:
            text = file.read_bytes()
            state.update(f"{file.relative_to(folder).as_posix()} {len(text)}\n".encode() + text)
    return state.hexdigest()


def _source(head: Module) -> str:
    """The text of the modules that the head's parts come from, torch's own apart."""
    files = {inspect.getsourcefile(type(part)) for part in head.modules() if not _is_torch(part)}
    return "".join(Path(name).read_text(encoding="utf-8") for name in sorted(filter(None, files)))


def _is_torch(part: Module) -> bool:
    return type(part).__module__.startswith("torch.")


def _add(state: Any, view: View | None) -> None:
    """Bring what a view says of its items, and where their features come from, into a digest."""
    if view is None or not len(view):
        state.update(b"none\n")
        return
    for values in (view.labels, targets_of(view), second_of(view), view.n_frames):
        state.update(b"-" if values is None else np.ascontiguousarray(values).tobytes())
    parts: tuple[Any, ...] = ()
    if isinstance(view, SideBySideView):
        parts = view.inputs
    elif isinstance(view, JoinedView):
        parts = view.parts
    elif features_of(view) is not view:
        parts = (features_of(view),)
    for part in parts:
        _add(state, part)
    if isinstance(view, FeatureView):
        source = view.source
        state.update(repr((source.store.spec.digest, source.states, source.frames, view.entry_ids)).encode())
        for scaling in (view.shift, view.scale, view.group):
            state.update(b"-" if scaling is None else np.ascontiguousarray(scaling).tobytes())
