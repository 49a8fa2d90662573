"""Tiny checkpoints of language models that hear, as the hub has them, and what their stock towers answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import encoder_helpers as tiny
import numpy as np
import torch
import transformers
from safetensors.torch import save_file

_TOWER = {
    "d_model": 24,
    "encoder_layers": 3,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 40,
    "num_mel_bins": 12,
}
_WINDOW = {**_TOWER, "max_source_positions": 100}
"""2 s."""

# name: (model_type, model_type of its tower, settings of the tower, prefix of its tensors, entry of config.json)
CONFIGS: dict[str, tuple[str, str, dict[str, Any], str, str]] = {
    "qwen2-audio": ("qwen2_audio", "qwen2_audio_encoder", _WINDOW, "audio_tower.", ""),
    "voxtral": ("voxtral", "voxtral_encoder", _WINDOW, "audio_tower.", ""),
    "audio-flamingo-3": ("audioflamingo3", "audioflamingo3_encoder", _WINDOW, "audio_tower.", ""),
    "qwen2.5-omni": (
        "qwen2_5_omni",
        "qwen2_5_omni_audio_encoder",
        {**_TOWER, "n_window": 20, "output_dim": 16},
        "thinker.audio_tower.",
        "thinker_config",
    ),
}


def tower(name: str, seed: int = 0) -> Any:
    """The stock tower of ``CONFIGS[name]``."""
    from sercache.encoders.audio_towers._tower import _kind

    config = transformers.CONFIG_MAPPING[CONFIGS[name][1]](**CONFIGS[name][2])
    return tiny.shake(_kind(config)(config), seed)


def save(name: str, folder: Path, *, whole: bool = False) -> Path:
    """A sharded checkpoint of which the shard of the language model is not there, unless ``whole``."""
    model_type, of_tower, settings, prefix, entry = CONFIGS[name]
    folder.mkdir(parents=True, exist_ok=True)
    inner = {"audio_config": {"model_type": of_tower, **settings}}
    config = {"model_type": model_type, **({entry: inner} if entry else inner)}
    (folder / "config.json").write_text(json.dumps(config))
    transformers.WhisperFeatureExtractor(feature_size=12, chunk_length=300 if entry else 2).save_pretrained(
        folder
    )
    tensors = {prefix + key: x.contiguous() for key, x in tower(name).state_dict().items()}
    shards = {"model-00001-of-00002.safetensors": tensors}
    other = "model-00002-of-00002.safetensors"
    language = {"language_model.model.layers.0.self_attn.q_proj.weight": torch.zeros(4, 4, dtype=torch.int8)}
    if whole:
        shards[other] = language
    for file, held in shards.items():
        save_file(held, folder / file, metadata={"format": "pt"})
    where = {key: file for file, held in shards.items() for key in held} | dict.fromkeys(language, other)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return folder


def stock_states(name: str, wave: np.ndarray, seconds: int) -> dict[str, torch.Tensor]:
    """(T, D) of every state, by the owner's own way: padded to ``seconds``, with the owner's masks."""
    model = tower(name)
    found = transformers.WhisperFeatureExtractor(feature_size=12, chunk_length=seconds)(
        wave, sampling_rate=16_000, return_attention_mask=True, return_tensors="pt"
    )
    spectra, mask = found["input_features"], found["attention_mask"]
    n_spectra = int(mask.sum())
    n_frames = (n_spectra - 1) // 2 + 1
    states: dict[str, torch.Tensor] = {}

    def keep(state: str) -> Any:
        return lambda module, args, output: states.update({state: _rows(output)[:n_frames].clone()})

    model.layers[0].register_forward_pre_hook(
        lambda module, args: states.update(input=_rows(args[0])[:n_frames].clone())
    )
    for number, layer in enumerate(model.layers, start=1):
        layer.register_forward_hook(keep(str(number)))
    with torch.no_grad():
        if name == "qwen2-audio":
            allowed = torch.arange(spectra.shape[2] // 2) < n_frames
            model(spectra, attention_mask=allowed[None, None, None, :].expand(1, 1, len(allowed), -1))
        elif name == "audio-flamingo-3":
            model(spectra, input_features_mask=mask)
        elif name == "voxtral":
            states["final"] = model(spectra).last_hidden_state[0, :n_frames]
        else:
            model(spectra[0, :, :n_spectra], feature_lens=torch.tensor([n_spectra]))
    return states


def _rows(found: Any) -> torch.Tensor:
    tensor = found if isinstance(found, torch.Tensor) else found[0]
    return tensor[0] if tensor.dim() == 3 else tensor
