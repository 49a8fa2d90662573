"""What settings of a checkpoint must be before anything is built of them: sizes that exist, and numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sercache.errors import EncoderError

_LAYERS = re.compile(r"(?:(?:num|n)_)?(?:hidden_|encoder_|speech_encoder_)?layers?")
_BOUNDS: tuple[tuple[re.Pattern[str], int, int], ...] = tuple(
    (re.compile(names), low, high)
    for names, low, high in (
        (_LAYERS.pattern, 1, 1_000),
        (r"(?:num_)?decoder_layers", 0, 1_000),
        (r"hidden_size|d_model|dim|n_embd|embedding_size|output_size", 1, 100_000),
        (r"(?:encoder_|speech_encoder_)?(?:ffn_dim|intermediate_size)|hidden_dim|linear_units", 1, 1_000_000),
        (r"(?:num_|n_|encoder_)?(?:attention_)?heads", 1, 10_000),
        (r"num_mel_bins|n_window|input_dim|feature_projection_input_dim", 1, 100_000),
        (r"max_(?:source_positions|position_embeddings)|vocab_size", 1, 10_000_000),
        (r"num_conv_pos_embeddings|num_conv_pos_embedding_groups|conv_pos_kernel_size", 1, 100_000),
        (r"(?:subsampling_)?conv_(?:kernel|stride|dim|kernel_size|kernel_sizes|channels)", 1, 100_000),
        (r"conv_depthwise_kernel_size|subsampling_factor|cnn_module_kernel", 1, 100_000),
    )
)
"""Names of whole numbers, also as lists, wherever they stand in a configuration: least and greatest."""
_NEVER_NULL = re.compile(rf"{_LAYERS.pattern}|hidden_size|d_model|num_mel_bins|conv_(?:kernel|stride|dim)")
_SINGLE = re.compile(rf"{_LAYERS.pattern}|hidden_size|d_model")
_NOT_SETTINGS = ("label2id", "id2label", "task_specific_params")
"""Entries with names of other people's choosing."""
_SPECTRA = {
    "sampling_rate": (1_000, 1_000_000),
    "feature_size": (1, 100_000),
    "num_mel_bins": (1, 100_000),
    "hop_length": (1, 1_000_000),
    "n_fft": (16, 1_000_000),
    "win_length": (1, 1_000_000),
    "stride": (1, 1_000),
}
"""Whole numbers of a feature extractor: Hz, sizes, samples, spectra."""
_WIDTHS = ("hidden_size", "d_model")
_CHEAP = 1_000_000
"""Bytes of weights that any machine can make: what is wrong with so small a model is found by loading it."""
_SHOWN = 60


def check_config(config: Mapping[str, Any], path: Path) -> None:
    """Raise EncoderError, naming the setting, where ``config`` describes no model that could exist.

    Names are those of transformers, at any depth; what is missing has a default there.
    """
    if not isinstance(config.get("model_type", ""), str):
        _refuse(path, "model_type", config["model_type"], "a name such as wav2vec2")
    for name, value in config.items():
        if name in _NOT_SETTINGS:
            continue
        if isinstance(value, Mapping):
            check_config(value, path)
        elif name.endswith("_eps"):
            if not _is_number(value) or not 0 < value < 1:
                _refuse(path, name, value, "a number between 0 and 1")
        else:
            _check_sizes(path, name, value)
    strides, kernels = config.get("conv_stride"), config.get("conv_kernel")
    if isinstance(strides, list) and isinstance(kernels, list):
        if len(strides) != len(kernels):
            _refuse(path, "conv_stride", strides, f"as many numbers as conv_kernel, which has {len(kernels)}")
        if math.prod(strides) > 1_000_000:
            _refuse(path, "conv_stride", strides, "strides whose product is below 1,000,000 samples")


def check_extractor(settings: Mapping[str, Any], path: Path) -> None:
    """Raise EncoderError, naming the setting, where a feature extractor's numbers are none, or beyond reason."""
    for name, (low, high) in _SPECTRA.items():
        if name in settings and not _is_size(settings[name], low, high):
            unit = " of Hz" if name == "sampling_rate" else ""
            _refuse(path, name, settings[name], f"a whole number{unit} from {low} to {high}")
    preemphasis = settings.get("preemphasis")
    if preemphasis is not None and not _is_number(preemphasis):
        _refuse(path, "preemphasis", preemphasis, "a number")
    if not isinstance(settings.get("do_normalize", True), bool):
        _refuse(path, "do_normalize", settings["do_normalize"], "true or false")


def check_size_of_weights(config: Mapping[str, Any], path: Path, n_bytes: int) -> None:
    """Raise EncoderError where ``config`` describes more weights than files of ``n_bytes`` can hold.

    A block holds at least the four square matrices of its attention, a weight at least half a byte.
    """
    for each in (config, *(value for value in config.values() if isinstance(value, Mapping))):
        width = next((each[name] for name in _WIDTHS if isinstance(each.get(name), int)), 0)
        n_layers = max(
            (value for name, value in each.items() if _LAYERS.fullmatch(name) and isinstance(value, int)),
            default=0,
        )
        if n_layers * 4 * width**2 // 2 > max(n_bytes, _CHEAP):
            raise EncoderError(
                f"{path} describes {n_layers} layers of width {width}, more than the {n_bytes} bytes of its weights "
                "can hold; get them again, both of one checkpoint"
            )


def _check_sizes(path: Path, name: str, value: Any) -> None:
    for names, low, high in _BOUNDS:
        if names.fullmatch(name) is None:
            continue
        if value is None and _NEVER_NULL.fullmatch(name) is None:
            return
        # Some models have a number for each stage.
        values = value if isinstance(value, list) and not _SINGLE.fullmatch(name) else [value]
        if not values or not all(_is_size(each, low, high) for each in values):
            _refuse(
                path,
                name,
                value,
                f"whole numbers from {low} to {high}",
            )
        return


def _is_size(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _refuse(path: Path, name: str, value: Any, expected: str) -> None:
    got = "null" if value is None else repr(value)
    raise EncoderError(
        f"{path}: {name} is {got[:_SHOWN]}{'…' * (len(got) > _SHOWN)}, expected {expected}; get the file again"
    )
