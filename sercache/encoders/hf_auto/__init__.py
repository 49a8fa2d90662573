"""Any other checkpoint that transformers' AutoModel loads, with a feature extractor for audio.

States: ``input`` (of block 1), ``1`` … ``L`` (outputs of the blocks) and ``final`` (what the model gives, where
it has the frames of the blocks and differs from the last of them). Of models with several parts it is the
speech encoder. Recordings run through the stock module alone, or together with others of the same length
where that was seen to change nothing. What a model must be is found out on noise when it is loaded: blocks
of one shape, a constant frame rate, the same numbers every time; one that does not fit is refused.
"""

from __future__ import annotations

from typing import Any

from sercache.encoders import Encoder, _checkpoint, _loading
from sercache.encoders._published import LIBRISPEECH, PublishedEncoder
from sercache.errors import EncoderError

SHORT_NAMES = {
    "sew-tiny": "asapp/sew-tiny-100k",
    "sew-small": "asapp/sew-small-100k",
    "sew-mid": "asapp/sew-mid-100k",
    "sew-d-tiny": "asapp/sew-d-tiny-100k",
    "sew-d-small": "asapp/sew-d-small-100k",
    "sew-d-mid": "asapp/sew-d-mid-400k",
    "sew-d-base-plus": "asapp/sew-d-base-plus-400k",
    "s2t-small-librispeech": "facebook/s2t-small-librispeech-asr",
    "moonshine-tiny": "UsefulSensors/moonshine-tiny",
    "moonshine-base": "UsefulSensors/moonshine-base",
    "seamless-m4t-v2-large": "facebook/seamless-m4t-v2-large",
    "mimi": "kyutai/mimi",
}
_MOONSHINE = "labels of English from the web and open corpora; hours are not confirmed here"
PUBLISHED = {
    **{name: PublishedEncoder(LIBRISPEECH, "apache-2.0") for name in SHORT_NAMES if name.startswith("sew")},
    "s2t-small-librispeech": PublishedEncoder(
        "labels of LibriSpeech 960 h (English)",
        "mit",
        {"model_type": "speech_to_text", "vocab_size": 10_000, "decoder_layers": 1},
    ),
    "moonshine-tiny": PublishedEncoder(_MOONSHINE, "mit", {"model_type": "moonshine"}),
    "moonshine-base": PublishedEncoder(
        _MOONSHINE,
        "mit",
        {
            "model_type": "moonshine",
            "hidden_size": 416,
            "intermediate_size": 1664,
            "encoder_num_hidden_layers": 8,
            "decoder_num_hidden_layers": 8,
        },
    ),
    "seamless-m4t-v2-large": PublishedEncoder(
        "as w2v-bert-2.0: 4,500,000 h; then translations in 101 languages, of hours that are not confirmed here",
        "cc-by-nc-4.0",
    ),
    "mimi": PublishedEncoder("corpora and hours are not confirmed here", "cc-by-4.0, not confirmed here"),
}
MODEL_TYPES = ("sew", "sew-d", "speech_to_text", "moonshine", "seamless_m4t", "seamless_m4t_v2", "mimi")
"""Those that were tried; others are taken on trial (``takes``)."""


def takes(checkpoint: _checkpoint.Checkpoint) -> bool:
    """Whether a checkpoint of a ``model_type`` that no family owns may be tried: it extracts audio features."""
    return "feature_extractor_type" in _checkpoint.preprocessor(checkpoint)


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder of a local folder or hub id.

    Raises EncoderError where the checkpoint cannot be had, is corrupt, or cannot be used for a cache.
    """
    from sercache.encoders._arguments import placement
    from sercache.encoders._placed import Placed
    from sercache.encoders.hf_auto._encoder import AutoEncoder
    from sercache.encoders.hf_auto._load import build, extractor

    place, dtype = placement(device, precision)
    checkpoint = _checkpoint.locate(source, revision)
    preprocessing = _preprocessing(checkpoint)
    extract = extractor(checkpoint)
    model = _loading.load_whole(checkpoint, lambda: build(checkpoint), r"masked_spec_embed$")
    record = _checkpoint.identity(checkpoint, "hf-auto", preprocessing)
    identity = _checkpoint.with_precision(record, precision)
    return AutoEncoder(model, extract, Placed(source, identity, place, dtype))


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity in float32 of what ``load`` gives. Raises EncoderError."""
    checkpoint = _checkpoint.locate(source, revision)
    return _checkpoint.identity(checkpoint, "hf-auto", _preprocessing(checkpoint))


def _preprocessing(checkpoint: _checkpoint.Checkpoint) -> dict[str, Any]:
    settings = _checkpoint.preprocessor(checkpoint)
    if not settings:
        raise EncoderError(
            f"{checkpoint.folder} has no preprocessor_config.json, so nothing says what {checkpoint.model_type} "
            "makes of a waveform; download the whole checkpoint"
        )
    return {
        **{key: value for key, value in settings.items() if key != "processor_class"},
        "from": "checkpoint",
    }
