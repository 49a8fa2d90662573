"""Conformers of Hugging Face transformers: wav2vec2-conformer, w2v-BERT 2.0, Parakeet's encoder.

States: ``conv`` (convolutional features of wav2vec2-conformer) or ``features`` (pairs of mel spectra of
w2v-BERT 2.0), ``projection`` (to the width of the blocks), ``input`` (of block 1, where it is not the
projection itself: Parakeet scales it), ``1`` … ``L`` (outputs of the blocks, each with its own LayerNorm)
and ``final`` (after one more LayerNorm, wav2vec2-conformer). Fine-tuned checkpoints (CTC, RNNT, TDT) give
their encoder. Frames that the checkpoints' own masks hide are left out: an odd last spectrum of w2v-BERT
2.0, the spectrum that Parakeet's extractor adds at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sercache.encoders import Encoder, _checkpoint, _checkpoint_family
from sercache.encoders._published import LIBRI_LIGHT, PublishedEncoder
from sercache.errors import EncoderError

if TYPE_CHECKING:
    from torch import nn

SHORT_NAMES = {
    "wav2vec2-conformer-rel-pos-large": "facebook/wav2vec2-conformer-rel-pos-large",
    "wav2vec2-conformer-rel-pos-large-960h-ft": "facebook/wav2vec2-conformer-rel-pos-large-960h-ft",
    "wav2vec2-conformer-rope-large": "facebook/wav2vec2-conformer-rope-large",
    "wav2vec2-conformer-rope-large-960h-ft": "facebook/wav2vec2-conformer-rope-large-960h-ft",
    "w2v-bert-2.0": "facebook/w2v-bert-2.0",
    "parakeet-ctc-0.6b": "nvidia/parakeet-ctc-0.6b",
    "parakeet-ctc-1.1b": "nvidia/parakeet-ctc-1.1b",
    "parakeet-rnnt-0.6b": "nvidia/parakeet-rnnt-0.6b",
    "parakeet-tdt-0.6b-v3": "nvidia/parakeet-tdt-0.6b-v3",
}
_PARAKEETS = ("parakeet_ctc", "parakeet_rnnt", "parakeet_tdt", "parakeet_encoder")
_LARGE = {
    "model_type": "wav2vec2-conformer",
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "conv_bias": True,
}
_ROPE = {**_LARGE, "position_embeddings_type": "rotary"}
_ENGLISH = "64,000 h of transcribed English"
PUBLISHED = {
    "wav2vec2-conformer-rel-pos-large": PublishedEncoder(LIBRI_LIGHT, "apache-2.0", _LARGE),
    "wav2vec2-conformer-rel-pos-large-960h-ft": PublishedEncoder(
        f"{LIBRI_LIGHT}, then labels of LibriSpeech 960 h", "apache-2.0", _LARGE
    ),
    "wav2vec2-conformer-rope-large": PublishedEncoder(LIBRI_LIGHT, "apache-2.0", _ROPE),
    "wav2vec2-conformer-rope-large-960h-ft": PublishedEncoder(
        f"{LIBRI_LIGHT}, then labels of LibriSpeech 960 h", "apache-2.0", _ROPE
    ),
    "w2v-bert-2.0": PublishedEncoder("4,500,000 h in 143 languages", "mit", {"model_type": "wav2vec2-bert"}),
    "parakeet-ctc-0.6b": PublishedEncoder(_ENGLISH, "cc-by-4.0", {"model_type": "parakeet_encoder"}),
    "parakeet-ctc-1.1b": PublishedEncoder(
        _ENGLISH, "cc-by-4.0", {"model_type": "parakeet_encoder", "num_hidden_layers": 42}
    ),
    "parakeet-rnnt-0.6b": PublishedEncoder(_ENGLISH, "cc-by-4.0", {"model_type": "parakeet_encoder"}),
    "parakeet-tdt-0.6b-v3": PublishedEncoder(
        "670,000 h in 25 European languages, most of them with pseudo-labels: Granary, NeMo ASR Set 3.0",
        "cc-by-4.0",
        {"model_type": "parakeet_encoder", "num_mel_bins": 128},
    ),
}
MODEL_TYPES = ("wav2vec2-conformer", "wav2vec2-bert", *_PARAKEETS)

_RATE = 16_000
"""Hz; of every published checkpoint, and the default of their feature extractors."""
_PARAKEET = {
    "feature_size": 80,
    "sampling_rate": _RATE,
    "hop_length": 160,
    "n_fft": 512,
    "win_length": 400,
    "preemphasis": 0.97,
}
"""Defaults of ParakeetFeatureExtractor: mel bins, Hz, samples, samples, samples, coefficient."""
_MAY_MISS = r"masked_spec_embed$|^adapter\.|^intermediate_ffn\.|^encoder\.pos_conv_embed\.|^encoder\.embed_positions\."
"""Used in training only; behind the encoder's last state; never used by wav2vec2-conformer; computed."""


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder of a local folder or hub id.

    Raises EncoderError where the checkpoint cannot be had, is corrupt or of another kind.
    """
    from sercache.encoders.hf_conformer._encoder import ConformerEncoder

    found = _checkpoint_family.load(_FAMILY, source, revision=revision, device=device, precision=precision)
    return ConformerEncoder(found.model, found.preprocessing, found.placed)


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity in float32 of what ``load`` gives. Raises EncoderError."""
    return _checkpoint_family.identify(_FAMILY, source, revision)


def tail(source: str, *, revision: str | None, boundary: str, states: Sequence[str]) -> nn.Module:
    """The blocks above the cached state ``boundary`` up to ``states``, to be trained with a head.

    Raises EncoderError as ``load`` does, UnknownNameError for states that do not lie above the boundary.
    """
    from sercache.encoders.hf_conformer._encoder import parts
    from sercache.encoders.hf_conformer._tail import ConformerTail

    model = _checkpoint_family.whole(_FAMILY, _checkpoint.locate(source, revision))
    return ConformerTail(model, parts(model), boundary, states)


def export(source: str, folder: Path, tail: nn.Module, *, revision: str | None) -> None:
    """Write ``source`` with the trained blocks of ``tail`` in place as a Hugging Face folder.

    Raises EncoderError as ``load`` does.
    """
    from sercache.encoders.hf_conformer._encoder import parts
    from sercache.encoders.hf_conformer._tail import ConformerTail

    assert isinstance(tail, ConformerTail)
    checkpoint = _checkpoint.locate(source, revision)
    model = _checkpoint_family.whole(_FAMILY, checkpoint)
    tail.give_back(model, parts(model))
    _checkpoint.write(model, checkpoint, folder)


def _preprocessing(checkpoint: _checkpoint.Checkpoint) -> dict[str, Any]:
    settings = _checkpoint.preprocessor(checkpoint)
    sample_rate = int(settings.get("sampling_rate", _RATE))
    if checkpoint.model_type == "wav2vec2-conformer":
        extractor = "Wav2Vec2FeatureExtractor"
        own: dict[str, Any] = {"do_normalize": bool(settings.get("do_normalize", True))}
    elif checkpoint.model_type == "wav2vec2-bert":
        extractor = "SeamlessM4TFeatureExtractor"
        own = {"n_mels": int(settings.get("num_mel_bins", 80)), "stride": int(settings.get("stride", 2))}
        takes = int(checkpoint.config.get("feature_projection_input_dim", 160))
        if own["stride"] != 2 or takes != 2 * own["n_mels"]:
            raise EncoderError(
                f"{checkpoint.folder}: the feature extractor stacks {own['stride']} spectra of {own['n_mels']} mel "
                f"bins, config.json takes {takes} features of 2 spectra; get both files of one checkpoint"
            )
    else:
        extractor = "ParakeetFeatureExtractor"
        own = {name: settings.get(name, usual) for name, usual in _PARAKEET.items()}
        config: Mapping[str, Any] = checkpoint.config.get("encoder_config") or checkpoint.config
        takes = int(config.get("num_mel_bins", 80))
        if own["feature_size"] != takes:
            raise EncoderError(
                f"{checkpoint.folder}: the feature extractor makes {own['feature_size']} mel bins, config.json "
                f"takes {takes}; get both files of one checkpoint"
            )
    source = "checkpoint" if settings else f"default of {extractor}, the checkpoint has none"
    return {"sample_rate": sample_rate, **own, "from": source}


def _build(checkpoint: _checkpoint.Checkpoint) -> tuple[Any, list[str]]:
    import torch
    from transformers import AutoConfig, AutoModel, ParakeetEncoder

    loader: Any = AutoModel
    options: dict[str, Any] = {}
    if checkpoint.model_type in _PARAKEETS:
        config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True)
        loader, options = ParakeetEncoder, {"config": getattr(config, "encoder_config", config)}
    model, report = loader.from_pretrained(
        checkpoint.folder, dtype=torch.float32, local_files_only=True, output_loading_info=True, **options
    )
    return model, sorted(report["missing_keys"])


_FAMILY = _checkpoint_family.CheckpointFamily("hf-conformer", _preprocessing, _build, _MAY_MISS)
