"""What a checkpoint of sentence-transformers makes of all word pieces of a text: one vector (Reimers et al., 2019)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sercache.encoders import _weight_files
from sercache.encoders._weight_files import check_own, read_json
from sercache.errors import EncoderError

if TYPE_CHECKING:
    from torch import Tensor

MODULES = "modules.json"
FILES = (
    MODULES,
    "*_Pooling/config.json",
    "*_Dense/config.json",
    "*_Dense/model.safetensors",
    "*_Dense/pytorch_model.bin",
)
"""What is fetched for it beside the encoder."""
_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
}
_BEHIND = ("Dense", "Normalize")
"""What may follow the encoder and the pooling."""


@dataclass(frozen=True)
class Sentence:
    """How the last states of all word pieces, specials and all, become one vector."""

    pooling: str
    """``mean``, ``cls`` (the first) or ``max``."""
    dense: tuple[Path, ...] = ()
    """Folders of layers behind it, in their order."""
    activations: tuple[str, ...] = ()
    normalize: bool = False
    """Whether its length is made 1."""

    @property
    def record(self) -> dict[str, Any]:
        """What decides the numbers, for the identity."""
        digests = [_weight_files.weights_sha256(_weight_files.weight_files(folder)) for folder in self.dense]
        return {
            "pooling": self.pooling,
            "dense_sha256": digests,
            "activations": list(self.activations),
            "normalize": self.normalize,
        }


def read(folder: Path) -> Sentence | None:
    """How ``folder`` makes sentences; None where it does not, or in another way than is known here.

    Raises EncoderError for files that cannot be read.
    """
    path = folder / MODULES
    check_own(path)
    if not path.exists():
        return None
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
        steps = [(str(each["type"]).rpartition(".")[2], str(each["path"])) for each in modules]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as fault:
        raise EncoderError(f"{path} lists no modules with type and path; get the file again") from fault
    kinds = [kind for kind, _ in steps]
    if kinds[:2] != ["Transformer", "Pooling"] or not set(kinds[2:]) <= set(_BEHIND):
        return None
    if "Normalize" in kinds[:-1] or any(Path(at).name != at for _, at in steps if at):
        return None
    pooling = read_json(folder / steps[1][1] / "config.json")
    modes = [name for name, value in pooling.items() if name.startswith("pooling_mode_") and value is True]
    mode = str(pooling.get("pooling_mode") or (_MODES.get(modes[0]) if len(modes) == 1 else None))
    if mode not in _MODES.values():
        return None
    dense = tuple(folder / at for kind, at in steps if kind == "Dense")
    activations = tuple(_activation(each) for each in dense)
    return Sentence(mode, dense, activations, kinds[-1] == "Normalize")


def _activation(folder: Path) -> str:
    found = str(read_json(folder / "config.json").get("activation_function", "")).rpartition(".")[2]
    if found not in ("Tanh", "Identity"):
        raise EncoderError(
            f"{folder / 'config.json'}: activation_function is {found!r}, expected Tanh or Identity; get the file again"
        )
    return found


@dataclass(frozen=True)
class SentenceLayers:
    """A ``Sentence`` with its weights."""

    how: Sentence
    layers: tuple[Mapping[str, Tensor], ...] = field(default=())
    """``weight`` (D', D) and ``bias`` (D',) of each."""

    @property
    def dim(self) -> int | None:
        """D' of the last layer; None: that of the encoder."""
        return len(self.layers[-1]["weight"]) if self.layers else None

    def __call__(self, x: Tensor) -> Tensor:
        """(B, T, D) of all word pieces to (B, D')."""
        from torch.nn import functional as F

        pooled = {"mean": x.mean(1), "cls": x[:, 0], "max": x.amax(1)}[self.how.pooling]
        for layer, activation in zip(self.layers, self.how.activations, strict=True):
            pooled = F.linear(pooled, layer["weight"], layer.get("bias"))
            pooled = pooled.tanh() if activation == "Tanh" else pooled
        return F.normalize(pooled, dim=1) if self.how.normalize else pooled


def load(how: Sentence, width: int, device: Any, dtype: Any) -> SentenceLayers:
    """The layers on a device. Raises EncoderError for weights that are missing or of another shape than ``width``."""
    layers = []
    for folder in how.dense:
        files = _weight_files.weight_files(folder)
        held = {name: x.to(device, dtype) for name, x in _weight_files.tensors_behind(files, r"linear\.")}
        if "weight" not in held or held["weight"].dim() != 2 or held["weight"].shape[1] != width:
            raise EncoderError(f"{files[0]} holds no layer for {width} features; get both of one checkpoint")
        bias = held.get("bias", held["weight"][:, 0])
        if bias.shape != (len(held["weight"]),):
            raise EncoderError(
                f"{files[0]} holds a bias {tuple(bias.shape)} for {len(held['weight'])} features; get the file again"
            )
        if not all(bool(x.isfinite().all()) for x in held.values()):
            raise EncoderError(f"{files[0]} holds values that are not finite; get the file again")
        layers.append(held)
        width = len(held["weight"])
    return SentenceLayers(how, tuple(layers))
