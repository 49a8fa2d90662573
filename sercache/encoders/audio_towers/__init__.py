"""Audio towers of language models that hear: Qwen2-Audio, Qwen2.5-Omni, Voxtral, Audio Flamingo 3.

All are Whisper's encoder, trained further. Of a checkpoint only the tower is fetched, hashed and read: the files of
the language model need not be there. Each hears a recording as its owner runs it: Voxtral a window of 30 s with all its
padding, as Whisper; Qwen2-Audio and Audio Flamingo 3 without the frames that are padding alone, which their masks hide;
Qwen2.5-Omni chunks of 2 s that do not hear one another, of recordings of any length. A frame is 20 ms. States:
``input`` (of block 1, positions added), ``1`` … ``L`` (raw block outputs), and of Voxtral ``final`` (after the closing
LayerNorm). The others close with means over two frames and a LayerNorm, which have half as many frames: left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sercache.encoders import Encoder, _checkpoint, _checkpoint_family, _whisper_settings
from sercache.encoders._published import PublishedEncoder
from sercache.trained_on import SeenCorpus

SHORT_NAMES = {
    "qwen2-audio-7b": "Qwen/Qwen2-Audio-7B",
    "qwen2-audio-7b-instruct": "Qwen/Qwen2-Audio-7B-Instruct",
    "qwen2.5-omni-3b": "Qwen/Qwen2.5-Omni-3B",
    "qwen2.5-omni-7b": "Qwen/Qwen2.5-Omni-7B",
    "voxtral-mini-3b": "mistralai/Voxtral-Mini-3B-2507",
    "voxtral-small-24b": "mistralai/Voxtral-Small-24B-2507",
    "audio-flamingo-3": "nvidia/audio-flamingo-3-hf",
}
_SIZE = {
    "d_model": 1280,
    "encoder_layers": 32,
    "encoder_attention_heads": 20,
    "encoder_ffn_dim": 5120,
    "num_mel_bins": 128,
}
"""Of Whisper large-v3, which all of them are."""
_OMNI = {"model_type": "qwen2_5_omni_audio_encoder", **_SIZE}
_UNSAID = "as Whisper large-v3, then with its language model; hours and corpora are not published"
_UNCONFIRMED = "not confirmed here; see its page on the hub"
PUBLISHED = {
    "qwen2-audio-7b": PublishedEncoder(_UNSAID, _UNCONFIRMED, {"model_type": "qwen2_audio_encoder", **_SIZE}),
    "qwen2-audio-7b-instruct": PublishedEncoder(
        _UNSAID, _UNCONFIRMED, {"model_type": "qwen2_audio_encoder", **_SIZE}
    ),
    "qwen2.5-omni-3b": PublishedEncoder(_UNSAID, _UNCONFIRMED, {**_OMNI, "output_dim": 2048}),
    "qwen2.5-omni-7b": PublishedEncoder(_UNSAID, _UNCONFIRMED, {**_OMNI, "output_dim": 3584}),
    "voxtral-mini-3b": PublishedEncoder(_UNSAID, "apache-2.0", {"model_type": "voxtral_encoder", **_SIZE}),
    "voxtral-small-24b": PublishedEncoder(_UNSAID, "apache-2.0", {"model_type": "voxtral_encoder", **_SIZE}),
    "audio-flamingo-3": PublishedEncoder(
        "as Whisper large-v3, then with its language model: labels of speech, sounds and music, on its page",
        "NVIDIA OneWay Noncommercial",
        {"model_type": "audioflamingo3_encoder", **_SIZE},
    ),
}
SEEN_CORPORA = {
    "nvidia/audio-flamingo-3-hf": tuple(
        SeenCorpus(name, "labels", "which parts is not published")
        for name in ("emov-db", "jl-corpus", "meld", "msp-podcast", "tess")
    )
}
"""As its model card lists them, with "the test split" of IEMOCAP among what it was tested on."""
MODEL_TYPES = (
    "qwen2_audio",
    "qwen2_audio_encoder",
    "qwen2_5_omni",
    "qwen2_5_omni_thinker",
    "qwen2_5_omni_audio_encoder",
    "voxtral",
    "voxtral_encoder",
    "audioflamingo3",
    "audioflamingo3_encoder",
)

_PART = _checkpoint.WeightsPart(
    r"(?:model\.|thinker\.)?audio_tower\.|(?=conv1\.|conv2\.|layers\.|layer_norm\.|ln_post\.|proj\.|embed_positions\.|"
    r"audio_bos_eos_token\.)",
    ("thinker_config", "audio_config"),
)
"""Of a whole model, or of a checkpoint that is a tower alone."""


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder of a local folder or hub id.

    Raises EncoderError where the checkpoint cannot be had, is corrupt or of another kind.
    """
    from sercache.encoders._whisper import WhisperStates
    from sercache.encoders.audio_towers import _tower

    found = _checkpoint_family.load(_FAMILY, source, revision=revision, device=device, precision=precision)
    if hasattr(found.model, "n_window"):
        return _tower.ChunkedStates(found.model, found.preprocessing, found.placed)
    masked = found.model.config.model_type != "voxtral_encoder"
    return WhisperStates(found.model, found.preprocessing, found.placed, masked=masked)


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity in float32 of what ``load`` gives. Raises EncoderError."""
    return _checkpoint_family.identify(_FAMILY, source, revision)


def size(config: dict[str, Any]) -> tuple[int, int, int]:
    """(blocks, D, parameters) of the tower that ``config`` describes."""
    from sercache.encoders.audio_towers import _tower

    return _tower.size(config)


def _preprocessing(checkpoint: _checkpoint.Checkpoint) -> dict[str, Any]:
    return _whisper_settings.read(checkpoint, 128)


def _build(checkpoint: _checkpoint.Checkpoint) -> tuple[Any, Sequence[str]]:
    from sercache.encoders.audio_towers import _tower

    return _tower.build(checkpoint)


_FAMILY = _checkpoint_family.CheckpointFamily("audio-towers", _preprocessing, _build, part=_PART)
