"""Tiny checkpoints of model types that no family knows by heart, and the stock modules' own answers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import encoder_helpers as tiny
import numpy as np
import torch
import transformers

_FRONT = {"conv_dim": (12, 16, 16), "conv_kernel": (10, 8, 4), "conv_stride": (5, 8, 4)}
_SEW = _FRONT | {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 11,
}
_S2T = {
    "d_model": 24,
    "encoder_layers": 3,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 40,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 16,
    "conv_channels": 20,
    "vocab_size": 20,
}
_SEAMLESS = {
    "hidden_size": 32,
    "speech_encoder_layers": 2,
    "speech_encoder_attention_heads": 4,
    "speech_encoder_intermediate_size": 48,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "t2u_encoder_layers": 1,
    "t2u_decoder_layers": 1,
    "t2u_encoder_ffn_dim": 16,
    "t2u_decoder_ffn_dim": 16,
    "t2u_encoder_attention_heads": 2,
    "t2u_decoder_attention_heads": 2,
    "vocab_size": 30,
    "t2u_vocab_size": 30,
    "unit_hifi_gan_vocab_size": 30,
    "upsample_initial_channel": 32,
}
_MOONSHINE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "encoder_num_hidden_layers": 2,
    "encoder_num_attention_heads": 4,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 4,
    "vocab_size": 30,
}
_MIMI = {
    "num_filters": 4,
    "hidden_size": 32,
    "codebook_dim": 8,
    "vector_quantization_hidden_dimension": 8,
    "codebook_size": 16,
    "num_quantizers": 4,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 8,
    "intermediate_size": 48,
    "sliding_window": 50,
    "upsample_groups": 32,
}
_LASR = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "subsampling_conv_channels": 8,
}

# name: (config class, settings, feature extractor)
CONFIGS: dict[str, tuple[str, dict[str, Any], str]] = {
    "sew": ("SEWConfig", _SEW, "Wav2Vec2FeatureExtractor"),
    "sew-d": ("SEWDConfig", _SEW | {"squeeze_factor": 2}, "Wav2Vec2FeatureExtractor"),
    "speech-to-text": ("Speech2TextConfig", _S2T, "Speech2TextFeatureExtractor"),
    "seamless": ("SeamlessM4TConfig", _SEAMLESS, "SeamlessM4TFeatureExtractor"),
    "moonshine": ("MoonshineConfig", _MOONSHINE, "Wav2Vec2FeatureExtractor"),
    "seamless-v2": (
        "SeamlessM4Tv2Config",
        _SEAMLESS | {"char_vocab_size": 30},
        "SeamlessM4TFeatureExtractor",
    ),
    "lasr": ("LasrEncoderConfig", _LASR, "LasrFeatureExtractor"),
}


def model(name: str, seed: int = 0) -> Any:
    """The stock module of ``CONFIGS[name]``."""
    kind, settings, _ = CONFIGS[name]
    return tiny.shake(transformers.AutoModel.from_config(getattr(transformers, kind)(**settings)), seed)


def save(name: str, folder: Path) -> Path:
    """A checkpoint folder as the hub has it."""
    model(name).save_pretrained(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LASR's extractor speaks of its own defaults
        getattr(transformers, CONFIGS[name][2])().save_pretrained(folder)
    return folder


def stock_blocks(module: Any, extractor: Any, wave: np.ndarray) -> list[torch.Tensor]:
    """(T, D) of what goes into block 1 and of the output of every block but the last, alone, without hooks."""
    part = getattr(module, "speech_encoder", None) or (
        module.get_encoder() if module.config.is_encoder_decoder else module
    )
    inputs = extractor(wave, sampling_rate=16_000, return_tensors="pt")
    if isinstance(extractor, transformers.Wav2Vec2FeatureExtractor):
        inputs = {"input_values": inputs["input_values"]}
    with torch.no_grad():
        output = part(**inputs, output_hidden_states=True)
    return [hidden[0] for hidden in output.hidden_states[:-1]]
