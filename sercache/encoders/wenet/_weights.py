"""final.pt of a WeNet checkpoint: the encoder's tensors, every one of them and no other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sercache.encoders import _faults
from sercache.encoders.wenet import _cmvn
from sercache.encoders.wenet._config import TrainConfig
from sercache.encoders.wenet._conformer import Conformer
from sercache.errors import EncoderError

_UNUSED = re.compile(r"^encoders\.\d+\.concat_linear\.|^embed\.pos_enc\.pe$|\.num_batches_tracked$")
"""Saved by some versions of WeNet; no state depends on them."""


def tensors(path: Path, prefix: str) -> dict[str, Tensor]:
    """Tensors of the checkpoint whose names begin with ``prefix``, without it, floats in float32.

    Raises EncoderError for a file that is no state dict; nothing in it is ever executed.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise EncoderError(f"{path} is missing; download the whole checkpoint") from None
    except Exception as fault:  # torch.load raises whatever its readers come across
        _faults.pass_on(fault, path)
        reason = " ".join(str(fault).split())[:200] or type(fault).__name__
        raise EncoderError(f"{path} cannot be loaded ({reason}); get the file again") from fault
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise EncoderError(f"{path} holds no state dict of tensors; it is not WeNet's final.pt")
    if found and not any(name.startswith(prefix) for name in found):
        before = next((name.partition(prefix)[0] for name in found if f".{prefix}" in name), "")
        if before:
            raise EncoderError(
                f"{path} holds its tensors under names that begin with {before!r}: saved with what wrapped the model "
                "in training; save the state dict of the model inside"
            )
    return {
        name.removeprefix(prefix): value.float() if value.is_floating_point() else value
        for name, value in found.items()
        if name.startswith(prefix)
    }


def load(folder: Path, config: TrainConfig, weights: Path) -> Conformer:
    """The encoder with its weights. Raises EncoderError where they do not fit ``config`` exactly."""
    found = {name: value for name, value in tensors(weights, "encoder.").items() if not _UNUSED.search(name)}
    if not found:
        raise EncoderError(f"{weights} has no tensors of an encoder; it is not WeNet's final.pt")
    if "global_cmvn.mean" not in found and config.cmvn is not None:
        found |= _statistics(folder, config)
    with torch.device("meta"):
        model = Conformer(config.conformer, has_cmvn="global_cmvn.mean" in found)
    _check(weights, model, found)
    model.load_state_dict(found, assign=True, strict=False)  # num_batches_tracked alone is missing
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.num_batches_tracked = torch.zeros((), dtype=torch.long)
    return model.eval().requires_grad_(False)


def _statistics(folder: Path, config: TrainConfig) -> dict[str, Tensor]:
    """Mean and variance from the file beside train.yaml, under the checkpoint's names."""
    mean, istd = _cmvn.read(config.statistics(folder), config.cmvn_is_json)
    return {"global_cmvn.mean": torch.from_numpy(mean), "global_cmvn.istd": torch.from_numpy(istd)}


def _check(path: Path, model: Conformer, found: Mapping[str, Tensor]) -> None:
    """Raise EncoderError for missing, superfluous, misshapen and non-finite tensors."""
    expected = {name: value.shape for name, value in model.state_dict().items() if not _UNUSED.search(name)}
    for what, names in (
        ("lacks", expected.keys() - found.keys()),
        ("holds beside", found.keys() - expected.keys()),
    ):
        if names:
            raise EncoderError(
                f"{path} {what} the encoder of train.yaml {len(names)} tensors, first {min(names)}; get both files of "
                "one model"
            )
    for name, shape in expected.items():
        if found[name].shape != shape:
            raise EncoderError(
                f"{path}: {name} has shape {tuple(found[name].shape)}, train.yaml makes it {tuple(shape)}; get both "
                "files of one model"
            )
        if not bool(found[name].isfinite().all()):
            raise EncoderError(
                f"{path} holds values that are not finite, first in {name}; get the file again"
            )
