"""Tiny checkpoints with large random weights, and the stock modules' own answers to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

_SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": (12, 16, 16, 16, 16, 20, 24),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 11,
}
_LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
_LONG_POSITIONS = {"num_conv_pos_embeddings": 40}
_GATED = {"num_buckets": 24, "max_bucket_distance": 60}
_OTHER_FRONT = {"conv_dim": (10, 14, 18), "conv_kernel": (9, 4, 2), "conv_stride": (4, 3, 3)}

# name: (config class, settings). Published shapes first, then what other checkpoints may hold.
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2-base": ("Wav2Vec2Config", {}),
    "wav2vec2-large": ("Wav2Vec2Config", _LARGE),
    "hubert-base": ("HubertConfig", _LONG_POSITIONS),
    "hubert-large": ("HubertConfig", _LARGE),
    "wavlm-base": ("WavLMConfig", _GATED),
    "wavlm-large": ("WavLMConfig", _LARGE | _GATED | {"conv_bias": False}),
    "data2vec-audio": ("Data2VecAudioConfig", {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 7}),
    "unispeech-sat-base": ("UniSpeechSatConfig", {}),
    "unispeech-sat-large": ("UniSpeechSatConfig", _LARGE),
    "unispeech": ("UniSpeechConfig", _LARGE | _LONG_POSITIONS),
    "distilhubert": (
        "HubertConfig",
        _LONG_POSITIONS | {"num_hidden_layers": 2, "feat_proj_layer_norm": False},
    ),
    "group-norm-with-bias-pre-norm": ("Wav2Vec2Config", {"conv_bias": True, "do_stable_layer_norm": True}),
    "odd-positions-relu": ("Wav2Vec2Config", {"num_conv_pos_embeddings": 9, "hidden_act": "relu"}),
    "long-odd-positions": ("WavLMConfig", _LARGE | _GATED | {"num_conv_pos_embeddings": 33}),
    "hubert-batch-norm": (
        "HubertConfig",
        _LONG_POSITIONS | {"conv_pos_batch_norm": True, "feat_proj_layer_norm": False},
    ),
    "adapters": (
        "Wav2Vec2Config",
        _LARGE | {"adapter_attn_dim": 6, "add_adapter": True, "output_hidden_size": 32},
    ),
    "other-front-group": ("Wav2Vec2Config", _OTHER_FRONT | {"feat_extract_activation": "relu"}),
    "other-front-layer": ("WavLMConfig", _LARGE | _GATED | _OTHER_FRONT),
}


def tiny_config(name: str) -> Any:
    kind, settings = CONFIGS[name]
    return getattr(transformers, kind)(**(_SMALL | settings))


def shake(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Replace the weights by ones so large that a leak shows: biases, gains and gates far from 0 and 1."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in sorted(model.state_dict().items()):
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=random)
            if name.endswith(("running_var", "original0")):
                tensor.copy_(0.5 + noise.abs())
            elif tensor.dim() == 1:
                tensor.copy_(0.3 * noise + float(name.endswith("weight")))
            else:
                fan_in = 1 if "rel_attn_embed" in name or "const" in name else tensor[0].numel()
                tensor.copy_(1.5 * noise / fan_in**0.5)
    return model.eval()


def tiny_model(name: str, seed: int = 0) -> Any:
    config = tiny_config(name)
    return shake(transformers.AutoModel.from_config(config), seed)


def save(model: Any, folder: Path, do_normalize: bool | None = True) -> Path:
    """A checkpoint folder as the hub has it; ``do_normalize=None`` leaves the preprocessor out."""
    model.save_pretrained(folder)
    if do_normalize is not None:
        transformers.Wav2Vec2FeatureExtractor(do_normalize=do_normalize).save_pretrained(folder)
    return folder


def tiny_whisper(folder: Path, seed: int = 0, *, kind: str = "WhisperForConditionalGeneration") -> Path:
    """A Whisper checkpoint with a window of 2 s."""
    config = transformers.WhisperConfig(
        d_model=24,
        encoder_layers=3,
        encoder_attention_heads=4,
        encoder_ffn_dim=40,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=16,
        num_mel_bins=12,
        max_source_positions=100,
        max_target_positions=8,
        vocab_size=20,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=3,
    )
    model = shake(getattr(transformers, kind)(config), seed)
    model.save_pretrained(folder)
    transformers.WhisperFeatureExtractor(feature_size=12, chunk_length=2).save_pretrained(folder)
    return folder


def noise(n_samples: int, seed: int = 0, rate: int = 16_000) -> np.ndarray:
    """Something between speech and noise, far from zero mean and unit variance: (N,) float32."""
    random = np.random.default_rng([seed, n_samples])
    seconds = np.arange(n_samples) / rate
    voiced = np.sin(2 * np.pi * (110 + 40 * random.random()) * seconds) * np.sin(5 * seconds)
    return (0.05 + 0.2 * voiced + 0.1 * random.standard_normal(n_samples)).astype(np.float32)


def stock_states(model: Any, wave: np.ndarray, do_normalize: bool = True) -> dict[str, torch.Tensor]:
    """(T, D) of every state of one wave, by the stock module alone and without hooks.

    ``hidden_states`` of transformers 5: [0] is the input of block 1, [i] the raw output of block i;
    ``last_hidden_state`` is the one after the closing LayerNorm where there is one.
    """
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=do_normalize)
    values = extractor(wave, sampling_rate=16_000, return_tensors="pt")["input_values"].to(model.dtype)
    with torch.no_grad():
        conv = model.feature_extractor(values).transpose(1, 2)
        projection = model.feature_projection(conv)
        found = {"conv": conv, "projection": projection[0] if isinstance(projection, tuple) else projection}
        output = model(values, output_hidden_states=True)
        found["input"] = output.hidden_states[0]
        for number, hidden in enumerate(output.hidden_states[1:], start=1):
            found[str(number)] = hidden
        if getattr(model.config, "do_stable_layer_norm", False):
            found["final"] = model.encoder.layer_norm(output.hidden_states[-1])
    return {name: states[0] for name, states in found.items()}


def stock_whisper_states(model: Any, folder: Path, wave: np.ndarray) -> dict[str, torch.Tensor]:
    """States of the stock encoder run on one window, all of its frames, by hooks on its blocks."""
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(folder)
    values = extractor(wave, sampling_rate=16_000, return_tensors="pt")["input_features"]
    found: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Any:
        return lambda _, args, output: found.update(
            {name: output[0] if isinstance(output, tuple) else output}
        )

    hooks = [
        block.register_forward_hook(keep(str(number))) for number, block in enumerate(model.layers, start=1)
    ]
    with torch.no_grad():
        output = model(values.to(model.dtype), output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    found["input"] = output.hidden_states[0]
    found["final"] = output.last_hidden_state
    return {name: states[0] for name, states in found.items()}


def error(got: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference, relative to the RMS of what is expected."""
    assert got.shape == expected.shape, (got.shape, expected.shape)
    expected = expected.double()
    return float((got.double() - expected).abs().max() / expected.square().mean().sqrt())


def encode(encoder: Any, waves: list[np.ndarray], states: list[str] | None = None) -> dict[str, torch.Tensor]:
    """All states asked for, copied."""
    return {name: packed.clone() for name, packed in encoder.encode(waves, states)}
