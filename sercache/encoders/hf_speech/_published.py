"""The published checkpoints of these families: sizes, corpora, licences, as their authors' pages say them."""

from __future__ import annotations

from typing import Any

from sercache.encoders._published import LIBRI_LIGHT, LIBRISPEECH, PublishedEncoder
from sercache.trained_on import SeenCorpus

_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
_PRE_LN = {**_LARGE, "feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}
_1B = {**_PRE_LN, "hidden_size": 1280, "num_hidden_layers": 48, "intermediate_size": 5120}
_2B = {**_1B, "hidden_size": 1920, "intermediate_size": 7680}
_APACHE = "apache-2.0"
_NC = "cc-by-nc-4.0"
_MICROSOFT = "that of github.com/microsoft/UniSpeech"
_LABELS = "labels of the same"
_94K = f"{LIBRI_LIGHT}, GigaSpeech 10,000 h, VoxPopuli 24,000 h (English)"
_ROBUST = f"{LIBRI_LIGHT}, Common Voice 700 h, Switchboard 300 h, Fisher 2,000 h (English)"
_XLS_R = "436,000 h in 128 languages: VoxPopuli, MLS, Common Voice, BABEL, VoxLingua107"
_MMS = "491,000 h in 1,406 languages"
_WENETSPEECH = "WenetSpeech 10,000 h (Mandarin)"
_ER = "; of IEMOCAP (which sessions is not published) only the classifier above it, which is not used here"


def _of(
    model_type: str, trained_on: str, config: dict[str, Any] | None = None, licence: str = _APACHE
) -> PublishedEncoder:
    return PublishedEncoder(trained_on, licence, {"model_type": model_type, **(config or {})})


PUBLISHED = {
    "wav2vec2-base": _of("wav2vec2", LIBRISPEECH),
    "wav2vec2-base-960h": _of("wav2vec2", f"{LIBRISPEECH}, then {_LABELS}"),
    "wav2vec2-large": _of("wav2vec2", LIBRISPEECH, _LARGE),
    "wav2vec2-large-960h": _of("wav2vec2", f"{LIBRISPEECH}, then {_LABELS}", _LARGE),
    "wav2vec2-large-lv60": _of("wav2vec2", LIBRI_LIGHT, _PRE_LN),
    "wav2vec2-large-960h-lv60-self": _of(
        "wav2vec2", f"{LIBRI_LIGHT}, then labels of LibriSpeech 960 h and pseudo-labels of Libri-Light", _PRE_LN
    ),
    "wav2vec2-large-robust": _of("wav2vec2", _ROBUST, _PRE_LN),
    "wav2vec2-large-robust-ft-libri-960h": _of(
        "wav2vec2", f"{_ROBUST}, then labels of LibriSpeech 960 h", _PRE_LN
    ),
    "wav2vec2-large-robust-ft-swbd-300h": _of(
        "wav2vec2", f"{_ROBUST}, then labels of Switchboard 300 h", _PRE_LN
    ),
    "wav2vec2-large-robust-emotion-dim": _of(
        "wav2vec2", f"{_ROBUST}, then arousal, dominance and valence of MSP-Podcast 1.7",
        {**_PRE_LN, "num_hidden_layers": 12}, "cc-by-nc-sa-4.0",
    ),
    "wav2vec2-base-superb-er": _of("wav2vec2", LIBRISPEECH + _ER),
    "wav2vec2-large-superb-er": _of("wav2vec2", LIBRI_LIGHT + _ER, _PRE_LN),
    "xlsr-53": _of("wav2vec2", "56,000 h in 53 languages: MLS, Common Voice, BABEL", _PRE_LN),
    "xls-r-300m": _of("wav2vec2", _XLS_R, _PRE_LN),
    "xls-r-1b": _of("wav2vec2", _XLS_R, _1B),
    "xls-r-2b": _of("wav2vec2", _XLS_R, _2B),
    "mms-300m": _of("wav2vec2", _MMS, _PRE_LN, _NC),
    "mms-1b": _of("wav2vec2", _MMS, _1B, _NC),
    "mms-1b-all": _of(
        "wav2vec2", f"{_MMS}; then labels of 1,162 languages", {**_1B, "adapter_attn_dim": 16}, _NC
    ),
    "hubert-base": _of("hubert", LIBRISPEECH),
    "hubert-large": _of("hubert", LIBRI_LIGHT, _PRE_LN),
    "hubert-large-ft": _of("hubert", f"{LIBRI_LIGHT}, then labels of LibriSpeech 960 h", _PRE_LN),
    "hubert-xlarge": _of("hubert", LIBRI_LIGHT, _1B),
    "hubert-xlarge-ft": _of("hubert", f"{LIBRI_LIGHT}, then labels of LibriSpeech 960 h", _1B),
    "chinese-hubert-base": _of("hubert", _WENETSPEECH, licence="mit"),
    "chinese-hubert-large": _of("hubert", _WENETSPEECH, _PRE_LN, "mit"),
    "chinese-wav2vec2-base": _of("wav2vec2", _WENETSPEECH, licence="mit"),
    "chinese-wav2vec2-large": _of("wav2vec2", _WENETSPEECH, _PRE_LN, "mit"),
    "japanese-hubert-base": _of("hubert", "ReazonSpeech 19,000 h (Japanese)"),
    "wav2vec2-large-robust-age-gender": _of(
        "wav2vec2", f"{_ROBUST}, then age and sex in corpora on its page", _PRE_LN, "cc-by-nc-sa-4.0"
    ),
    "hubert-base-superb-er": _of("hubert", LIBRISPEECH + _ER),
    "hubert-large-superb-er": _of("hubert", LIBRI_LIGHT + _ER, _PRE_LN),
    "mhubert-147": _of("hubert", "90,000 h in 147 languages, open licences", licence="cc-by-nc-sa-4.0"),
    "distilhubert": _of(
        "hubert", f"{LIBRISPEECH}, to give the states of hubert-base",
        {"num_hidden_layers": 2, "feat_proj_layer_norm": False},
    ),
    "wavlm-base": _of("wavlm", LIBRISPEECH, licence=_MICROSOFT),
    "wavlm-base-plus": _of("wavlm", _94K, licence=_MICROSOFT),
    "wavlm-large": _of("wavlm", _94K, {**_PRE_LN, "conv_bias": False}, _MICROSOFT),
    "data2vec-audio-base": _of("data2vec-audio", LIBRISPEECH),
    "data2vec-audio-base-960h": _of("data2vec-audio", f"{LIBRISPEECH}, then {_LABELS}"),
    "data2vec-audio-large": _of("data2vec-audio", LIBRI_LIGHT, _LARGE),
    "unispeech-sat-base": _of("unispeech-sat", LIBRISPEECH, licence=_MICROSOFT),
    "unispeech-sat-base-plus": _of("unispeech-sat", _94K, licence=_MICROSOFT),
    "unispeech-sat-large": _of("unispeech-sat", _94K, {**_PRE_LN, "conv_bias": False}, _MICROSOFT),
    "unispeech-large": _of("unispeech", "Common Voice 1,500 h, with phonemes", _PRE_LN, _MICROSOFT),
}  # fmt: skip


def _labels(*corpora: str, detail: str = "") -> tuple[SeenCorpus, ...]:
    return tuple(SeenCorpus(name, "labels", detail) for name in corpora)


SEEN_CORPORA = {
    "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim": _labels(
        "msp-podcast", detail="arousal, dominance and valence of release 1.7"
    ),
    "ehcalabres/wav2vec2-lg-xlsr-en-speech-emotion-recognition": _labels("ravdess"),
    "firdhokk/speech-emotion-recognition-with-facebook-wav2vec2-large-xlsr-53": _labels(
        "ravdess", "savee", "tess", "urdu"
    ),
    "FarhadMadadzade/wav2vec2-large-xlsr-53-english-ser-linear": _labels(
        "ravdess", "savee", "tess", "cremad"
    ),
}
"""As their cards say. The checkpoints of superb/ are not among them: their encoders are those of before, frozen, below
a classifier that was trained on IEMOCAP."""
