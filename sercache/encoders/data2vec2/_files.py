"""The files of a checkpoint: FunASR's config.yaml with its weights, or one file of fairseq that holds both."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sercache.encoders import _faults
from sercache.encoders._weight_files import check_own, check_weight_file, read_json
from sercache.encoders.data2vec2 import _config
from sercache.encoders.data2vec2._config import Data2Vec2Config
from sercache.encoders.data2vec2._model import Data2Vec2
from sercache.errors import EncoderError
from sercache.units import listed

CONFIG, CONFIGURATION = "config.yaml", "configuration.json"
_MARK = "modality_encoders.AUDIO.project_features.2.weight"
"""A tensor that every such model has; what stands before it stands before the others."""
_OWN = re.compile(
    r"^(blocks|norm|modality_encoders\.AUDIO\.(local_encoder|project_features|relative_positional_encoder"
    r"|fixed_positional_encoder|context_encoder|extra_tokens|alibi_scale|alibi_bias))(\.|$)"
)
"""Names of what gives the states. The decoder, the teacher, the states of an optimiser and the classifier of
emotion2vec+ (``proj``) lie beside them and are not used."""


@dataclass(frozen=True)
class KnownFiles:
    """A checkpoint that is known to be complete."""

    weights: Path
    config: Data2Vec2Config


def weights_of(folder: Path) -> Path:
    """The file of the weights: the one that configuration.json names, or the only one that ends in .pt.

    Raises EncoderError where there is none, or more than one and no word on which.
    """
    named = folder / CONFIGURATION
    if named.exists():
        check_own(named)
        files = read_json(named).get("file_path_metas")
        name = files.get("init_param") if isinstance(files, dict) else None
        if isinstance(name, str) and Path(name).name == name and name not in ("", ".", ".."):
            return _there(folder / name)
    found = sorted(folder.glob("*.pt"))
    if len(found) != 1:
        what = (
            f"{len(found)} files that end in .pt, {listed([path.name for path in found])}"
            if found
            else "no weights"
        )
        raise EncoderError(f"{folder} holds {what}, expected model.pt; download the whole checkpoint")
    return _there(found[0])


def _there(path: Path) -> Path:
    check_own(path)
    check_weight_file(path)
    return path


def read(folder: Path) -> KnownFiles:
    """What a folder holds, its configuration read. Raises EncoderError."""
    if (folder / CONFIG).exists():
        check_own(folder / CONFIG)
        return KnownFiles(weights_of(folder), _config.read(folder / CONFIG))
    weights = weights_of(folder)
    cfg = _loaded(weights).get("cfg")
    if not isinstance(cfg, dict):
        raise EncoderError(
            f"{folder} has no {CONFIG} or other file that says of what model {weights.name} is, which holds no "
            "configuration of fairseq either; download the whole checkpoint"
        )
    return KnownFiles(weights, _config.of_fairseq(weights, cfg))


def load(files: KnownFiles) -> Data2Vec2:
    """The model with its weights in float32. Raises EncoderError where they do not fit the configuration exactly."""
    found = _tensors(files.weights)
    with torch.device("meta"):
        model = Data2Vec2(files.config)
    _check(files.weights, {name: value.shape for name, value in model.state_dict().items()}, found)
    own = {name: value.to(torch.float32, copy=True) for name, value in found.items()}  # not the mapped file
    model.load_state_dict(own, assign=True)
    return model.eval().requires_grad_(False)


def _tensors(path: Path) -> dict[str, Tensor]:
    """The tensors that give the states, by their names in the published model. Raises EncoderError."""
    held: Any = _loaded(path)
    for wrapped in ("state_dict", "model_state_dict", "model"):  # the order in which FunASR looks
        if isinstance(held.get(wrapped), Mapping):
            held = held[wrapped]
    mark = next((str(name) for name in held if str(name).endswith(_MARK)), None)
    if mark is None:
        raise EncoderError(f"{path} has no tensor {_MARK}: it is no data2vec 2.0 of audio")
    prefix = mark.removesuffix(_MARK)
    own = {
        str(name).removeprefix(prefix): value for name, value in held.items() if str(name).startswith(prefix)
    }
    found = {name: value for name, value in own.items() if _OWN.match(name)}
    for name, value in found.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            kind = str(value.dtype) if isinstance(value, Tensor) else type(value).__name__
            raise EncoderError(
                f"{path} holds {name} as {kind}, expected floating-point numbers; get the file again"
            )
    scale = "modality_encoders.AUDIO.alibi_scale"
    if scale in found and found[scale].dim() == 4:  # of fairseq before scales could differ by layer
        found[scale] = found[scale][None]
    return found


def _check(path: Path, expected: Mapping[str, torch.Size], found: Mapping[str, Tensor]) -> None:
    """Raise EncoderError for missing, superfluous, misshapen and non-finite tensors."""
    both = "get configuration and weights of one model"
    for what, names in (
        ("lacks", expected.keys() - found.keys()),
        ("holds beside", found.keys() - expected.keys()),
    ):
        if names:
            raise EncoderError(
                f"{path} {what} what its configuration describes {len(names)} tensors, first {min(names)}; {both}"
            )
    for name, shape in expected.items():
        if found[name].shape != shape:
            raise EncoderError(
                f"{path}: {name} has shape {tuple(found[name].shape)}, its configuration says {tuple(shape)}; {both}"
            )
        if not bool(found[name].isfinite().all()):
            raise EncoderError(
                f"{path} holds values that are not finite, first in {name}; get the file again"
            )


def _loaded(path: Path) -> dict[str, Any]:
    """What torch.save wrote, its tensors mapped into memory; nothing in it is ever executed. Raises EncoderError."""
    try:
        is_zip = _is_zip(path)
        if is_zip and not zipfile.is_zipfile(path):
            raise EncoderError(f"{path} is cut short, its end is missing; download it again")
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except EncoderError:
        raise
    except Exception as fault:  # torch.load raises whatever its readers come across
        _faults.pass_on(fault, path)
        raise _unread(path, fault) from fault
    if not isinstance(found, dict):
        raise EncoderError(f"{path} holds {type(found).__name__}, expected a checkpoint; get the file again")
    return found


def _unread(path: Path, fault: Exception) -> EncoderError:
    if "nsupported global" in str(fault) or "nsupported class" in str(fault):
        return EncoderError(
            f"{path} holds more than tensors and plain values, objects that could run code, and is not loaded; "
            "save what it holds under 'model' and 'cfg' alone, as plain dictionaries"
        )
    reason = " ".join(str(fault).split())[:200] or type(fault).__name__
    if "Weights only load failed" in reason:
        reason = "it is no file that torch.save wrote"
    return EncoderError(f"{path} cannot be loaded ({reason}); get the file again")


def _is_zip(path: Path) -> bool:
    """Whether a file has the format of PyTorch 1.6 on, which can be mapped."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"
