"""train.yaml of a WeNet checkpoint: what of it decides the states."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sercache.catalog import unknown
from sercache.encoders import _faults
from sercache.encoders._strides import Strides
from sercache.errors import EncoderError

SUBSAMPLING = {
    "conv2d": ((3, 2), (3, 2)),
    "conv2d6": ((3, 2), (5, 3)),
    "conv2d8": ((3, 2), (3, 2), (3, 2)),
}
"""input_layer: (kernel, stride) of each convolution over time and frequency, none padded."""
ACTIVATIONS = ("swish", "relu", "gelu", "tanh", "selu", "hardtanh")
_NORMS = ("batch_norm", "layer_norm")
_FIXED: dict[str, tuple[Any, ...]] = {
    "pos_enc_layer_type": ("rel_pos",),
    "selfattention_layer_type": ("rel_selfattn",),
    "positionwise_conv_kernel_size": (1,),
    "concat_after": (False,),
    "swap_conv_module_and_attention": (False,),
    "layer_norm_type": ("layer_norm",),
    "mlp_type": ("position_wise_feed_forward",),
    "query_bias": (True,),
    "key_bias": (True,),
    "value_bias": (True,),
    "conv_bias": (True,),
    "mlp_bias": (True,),
    "n_kv_head": (None,),
    "head_dim": (None,),
    "final_norm": (True,),
}
"""Settings of encoder_conf that exist with other values, and those that are built here."""
_OF_TRAINING = {
    "dropout_rate",
    "positional_dropout_rate",
    "attention_dropout_rate",
    "use_dynamic_left_chunk",
    "gradient_checkpointing",
    "use_sdpa",
    "n_expert",
    "n_expert_activated",
}
_SIZES = {"num_blocks": 1_000, "static_chunk_size": 1_000_000}
"""Greatest values of whole numbers; of the others _LARGEST. The least is 1, of a chunk size -1."""
_LARGEST = 100_000
_FEATURES = {"frame_shift": 10, "frame_length": 25, "feature_type": "fbank", "using_pitch": False}


@dataclass(frozen=True)
class ConformerConfig:
    """encoder_conf under WeNet's names and with WeNet's defaults, as far as it decides the states."""

    input_dim: int = 80
    """Mel filters."""
    output_size: int = 256
    attention_heads: int = 4
    linear_units: int = 2048
    num_blocks: int = 6
    input_layer: str = "conv2d"
    normalize_before: bool = True
    macaron_style: bool = True
    use_cnn_module: bool = True
    cnn_module_kernel: int = 15
    cnn_module_norm: str = "batch_norm"
    causal: bool = False
    activation_type: str = "swish"
    static_chunk_size: int = 0
    """Frames that see each other and all before them; 0: every frame sees all."""
    use_dynamic_chunk: bool = False
    """Trained with chunks of random size; the states are those of full context."""
    norm_eps: float = 1e-5
    """Of every LayerNorm. WeNet's code had 1e-12 until January 2022 and runs those checkpoints with 1e-5."""

    def n_frames(self, n_fbank: int) -> int:
        """Frames behind the subsampling of ``n_fbank`` frames before it."""
        return self._strides.n_out(n_fbank)

    @property
    def window(self) -> tuple[int, int]:
        """(frames that one subsampled frame sees, frames from one to the next)."""
        return self._strides.n_in(1), self._strides.hop

    @property
    def _strides(self) -> Strides:
        return Strides(SUBSAMPLING[self.input_layer])


@dataclass(frozen=True)
class TrainConfig:
    """What is read of a train.yaml."""

    conformer: ConformerConfig
    cmvn: str | None
    """File name of the mean and variance statistics; None: the model has none."""
    cmvn_is_json: bool

    def statistics(self, folder: Path) -> Path:
        """Where the statistics lie: under the name that train.yaml gives, or under WeNet's usual one."""
        named = folder / (self.cmvn or "global_cmvn")
        return named if named.exists() else folder / "global_cmvn"


def read(path: Path) -> TrainConfig:
    """The configuration in ``path``, of the layout of 2021 or the later one.

    Raises EncoderError for a file that is no train.yaml, and for any encoder but a Conformer whose every
    setting is known here.
    """
    import yaml

    try:
        root = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as fault:
        _faults.pass_on(fault, path)
        reason = " ".join(str(fault).split())[:200]
        raise EncoderError(f"{path} cannot be read as YAML ({reason}); get the file again") from fault
    if not isinstance(root, dict) or not isinstance(root.get("encoder_conf"), dict):
        raise EncoderError(f"{path} has no encoder_conf, so it is no train.yaml of WeNet")
    encoder = root.get("encoder", "conformer")
    if encoder != "conformer":
        raise EncoderError(f"{path}: encoder {encoder!r} is not supported, expected conformer")
    _check_features(path, root)
    return TrainConfig(_conformer(path, root), *_cmvn(root))


def _conformer(path: Path, root: Mapping[str, Any]) -> ConformerConfig:
    fields = {field.name: field for field in dataclasses.fields(ConformerConfig)}
    found: dict[str, Any] = {
        "input_dim": _typed(path, "input_dim", root.get("input_dim") or _mel_bins(root), int)
    }
    for name, value in root["encoder_conf"].items():
        if name in _FIXED and value not in _FIXED[name]:
            raise EncoderError(f"{path}: {name} {value!r} is not supported, expected {_FIXED[name][0]!r}")
        if name in fields:
            found[name] = _typed(path, name, value, type(fields[name].default))
        elif name not in _FIXED and name not in _OF_TRAINING:
            known = sorted(fields.keys() | _FIXED.keys() | _OF_TRAINING)
            raise EncoderError(f"{path}: {unknown('setting of encoder_conf', name, known)}")
    config = ConformerConfig(**found)
    for name, choices in (
        ("input_layer", tuple(SUBSAMPLING)),
        ("cnn_module_norm", _NORMS),
        ("activation_type", ACTIVATIONS),
    ):
        if getattr(config, name) not in choices:
            raise EncoderError(f"{path}: {unknown(name, getattr(config, name), choices)}")
    if config.output_size % config.attention_heads:
        raise EncoderError(
            f"{path}: output_size {config.output_size} is no multiple of attention_heads {config.attention_heads}"
        )
    if not config.causal and config.use_cnn_module and config.cnn_module_kernel % 2 == 0:
        raise EncoderError(
            f"{path}: cnn_module_kernel {config.cnn_module_kernel} must be odd without causal: true"
        )
    return config


def _typed(path: Path, name: str, value: Any, kind: type) -> Any:
    """``value`` as ``kind``; YAML reads 1e-12 as text. Raises EncoderError."""
    try:
        if kind in (bool, str) and not isinstance(value, kind):
            raise ValueError
        found = kind(value)
    except (TypeError, ValueError, OverflowError):
        raise EncoderError(f"{path}: {name} must be {kind.__name__}, got {value!r}"[:300]) from None
    if kind is int:
        low, high = -1 if name == "static_chunk_size" else 1, _SIZES.get(name, _LARGEST)
        if not low <= found <= high:
            raise EncoderError(f"{path}: {name} is {found}, expected a whole number from {low} to {high}")
    if kind is float and not 0 < found < 1:
        raise EncoderError(f"{path}: {name} is {found:g}, expected a number between 0 and 1")
    return found


def _check_features(path: Path, root: Mapping[str, Any]) -> None:
    """Raise EncoderError where the model was trained on anything but Kaldi filterbanks of 16 kHz."""
    settings = {**_section(root, "collate_conf", "feature_extraction_conf"), **_fbank_conf(root)}
    for name, expected in _FEATURES.items():
        if settings.get(name, expected) != expected:
            raise EncoderError(f"{path}: {name} {settings[name]!r} is not supported, expected {expected!r}")
    kind = _section(root, "dataset_conf").get("feats_type", "fbank")
    rate = _section(root, "dataset_conf", "resample_conf").get("resample_rate", 16_000)
    if (kind, rate) != ("fbank", 16_000):
        raise EncoderError(
            f"{path}: {kind} features at {rate} Hz are not supported, expected fbank at 16000 Hz"
        )


def _mel_bins(root: Mapping[str, Any]) -> Any:
    older = _section(root, "collate_conf", "feature_extraction_conf").get("mel_bins")
    return _fbank_conf(root).get("num_mel_bins") or older or ConformerConfig.input_dim


def _fbank_conf(root: Mapping[str, Any]) -> Mapping[str, Any]:
    return _section(root, "dataset_conf", "fbank_conf")


def _section(root: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """A mapping within mappings; empty where there is none."""
    found: Any = root
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _cmvn(root: Mapping[str, Any]) -> tuple[str | None, bool]:
    """(file name, whether it is JSON). Folders are those of the machine that trained, and are left out."""
    settings = _section(root, "cmvn_conf") if "cmvn" in root or "cmvn_conf" in root else root
    if "cmvn" in root and not root["cmvn"]:
        return None, True
    file = settings.get("cmvn_file")
    return (PurePosixPath(str(file)).name if file else None), bool(settings.get("is_json_cmvn", True))
