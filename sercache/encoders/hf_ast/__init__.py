"""Audio Spectrogram Transformers of Hugging Face transformers (Gong et al., 2021).

A recording is filled up to the window of 1024 spectra (10.26 s) that a checkpoint was trained on, as its owners do. The
spectrum is cut into patches of 16 bands and 16 spectra, 12 above one another every 10 spectra: a frame is the mean over
these 12, there is one every 100 ms, and kept are those that begin within the recording. States: ``input`` (of block 1,
positions added), ``1`` … ``L`` (raw block outputs), ``final`` (after the closing LayerNorm), and ``summary``: the mean
of the two tokens that stand for the whole window, which the owners classify by, the same in every frame.
"""

from __future__ import annotations

from typing import Any

from sercache.encoders import Encoder, _checkpoint, _checkpoint_family
from sercache.encoders._published import PublishedEncoder
from sercache.errors import EncoderError

SHORT_NAMES = {"ast-audioset": "MIT/ast-finetuned-audioset-10-10-0.4593"}
PUBLISHED = {
    "ast-audioset": PublishedEncoder(
        "pictures of ImageNet, then labels of AudioSet (sounds and speech from the web)",
        "bsd-3-clause",
        {"model_type": "audio-spectrogram-transformer"},
    )
}
MODEL_TYPES = ("audio-spectrogram-transformer",)

_SETTINGS: dict[str, Any] = {
    "sampling_rate": 16_000,
    "num_mel_bins": 128,
    "max_length": 1024,
    "do_normalize": True,
    "mean": -4.2677393,
    "std": 4.5689974,
}
"""Defaults of ASTFeatureExtractor: Hz, bands, spectra; mean and half the spread that are taken out."""


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder of a local folder or hub id.

    Raises EncoderError where the checkpoint cannot be had, is corrupt or of another kind.
    """
    from sercache.encoders.hf_ast._encoder import AstEncoder

    found = _checkpoint_family.load(_FAMILY, source, revision=revision, device=device, precision=precision)
    return AstEncoder(found.model, found.preprocessing, found.placed)


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity in float32 of what ``load`` gives. Raises EncoderError."""
    return _checkpoint_family.identify(_FAMILY, source, revision)


def _preprocessing(checkpoint: _checkpoint.Checkpoint) -> dict[str, Any]:
    given = _checkpoint.preprocessor(checkpoint)
    found = {name: given.get(name, usual) for name, usual in _SETTINGS.items()}
    if found["sampling_rate"] != _SETTINGS["sampling_rate"]:
        raise EncoderError(
            f"{checkpoint.folder}: preprocessor_config.json reads {found['sampling_rate']} Hz, expected 16000"
        )
    for name, lowest in (("mean", float("-inf")), ("std", 0.0)):
        value = found[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not lowest < value < float("inf"):
            raise EncoderError(
                f"{checkpoint.folder}: preprocessor_config.json has {name} {value!r}, expected a number"
            )
    for name in ("num_mel_bins", "max_length"):
        takes = checkpoint.config.get(name, _SETTINGS[name])
        if found[name] != takes:
            raise EncoderError(
                f"{checkpoint.folder}: preprocessor_config.json has {name} {found[name]!r}, config.json {takes!r}; get "
                "both files of one checkpoint"
            )
    return {
        **found,
        "from": "checkpoint" if given else "defaults of ASTFeatureExtractor, the checkpoint has none",
    }


_FAMILY = _checkpoint_family.CheckpointFamily("hf-ast", _preprocessing, _checkpoint_family.auto_model)
