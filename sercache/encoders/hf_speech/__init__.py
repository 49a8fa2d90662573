"""wav2vec 2.0, HuBERT, WavLM and data2vec-audio checkpoints of Hugging Face transformers.

States: ``conv`` (convolutional features), ``projection`` (output of the feature projection, f_0 of Pepino
et al.), ``input`` (of block 1, positions added), ``1`` … ``L`` (raw block outputs) and ``final`` (after the
closing LayerNorm, for checkpoints that have one: ``do_stable_layer_norm``). Fine-tuned checkpoints (CTC,
classification) give their encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sercache.encoders import Encoder, _checkpoint, _checkpoint_family
from sercache.encoders.hf_speech._published import PUBLISHED as PUBLISHED
from sercache.encoders.hf_speech._published import SEEN_CORPORA as SEEN_CORPORA

if TYPE_CHECKING:
    from torch import nn

SHORT_NAMES = {
    "wav2vec2-base": "facebook/wav2vec2-base",
    "wav2vec2-base-960h": "facebook/wav2vec2-base-960h",
    "wav2vec2-large": "facebook/wav2vec2-large",
    "wav2vec2-large-960h": "facebook/wav2vec2-large-960h",
    "wav2vec2-large-960h-lv60-self": "facebook/wav2vec2-large-960h-lv60-self",
    "wav2vec2-large-lv60": "facebook/wav2vec2-large-lv60",
    "wav2vec2-large-robust": "facebook/wav2vec2-large-robust",
    "wav2vec2-large-robust-ft-libri-960h": "facebook/wav2vec2-large-robust-ft-libri-960h",
    "wav2vec2-large-robust-ft-swbd-300h": "facebook/wav2vec2-large-robust-ft-swbd-300h",
    "wav2vec2-large-robust-emotion-dim": "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim",
    "wav2vec2-base-superb-er": "superb/wav2vec2-base-superb-er",
    "wav2vec2-large-superb-er": "superb/wav2vec2-large-superb-er",
    "xlsr-53": "facebook/wav2vec2-large-xlsr-53",
    "xls-r-300m": "facebook/wav2vec2-xls-r-300m",
    "xls-r-1b": "facebook/wav2vec2-xls-r-1b",
    "xls-r-2b": "facebook/wav2vec2-xls-r-2b",
    "mms-300m": "facebook/mms-300m",
    "mms-1b": "facebook/mms-1b",
    "mms-1b-all": "facebook/mms-1b-all",
    "hubert-base": "facebook/hubert-base-ls960",
    "hubert-large": "facebook/hubert-large-ll60k",
    "hubert-large-ft": "facebook/hubert-large-ls960-ft",
    "hubert-xlarge": "facebook/hubert-xlarge-ll60k",
    "hubert-xlarge-ft": "facebook/hubert-xlarge-ls960-ft",
    "chinese-hubert-base": "TencentGameMate/chinese-hubert-base",
    "chinese-hubert-large": "TencentGameMate/chinese-hubert-large",
    "chinese-wav2vec2-base": "TencentGameMate/chinese-wav2vec2-base",
    "chinese-wav2vec2-large": "TencentGameMate/chinese-wav2vec2-large",
    "japanese-hubert-base": "rinna/japanese-hubert-base",
    "wav2vec2-large-robust-age-gender": "audeering/wav2vec2-large-robust-24-ft-age-gender",
    "hubert-base-superb-er": "superb/hubert-base-superb-er",
    "hubert-large-superb-er": "superb/hubert-large-superb-er",
    "mhubert-147": "utter-project/mHuBERT-147",
    "distilhubert": "ntu-spml/distilhubert",
    "wavlm-base": "microsoft/wavlm-base",
    "wavlm-base-plus": "microsoft/wavlm-base-plus",
    "wavlm-large": "microsoft/wavlm-large",
    "data2vec-audio-base": "facebook/data2vec-audio-base",
    "data2vec-audio-base-960h": "facebook/data2vec-audio-base-960h",
    "data2vec-audio-large": "facebook/data2vec-audio-large",
    "unispeech-sat-base": "microsoft/unispeech-sat-base",
    "unispeech-sat-base-plus": "microsoft/unispeech-sat-base-plus",
    "unispeech-sat-large": "microsoft/unispeech-sat-large",
    "unispeech-large": "microsoft/unispeech-large-1500h-cv",
}
ALIASES = {
    "wav2vec2_base_960": "wav2vec2-base",
    "wav2vec2_large_960": "wav2vec2-large",
    "wav2vec2_large_ll60k": "wav2vec2-large-lv60",
    "wav2vec2_large_lv60_cv_swbd_fsh": "wav2vec2-large-robust",
    "wav2vec2_xlsr": "xlsr-53",
    "xlsr_53": "xlsr-53",
    "xls_r_300m": "xls-r-300m",
    "xls_r_1b": "xls-r-1b",
    "xls_r_2b": "xls-r-2b",
    "hubert_base": "hubert-base",
    "hubert_large_ll60k": "hubert-large",
    "wavlm_base": "wavlm-base",
    "wavlm_base_plus": "wavlm-base-plus",
    "wavlm_large": "wavlm-large",
    "data2vec_base_960": "data2vec-audio-base",
    "data2vec_large_ll60k": "data2vec-audio-large",
    "unispeech_sat_base": "unispeech-sat-base",
    "unispeech_sat_base_plus": "unispeech-sat-base-plus",
    "unispeech_sat_large": "unispeech-sat-large",
}
"""What s3prl calls the upstream of the same published weights (s3prl/upstream/*/hubconf.py). Its ``960`` is what they
were pretrained on: none of these was trained to recognise words."""
MODEL_TYPES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech-sat", "unispeech")

_RATE = 16_000
"""Hz; of every published checkpoint, and the default of transformers' Wav2Vec2FeatureExtractor."""
_MAY_MISS = r"masked_spec_embed$|^adapter\."
"""Used in training only; behind the encoder's last state."""


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder of a local folder or hub id.

    Raises EncoderError where the checkpoint cannot be had, is corrupt or of another kind.
    """
    from sercache.encoders.hf_speech._encoder import SpeechEncoder

    found = _checkpoint_family.load(_FAMILY, source, revision=revision, device=device, precision=precision)
    return SpeechEncoder(found.model, found.preprocessing, found.placed)


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity in float32 of what ``load`` gives. Raises EncoderError."""
    return _checkpoint_family.identify(_FAMILY, source, revision)


def tail(source: str, *, revision: str | None, boundary: str, states: Sequence[str]) -> nn.Module:
    """The blocks above the cached state ``boundary`` up to ``states``, to be trained with a head.

    Raises EncoderError as ``load`` does, UnknownNameError for states that do not lie above the boundary.
    """
    from sercache.encoders.hf_speech._tail import SpeechTail

    model = _checkpoint_family.whole(_FAMILY, _checkpoint.locate(source, revision))
    return SpeechTail(model, boundary, states)


def export(source: str, folder: Path, tail: nn.Module, *, revision: str | None) -> None:
    """Write ``source`` with the trained blocks of ``tail`` in place as a Hugging Face folder.

    Raises EncoderError as ``load`` does.
    """
    from sercache.encoders.hf_speech._tail import SpeechTail

    assert isinstance(tail, SpeechTail)
    checkpoint = _checkpoint.locate(source, revision)
    model = _checkpoint_family.whole(_FAMILY, checkpoint)
    tail.give_back(model)
    _checkpoint.write(model, checkpoint, folder)


def _preprocessing(checkpoint: _checkpoint.Checkpoint) -> dict[str, Any]:
    settings = _checkpoint.preprocessor(checkpoint)
    return {
        "sample_rate": int(settings.get("sampling_rate", _RATE)),
        "do_normalize": bool(settings.get("do_normalize", True)),
        "from": "checkpoint" if settings else "default of Wav2Vec2FeatureExtractor, the checkpoint has none",
    }


_FAMILY = _checkpoint_family.CheckpointFamily(
    "hf-speech", _preprocessing, _checkpoint_family.auto_model, _MAY_MISS
)
