"""What decides the states of a data2vec 2.0 audio model, from FunASR's config.yaml or fairseq's ``cfg``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sercache.encoders import _faults
from sercache.errors import EncoderError

_NAME = "Emotion2vec"
"""What FunASR calls the architecture in config.yaml."""
_SPEC = "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2"
_TERM = re.compile(r"\s*\[((?:\s*\(\s*\d+\s*,\s*\d+\s*,\s*\d+\s*\)\s*,?)+)\]\s*(?:\*\s*(\d+)\s*)?")
_TRIPLE = re.compile(r"\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\)")
_SIZES = {
    "dim": ("embed_dim", 1, 100_000),
    "n_heads": ("num_heads", 1, 10_000),
    "depth": ("depth", 1, 1_000),
    "prenet_depth": ("prenet_depth", 0, 1_000),
    "position_width": ("conv_pos_width", 1, 100_000),
    "position_depth": ("conv_pos_depth", 1, 100),
    "position_groups": ("conv_pos_groups", 1, 100_000),
    "n_extra_tokens": ("num_extra_tokens", 0, 10_000),
    "n_alibi_heads": ("num_alibi_heads", 0, 10_000),
}
"""Field: its published name, least and greatest value."""
_MOST_LAYERS, _LARGEST = 1_000, 100_000
"""Of the front end: layers of a kind, and any of its numbers."""
_MODES = ("layer_norm", "default")
_FIXED = {"layer_norm_first": False, "norm_affine": True}
_FIXED_AUDIO = {"conv_pos_pre_ln": False, "learned_alibi": False}
"""Settings that exist with another value, which no published checkpoint of audio has."""


@dataclass(frozen=True)
class Data2Vec2Config:
    """The architecture, with the defaults of fairseq's data2vec_multi."""

    convolutions: tuple[tuple[int, int, int], ...]
    """(channels, kernel, stride) of each layer of the front end."""
    mode: str
    """Norms of the front end: over channels in each layer, or of the first layer over time (default)."""
    dim: int
    n_heads: int
    depth: int
    """Blocks that modalities share."""
    prenet_depth: int
    """Blocks of the audio part, below them."""
    mlp_ratio: float
    norm_eps: float
    position_width: int
    """Frames, over all positional convolutions."""
    position_depth: int
    position_groups: int
    n_extra_tokens: int
    """Learned vectors that stand before the frames in every block."""
    n_alibi_heads: int
    """Heads with a bias by distance; 0: none has one."""
    scale_per_layer: bool
    scale_per_head: bool
    """Whether the scale of that bias differs by block, by head."""
    normalize: bool
    """Whether each waveform is brought to mean 0 and variance 1."""

    @property
    def n_blocks(self) -> int:
        """Blocks L that give states."""
        return self.prenet_depth + self.depth

    @property
    def position_kernel(self) -> int:
        """Frames of each positional convolution."""
        return max(3, self.position_width // self.position_depth)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self) | {"convolutions": [list(each) for each in self.convolutions]}


def read(path: Path) -> Data2Vec2Config:
    """The configuration in FunASR's config.yaml.

    Raises EncoderError for a file that is no such, and for another of FunASR's models.
    """
    import yaml

    try:
        root = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EncoderError(f"{path} is missing; get it from where the weights came from") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as fault:
        _faults.pass_on(fault, path)
        reason = " ".join(str(fault).split())[:200]
        raise EncoderError(f"{path} cannot be read as YAML ({reason}); get the file again") from fault
    if not isinstance(root, dict) or "model" not in root:
        raise EncoderError(f"{path} names no model, so it is no config.yaml of FunASR; get the file again")
    if root["model"] != _NAME:
        raise EncoderError(
            f"{path} is of FunASR's model {str(root['model'])[:60]!r}, expected {_NAME}; give the folder of one of the "
            "emotion2vec models"
        )
    model = root.get("model_conf")
    if not isinstance(model, dict):
        raise EncoderError(f"{path} has no model_conf; get the file again")
    return _config(path, model, model.get("normalize"))


def of_fairseq(path: Path, cfg: Mapping[str, Any]) -> Data2Vec2Config:
    """The configuration in ``cfg`` of a checkpoint of fairseq, also of one that was fine-tuned from such.

    Raises EncoderError where it is of another model.
    """
    model, task = cfg.get("model"), cfg.get("task")
    inner = model.get("w2v_args") if isinstance(model, dict) else None
    if isinstance(inner, dict) and isinstance(inner.get("model"), dict):
        model, task = inner["model"], inner.get("task")
    name = model.get("_name") if isinstance(model, dict) else None
    if not isinstance(model, dict) or name != "data2vec_multi":
        raise EncoderError(
            f"{path} is of fairseq's model {str(name)[:60]!r}, expected data2vec_multi, which is data2vec 2.0; the "
            "first data2vec is on the Hugging Face hub as facebook/data2vec-audio-base"
        )
    return _config(path, model, task.get("normalize") if isinstance(task, dict) else None)


def _config(path: Path, model: Mapping[str, Any], normalize: Any) -> Data2Vec2Config:
    modalities = model.get("modalities")
    audio = modalities.get("audio") if isinstance(modalities, dict) else None
    if not isinstance(audio, dict):
        raise EncoderError(f"{path} has no modalities.audio: it is no model of audio")
    for section, fixed in ((model, _FIXED), (audio, _FIXED_AUDIO)):
        for name, expected in fixed.items():
            if section.get(name, expected) is not expected:
                raise EncoderError(f"{path}: {name} {section[name]!r} is not supported, expected {expected}")
    if not isinstance(normalize, bool):
        raise EncoderError(f"{path}: normalize is {normalize!r}, expected true or false; get the file again")
    whole, yes = _reader(path, int), _reader(path, bool)
    n_heads = whole(model, "num_heads", 12)
    config = Data2Vec2Config(
        convolutions=_convolutions(path, audio.get("feature_encoder_spec", _SPEC)),
        mode=_reader(path, str)(audio, "extractor_mode", "layer_norm"),
        dim=whole(model, "embed_dim", 768),
        n_heads=n_heads,
        depth=whole(model, "depth", 8),
        prenet_depth=whole(audio, "prenet_depth", 4),
        mlp_ratio=_reader(path, float)(model, "mlp_ratio", 4.0),
        norm_eps=_reader(path, float)(model, "norm_eps", 1e-5),
        position_width=whole(audio, "conv_pos_width", 95),
        position_depth=whole(audio, "conv_pos_depth", 5),
        position_groups=whole(audio, "conv_pos_groups", 16),
        n_extra_tokens=whole(audio, "num_extra_tokens", 0),
        n_alibi_heads=whole(audio, "num_alibi_heads", n_heads) if yes(audio, "use_alibi_encoder", False) else 0,
        scale_per_layer=yes(audio, "learned_alibi_scale_per_layer", False),
        scale_per_head=yes(audio, "learned_alibi_scale_per_head", False),
        normalize=normalize,
    )  # fmt: skip
    _check(path, config)
    return config


def _reader(path: Path, kind: type) -> Callable[[Mapping[str, Any], str, Any], Any]:
    """Gives a setting of a section as ``kind``, or its default; raises EncoderError for anything else."""

    def read_one(section: Mapping[str, Any], name: str, default: Any) -> Any:
        value = section.get(name, default)
        try:
            if isinstance(value, bool) != (kind is bool) or (kind is str and not isinstance(value, str)):
                raise ValueError
            found = kind(value)  # YAML reads 1e-05 as text
            if kind is int and found != float(value):
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise EncoderError(f"{path}: {name} must be {kind.__name__}, got {value!r}"[:300]) from None
        return found

    return read_one


def _convolutions(path: Path, spec: Any) -> tuple[tuple[int, int, int], ...]:
    """The layers of ``[(512, 10, 5)] + [(512, 3, 2)] * 4``, which fairseq evaluates as Python. Raises EncoderError."""
    found: list[tuple[int, int, int]] = []
    for term in str(spec)[:10_000].split("+"):
        match = _TERM.fullmatch(term)
        if match is None or int(match[2] or 1) > _MOST_LAYERS:
            raise EncoderError(
                f"{path}: feature_encoder_spec is {str(spec)[:100]!r}, expected lists of (channels, kernel, stride)"
            )
        layers = [(int(a), int(b), int(c)) for a, b, c in _TRIPLE.findall(match[1])]
        found += layers * int(match[2] or 1)
    if not all(1 <= number <= _LARGEST for layer in found for number in layer):
        raise EncoderError(
            f"{path}: feature_encoder_spec {str(spec)[:100]!r} has a number out of 1 to {_LARGEST}"
        )
    return tuple(found)


def _check(path: Path, config: Data2Vec2Config) -> None:
    """Raise EncoderError for numbers that no model has."""
    for field, (name, low, high) in _SIZES.items():
        value = getattr(config, field)
        if not low <= value <= high:
            raise EncoderError(f"{path}: {name} is {value}, expected a whole number from {low} to {high}")
    if config.mode not in _MODES:
        raise EncoderError(f"{path}: extractor_mode is {config.mode!r}, expected {' or '.join(_MODES)}")
    for name, whole in (("num_heads", config.n_heads), ("conv_pos_groups", config.position_groups)):
        if config.dim % whole:
            raise EncoderError(f"{path}: embed_dim {config.dim} is no multiple of {name} {whole}")
    if config.n_alibi_heads > config.n_heads:
        raise EncoderError(f"{path}: num_alibi_heads {config.n_alibi_heads} of {config.n_heads} heads")
    if not 0 < config.norm_eps < 1 or not 0 < config.mlp_ratio <= 100:
        raise EncoderError(
            f"{path}: norm_eps {config.norm_eps:g} or mlp_ratio {config.mlp_ratio:g} is no such"
        )
