"""A card that is none: tensors that say they lie on another device, and hold their values on the CPU.

On a card an operation on tensors of two devices is an error. Here it is one too, so that a tensor which was left
behind on the CPU is found on a machine without a card. Unlike plain ``meta`` tensors these have values: code that
asks for them (``item``, ``nonzero``, a loss that must be finite) runs, and results can be compared with the CPU's.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

import sercache.encoders
from sercache.encoders import _arguments
from sercache.encoders.hf_speech import _groups

DEVICE = torch.device("meta")
"""What the tensors say: a device that exists in every build of torch and is not the CPU."""
MAY_MIX = {
    "aten.copy_": (None, "is there to bring values from one device to the other"),
    "aten.index": (1, "a card reads indices of the CPU; what they are taken from lies on the card"),
    "aten.index_put_": (1, "a card reads indices of the CPU; what is put, and where to, lies on the card"),
    "aten._pack_padded_sequence": (
        1,
        "lengths are those of the CPU on every device, and torch refuses others",
    ),
}
"""Operations that take tensors of both: which argument may be the CPU's (None: any), and why a card allows it."""


_WAITS = ("aten._local_scalar_dense", "aten.nonzero", "aten.is_nonzero", "aten.equal.", "aten.masked_select")
"""Operations whose result the processor waits for: a number, or how many there are."""


@dataclass
class Traffic:
    """What went between processor and card, and what was computed there, since it was counted anew."""

    moves: list[str] = field(default_factory=list)
    """To the card and back, and values that the processor waited for."""
    n_operations: int = 0
    """Computed on the card: each is a launch there, but for views."""
    n_bytes: int = 0
    """That these read and wrote."""

    def clear(self) -> None:
        """Begin anew."""
        self.moves, self.n_operations, self.n_bytes = [], 0, 0


TRAFFIC = Traffic()


class OnCard(torch.Tensor):
    """A tensor on the card."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Any:
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )

    def __init__(self, inner: torch.Tensor) -> None:
        self.inner = inner

    def __repr__(self, **options: Any) -> str:
        return f"OnCard({self.inner!r})"

    @property  # type: ignore[override]
    def data(self) -> torch.Tensor:
        """The same values."""
        return self.detach()

    @data.setter
    def data(self, other: OnCard) -> None:
        self.inner = other.inner

    def tolist(self) -> Any:
        """The values, which torch gives for plain tensors alone."""
        TRAFFIC.moves.append("tolist")
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


class Card(TorchDispatchMode):
    """While it is on, ``meta`` is the card: what is made there or moved there is an ``OnCard``."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    leaves = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    on_card = [each for each in leaves if isinstance(each, OnCard)]
    name = str(func)
    # A number on the CPU () goes with anything, on a card too.
    if on_card and any(
        not isinstance(each, OnCard) and each.dim() > 0 for each in _bound(func, args, kwargs)
    ):
        raise RuntimeError(f"{name} mixes tensors of the CPU and of the card")
    asked = kwargs.get("device")
    target = None if asked is None else torch.device(asked).type
    plain = tree_map(_inner, kwargs) | ({} if asked is None else {"device": torch.device("cpu")})
    found = func(*tree_map(_inner, args), **plain)
    _note(func, leaves, on_card, target, found)
    if "aten.copy_" in name:
        return args[0]
    if target == "cpu" or not (on_card or target == DEVICE.type):
        return found
    same = {id(each.inner): each for each in on_card}  # operations in place give what they were given
    if "aten._pack_padded_sequence" in name:  # sizes of its batches stay on the CPU
        return _wrapped(found[0], same), found[1]
    return tree_map(lambda each: _wrapped(each, same), found)


def _bound(func: Any, args: Any, kwargs: dict[str, Any]) -> list[torch.Tensor]:
    """The tensors of an operation that have to lie where the others do."""
    free, _ = MAY_MIX.get(str(func.overloadpacket), ((), ""))
    held = [] if free is None else [each for k, each in enumerate(args) if k != free]
    return [
        each for each in tree_leaves((held, {} if free is None else kwargs)) if isinstance(each, torch.Tensor)
    ]


def _note(func: Any, leaves: list[Any], on_card: list[Any], target: str | None, found: Any) -> None:
    """Count what an operation moves, waits for and computes."""
    name = str(func)
    crosses = "aten.copy_" in name and 0 < len(on_card) < len(leaves)
    crosses |= "aten._to_copy" in name and (target == "cpu" if on_card else target == DEVICE.type)
    chosen = "aten.index" in name and any(each.dtype == torch.bool for each in on_card[1:])
    if crosses or (on_card and (chosen or any(each in name for each in _WAITS))):
        TRAFFIC.moves.append(name)
    results = [each for each in tree_leaves(found) if isinstance(each, torch.Tensor)]
    held = {each.inner.untyped_storage().data_ptr() for each in on_card}
    is_view = all(each.untyped_storage().data_ptr() in held for each in results)
    in_place = func.overloadpacket.__name__.endswith("_")
    if "empty" in name:  # memory is taken, and nothing computed
        return
    if target == DEVICE.type or (on_card and (in_place or not is_view)):
        TRAFFIC.n_operations += 1
        TRAFFIC.n_bytes += sum(each.nbytes for each in results)
        TRAFFIC.n_bytes += sum(each.inner.nbytes for each in on_card)


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, OnCard) else value


def _wrapped(value: Any, same: dict[int, OnCard]) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return same[id(value)] if id(value) in same else OnCard(value)


_torch_stft = torch.stft


def _stft(wave: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
    """As torch's, which drops the batch of a single wave in place: what wraps the tensor does not hear of it."""
    return (
        _torch_stft(wave[None], *args, **options)[0]
        if wave.dim() == 1
        else _torch_stft(wave, *args, **options)
    )


@contextmanager
def card() -> Iterator[None]:
    """A machine with a card: ``device="cuda"`` of the encoders means it, and mixing raises RuntimeError."""
    placement, moved = _arguments.placement, _groups.moved

    def placed(device: str, precision: str) -> tuple[torch.device, torch.dtype]:
        return (DEVICE, getattr(torch, precision)) if device == "cuda" else placement(device, precision)

    for found in pkgutil.walk_packages(sercache.encoders.__path__, "sercache.encoders."):
        importlib.import_module(found.name)  # before names are looked for
    instead = ((placement, placed), (moved, lambda x, device: x.to(device)))
    with pytest.MonkeyPatch.context() as patch, Card():
        patch.setattr(torch, "stft", _stft)
        for module in [m for name, m in sys.modules.items() if name.startswith("sercache.encoders")]:
            for name, value in list(vars(module).items()):
                for real, other in instead:
                    if value is real:
                        patch.setattr(module, name, other)
        yield
