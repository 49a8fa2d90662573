"""Encoders at the sizes that are published, with random weights: what is compared between a card and the CPU.

No download: a checkpoint of the right shape is written and loaded as any other is. Rounding to TensorFloat-32, and what
depends on company, show at real sizes alone. Each family of ``sercache encoders`` that computes on a card has a case.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn

from sercache import encoders
from sercache.encoders import Encoder
from sercache.encoders.data2vec2 import PUBLISHED

SECONDS = (4.0, 1.99, 8.0)
"""Of the recordings that are compared: two lengths that fill no block of frames."""


@dataclass(frozen=True)
class Case:
    """A checkpoint at its published shape, or a feature without weights."""

    family: str
    kind: str = ""
    """Class of the configuration in transformers; empty: ``settings`` are those of the family itself."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    small: Mapping[str, Any] = field(default_factory=dict)
    """What a rehearsal has in place of the published sizes."""
    front: str = ""
    """Class of the feature extractor."""
    front_settings: Mapping[str, Any] = field(default_factory=dict)
    stock_states: str = "hidden_states"
    """How ``stock`` finds them."""

    def sizes(self, small: bool) -> dict[str, Any]:
        return {**self.settings, **(self.small if small else {})}


_LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
}
_FEW = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
_NARROW = _FEW | {
    "conv_dim": (24,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
_CONFORMER = {key: value for key, value in _LARGE.items() if key != "do_stable_layer_norm"}
_WAVES = {"front": "Wav2Vec2FeatureExtractor", "small": _NARROW}
_SEW = {
    "front": "Wav2Vec2FeatureExtractor",
    "small": _FEW
    | {"conv_dim": (24,) * 13, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4},
}
_WORDS = {
    "vocab_size": 200,
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}
_DECODER = {"decoder_layers": 1, "decoder_attention_heads": 4, "decoder_ffn_dim": 32, "vocab_size": 60}
_SEAMLESS = _DECODER | {
    "encoder_layers": 1,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 32,
    "t2u_encoder_layers": 1,
    "t2u_decoder_layers": 1,
    "t2u_encoder_ffn_dim": 32,
    "t2u_decoder_ffn_dim": 32,
    "t2u_vocab_size": 60,
    "unit_hifi_gan_vocab_size": 60,
    "upsample_initial_channel": 32,
}
_WENET = {"output_size": 512, "attention_heads": 8, "linear_units": 2048, "num_blocks": 12}
_WENET_FEW = {"output_size": 32, "attention_heads": 4, "linear_units": 48, "num_blocks": 2}
_D2V_FEW = {"dim": 64, "n_heads": 4, "n_alibi_heads": 4, "depth": 1, "prenet_depth": 1, "mlp_ratio": 1.5} | {
    "convolutions": ((24, 10, 5), *((24, 3, 2),) * 4, *((24, 2, 2),) * 2)
}

CASES: dict[str, Case] = {
    "wav2vec2-base": Case("hf-speech", "Wav2Vec2Config", **_WAVES),
    "wav2vec2-large": Case("hf-speech", "Wav2Vec2Config", _LARGE, **_WAVES),
    "hubert-base": Case("hf-speech", "HubertConfig", **_WAVES),
    "wavlm-base": Case("hf-speech", "WavLMConfig", **_WAVES),
    "wavlm-large": Case("hf-speech", "WavLMConfig", _LARGE | {"conv_bias": False}, **_WAVES),
    "data2vec-audio-base": Case(
        "hf-speech",
        "Data2VecAudioConfig",
        front="Wav2Vec2FeatureExtractor",
        small=_FEW | {"conv_dim": (24,) * 7, "num_conv_pos_embedding_groups": 4},
    ),
    "unispeech-sat-large": Case("hf-speech", "UniSpeechSatConfig", _LARGE, **_WAVES),
    "wav2vec2-conformer-rel-pos-large": Case("hf-conformer", "Wav2Vec2ConformerConfig", _CONFORMER, **_WAVES),
    "wav2vec2-conformer-rope-large": Case(
        "hf-conformer",
        "Wav2Vec2ConformerConfig",
        _CONFORMER | {"position_embeddings_type": "rotary"},
        **_WAVES,
    ),
    "w2v-bert-2.0": Case(
        "hf-conformer", "Wav2Vec2BertConfig", small=_FEW, front="SeamlessM4TFeatureExtractor"
    ),
    "parakeet-0.6b": Case(
        "hf-conformer",
        "ParakeetEncoderConfig",
        small=_FEW | {"subsampling_conv_channels": 8},
        front="ParakeetFeatureExtractor",
    ),
    "sew": Case("hf-auto", "SEWConfig", **_SEW),
    "sew-d": Case("hf-auto", "SEWDConfig", **_SEW),
    "speech-to-text-small": Case(
        "hf-auto",
        "Speech2TextConfig",
        _DECODER,
        {"d_model": 32, "encoder_layers": 2, "encoder_ffn_dim": 48, "conv_channels": 24},
        front="Speech2TextFeatureExtractor",
    ),
    "seamless-m4t-large": Case(
        "hf-auto",
        "SeamlessM4TConfig",
        _SEAMLESS,
        {
            "hidden_size": 64,
            "speech_encoder_layers": 2,
            "speech_encoder_attention_heads": 4,
            "speech_encoder_intermediate_size": 96,
        },
        front="SeamlessM4TFeatureExtractor",
    ),
    "lasr": Case(
        "hf-auto",
        "LasrEncoderConfig",
        small=_FEW | {"subsampling_conv_channels": 8},
        front="LasrFeatureExtractor",
    ),
    "whisper-small": Case(
        "whisper",
        "WhisperConfig",
        {"d_model": 768, "encoder_layers": 12, "encoder_attention_heads": 12, "encoder_ffn_dim": 3072}
        | _DECODER
        | {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3},
        {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 48},
        front="WhisperFeatureExtractor",
    ),
    "qwen2-audio": Case(
        "audio-towers",
        "Qwen2AudioEncoderConfig",
        {"d_model": 1280, "encoder_layers": 32, "encoder_attention_heads": 20, "encoder_ffn_dim": 5120},
        {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 48},
        front="WhisperFeatureExtractor",
        front_settings={"feature_size": 128},
    ),
    "wenet-gigaspeech": Case(
        "wenet", settings=_WENET | {"cnn_module_kernel": 31, "input_layer": "conv2d"}, small=_WENET_FEW
    ),
    "wenet-causal": Case(
        "wenet",
        settings=_WENET
        | {"output_size": 256, "attention_heads": 4, "cnn_module_kernel": 8, "cnn_module_norm": "layer_norm"}
        | {"input_layer": "conv2d6", "causal": True, "use_dynamic_chunk": True},
        small=_WENET_FEW,
    ),
    "emotion2vec-plus-large": Case(
        "data2vec2", settings=PUBLISHED["emotion2vec-plus-large"].config, small=_D2V_FEW
    ),
    "data2vec2-audio-base": Case(
        "data2vec2", settings=PUBLISHED["data2vec2-audio-base"].config, small=_D2V_FEW
    ),
    "ast-audioset": Case(
        "hf-ast", "ASTConfig", small=_FEW | {"max_length": 1024}, front="ASTFeatureExtractor"
    ),
    "dasheng-base": Case(
        "dasheng",
        settings={"embed_dim": 768, "depth": 12, "num_heads": 12},
        small={"embed_dim": 32, "depth": 2, "num_heads": 4},
    ),
    "bert-large": Case("text", "BertConfig", _WORDS, _FEW),
    "demo-wavlm": Case("demo"),
    "logmel": Case("logmel"),
    "kaldi-fbank": Case("kaldi-fbank"),
    "mfcc": Case("mfcc"),
    "spectrogram": Case("spectrogram"),
}
NEVER_ON_A_CARD = {"egemaps": "openSMILE computes on the CPU"}
"""Families without a case, and why."""


@torch.no_grad()
def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that keep the variance of what they are multiplied with, and biases and gains that are not 0 and 1."""
    draws = torch.Generator().manual_seed(seed)
    for name, tensor in sorted(module.state_dict().items()):
        if not tensor.is_floating_point() or name.endswith("original0"):
            continue  # counters, and the norm of a weight that has one of its own
        tensor.normal_(generator=draws)
        if name.endswith("running_var"):
            tensor.abs_().add_(0.5)
        elif tensor.dim() < 2:
            tensor.mul_(0.1).add_(float(name.endswith("weight")))
        elif not name.endswith(("embeddings.weight", "rel_attn_embed.weight")):
            tensor.mul_(tensor[0].numel() ** -0.5)
    return module.eval().requires_grad_(False)


def write(name: str, folder: Path, *, small: bool = False) -> str:
    """What ``sercache.encoders.load`` takes for a case: its name, or a folder that is written if it is not there."""
    case = CASES[name]
    by_hand: dict[str, Callable[..., None]] = {
        "wenet": _write_wenet,
        "data2vec2": _write_data2vec2,
        "dasheng": _write_dasheng,
    }
    if not case.kind and case.family not in by_hand:
        return name
    place = folder / name
    if not place.exists():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some configurations and extractors speak of their own defaults
            by_hand.get(case.family, _write_stock)(case, place, case.sizes(small))
    return str(place)


def _write_stock(case: Case, place: Path, sizes: Mapping[str, Any]) -> None:
    config = getattr(transformers, case.kind)(**sizes)
    randomise(transformers.AutoModel.from_config(config)).save_pretrained(place)
    if case.family == "text":
        tokenizer().save_pretrained(place)
    else:
        getattr(transformers, case.front)(**case.front_settings).save_pretrained(place)


def tokenizer() -> Any:
    """Of words of one letter, [CLS] before and [SEP] behind them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *"abcdefghijklmnopqrstuvwxyz"]
    made = Tokenizer(models.WordLevel({word: k for k, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )


def _write_wenet(case: Case, place: Path, sizes: Mapping[str, Any]) -> None:
    from sercache.encoders.wenet._config import ConformerConfig
    from sercache.encoders.wenet._conformer import Conformer

    place.mkdir(parents=True)
    model = randomise(Conformer(ConformerConfig(**sizes), has_cmvn=True))
    torch.save({f"encoder.{key}": value for key, value in model.state_dict().items()}, place / "final.pt")
    kinds = {"pos_enc_layer_type": "rel_pos", "selfattention_layer_type": "rel_selfattn"}
    fbank = {"num_mel_bins": 80, "frame_shift": 10, "frame_length": 25}
    whole = {
        "encoder": "conformer",
        "encoder_conf": {**sizes, **kinds},
        "input_dim": 80,
        "output_dim": 4,
        "dataset_conf": {"resample_conf": {"resample_rate": 16000}, "fbank_conf": fbank},
    }
    (place / "train.yaml").write_text(json.dumps(whole))  # JSON is YAML


def _write_data2vec2(case: Case, place: Path, sizes: Mapping[str, Any]) -> None:
    from sercache.encoders.data2vec2._config import Data2Vec2Config
    from sercache.encoders.data2vec2._model import Data2Vec2

    place.mkdir(parents=True)
    config = Data2Vec2Config(**sizes)
    torch.save({"model": randomise(Data2Vec2(config)).state_dict()}, place / "model.pt")
    audio = {
        "feature_encoder_spec": " + ".join(f"[{layer}]" for layer in config.convolutions),
        "prenet_depth": config.prenet_depth,
        "num_extra_tokens": config.n_extra_tokens,
        "use_alibi_encoder": bool(config.n_alibi_heads),
        "num_alibi_heads": config.n_alibi_heads,
        "learned_alibi_scale_per_head": config.scale_per_head,
    }
    model = {"embed_dim": config.dim, "num_heads": config.n_heads, "depth": config.depth}
    model |= {"mlp_ratio": config.mlp_ratio, "normalize": config.normalize, "modalities": {"audio": audio}}
    whole = {"model": "Emotion2vec", "model_conf": model}
    (place / "config.yaml").write_text(json.dumps(whole))  # JSON is YAML


def _write_dasheng(case: Case, place: Path, sizes: Mapping[str, Any]) -> None:
    from sercache.encoders.dasheng._config import DashengShape
    from sercache.encoders.dasheng._model import Dasheng

    place.mkdir(parents=True)
    model = randomise(Dasheng(DashengShape(**sizes)))
    torch.save({f"encoder.{key}": x for key, x in model.state_dict().items()}, place / "pytorch_model.bin")
    config = {"model_type": "dasheng", "name": "dasheng-base", "encoder_kwargs": dict(sizes)}
    (place / "config.json").write_text(json.dumps(config))


def inputs(encoder: Encoder, seconds: Sequence[float] = SECONDS) -> list[np.ndarray]:
    """What is compared: waves (N,) of something between speech and noise, or word pieces of an encoder of text."""
    if encoders.modality(encoder) == "text":
        letters = np.random.default_rng(0).integers(4, 30, 200)
        return [letters[: int(12 * each)] for each in seconds]
    waves = [_wave(int(each * encoder.sample_rate), encoder.sample_rate, k) for k, each in enumerate(seconds)]
    return [wave[: encoder.max_samples] for wave in waves]


def _wave(n_samples: int, rate: int, seed: int) -> np.ndarray:
    random = np.random.default_rng([seed, n_samples])
    t = np.arange(n_samples) / rate
    voiced = np.sin(2 * np.pi * (110 + 40 * random.random()) * t) * np.sin(5 * t)
    return (0.05 + 0.2 * voiced + 0.1 * random.standard_normal(n_samples)).astype(np.float32)
