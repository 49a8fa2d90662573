"""Tiny Conformer checkpoints with large random weights, and the stock modules' own answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import encoder_helpers as tiny
import numpy as np
import torch
import transformers

_BLOCKS = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_depthwise_kernel_size": 7,
}
_WAVES = _BLOCKS | {
    "conv_dim": (12, 16, 16, 16, 16, 20, 24),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 11,
    "max_source_positions": 40,
}
_BERT = _BLOCKS | {"max_source_positions": 30, "vocab_size": 11}
_LAYER = {"feat_extract_norm": "layer", "conv_bias": True}
_PARAKEET = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "subsampling_conv_channels": 6,
}

# name: (config class, settings). Published shapes first, then what other checkpoints may hold.
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "conformer-rel-pos": ("Wav2Vec2ConformerConfig", _WAVES | _LAYER),
    "conformer-rope": ("Wav2Vec2ConformerConfig", _WAVES | _LAYER | {"position_embeddings_type": "rotary"}),
    "conformer-group": (
        "Wav2Vec2ConformerConfig",
        _WAVES
        | {"conv_depthwise_kernel_size": 1, "hidden_act": "relu", "rotary_embedding_base": 50}
        | {"position_embeddings_type": "rotary", "add_adapter": True, "output_hidden_size": 32},
    ),
    "conformer-no-positions": ("Wav2Vec2ConformerConfig", _WAVES | {"position_embeddings_type": None}),
    "w2v-bert": (
        "Wav2Vec2BertConfig",
        _BERT | {"left_max_position_embeddings": 9, "right_max_position_embeddings": 4},
    ),
    "w2v-bert-relative": (
        "Wav2Vec2BertConfig",
        _BERT | {"position_embeddings_type": "relative", "layer_norm_eps": 1e-3, "hidden_act": "gelu"},
    ),
    "w2v-bert-rotary": (
        "Wav2Vec2BertConfig",
        _BERT
        | {"position_embeddings_type": "rotary", "feature_projection_input_dim": 46}
        | {"add_adapter": True, "output_hidden_size": 32, "use_intermediate_ffn_before_adapter": True},
    ),
    "parakeet": ("ParakeetEncoderConfig", _PARAKEET),
    "parakeet-other": (
        "ParakeetEncoderConfig",
        _PARAKEET
        | {"subsampling_factor": 4, "num_mel_bins": 128, "scale_input": False, "convolution_bias": False}
        | {"attention_bias": False, "conv_kernel_size": 5, "subsampling_conv_kernel_size": 5},
    ),
}


def model(name: str, seed: int = 0) -> Any:
    """The stock module of ``CONFIGS[name]``."""
    kind, settings = CONFIGS[name]
    return tiny.shake(transformers.AutoModel.from_config(getattr(transformers, kind)(**settings)), seed)


def extractor(config: Any) -> Any:
    """The feature extractor that goes with a configuration."""
    if config.model_type == "wav2vec2-conformer":
        return transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    if config.model_type == "wav2vec2-bert":
        n_mels = config.feature_projection_input_dim // 2
        return transformers.SeamlessM4TFeatureExtractor(feature_size=n_mels, num_mel_bins=n_mels)
    return transformers.ParakeetFeatureExtractor(feature_size=config.num_mel_bins)


def save(module: Any, folder: Path) -> Path:
    """A checkpoint folder as the hub has it."""
    module.save_pretrained(folder)
    config = getattr(module.config, "encoder_config", module.config)
    extractor(config).save_pretrained(folder)
    return folder


def stock_states(module: Any, wave: np.ndarray) -> dict[str, torch.Tensor]:
    """(T, D) of every state of one wave, by the stock module, extractor and mask, alone and without hooks."""
    config = module.config
    inputs = extractor(config)(wave, sampling_rate=16_000, return_tensors="pt")
    masked = "attention_mask" in inputs and config.model_type != "wav2vec2-conformer"
    n_frames = None
    found: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        if config.model_type == "wav2vec2-conformer":
            inputs = {"input_values": inputs["input_values"]}
            found["conv"] = module.feature_extractor(inputs["input_values"]).transpose(1, 2)
            found["projection"] = module.feature_projection(found["conv"])[0]
        elif config.model_type == "wav2vec2-bert":
            found["features"] = inputs["input_features"]
            found["projection"] = module.feature_projection(found["features"])[0]
            n_frames = int(inputs["attention_mask"].sum())
        else:
            found["projection"] = module.subsampling(inputs["input_features"], inputs["attention_mask"])
        output = module(**inputs, output_hidden_states=True)
        if config.model_type == "parakeet_encoder":
            if config.scale_input:
                found["input"] = output.hidden_states[0]
            n_frames = int(output.attention_mask.sum())
    assert masked == (n_frames is not None)
    for number, hidden in enumerate(output.hidden_states[1:], start=1):
        found[str(number)] = hidden
    if config.model_type == "wav2vec2-conformer":
        found["final"] = module.encoder.layer_norm(output.hidden_states[-1]).detach()
    return {name: states[0, :n_frames] for name, states in found.items()}
