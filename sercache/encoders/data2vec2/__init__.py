"""data2vec 2.0 of audio (Baevski et al., 2023) and emotion2vec (Ma et al., 2024), which is one, as published.

A checkpoint is a hub id or a folder with the owners' files: FunASR's config.yaml, configuration.json and weights
(emotion2vec, emotion2vec+), or one file of fairseq that holds its configuration too (data2vec 2.0). States: ``conv``
(convolutional features), ``projection``, ``input`` (of block 1, positions added and normalised) and ``1`` … ``L``
(block outputs; blocks of the audio part first, then those that modalities share; ``L`` is what emotion2vec gives as
features). The extra tokens that stand before the frames in every block are no frames and in no state; the classifier of
emotion2vec+ is not used.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sercache.audio import RESAMPLER
from sercache.encoders import Encoder, _checkpoint
from sercache.encoders._weight_files import weights_sha256
from sercache.encoders.data2vec2._published import PUBLISHED as PUBLISHED
from sercache.encoders.data2vec2._published import SEEN_CORPORA as SEEN_CORPORA
from sercache.errors import EncoderError
from sercache.settings import expanded

if TYPE_CHECKING:
    from sercache.encoders.data2vec2._files import KnownFiles

_FAIRSEQ = ", a folder of yours"
SHORT_NAMES = {
    "emotion2vec-base": "emotion2vec/emotion2vec_base",
    "emotion2vec-plus-seed": "emotion2vec/emotion2vec_plus_seed",
    "emotion2vec-plus-base": "emotion2vec/emotion2vec_plus_base",
    "emotion2vec-plus-large": "emotion2vec/emotion2vec_plus_large",
    "data2vec2-audio-base": f"data2vec 2.0 Base of fairseq (LibriSpeech){_FAIRSEQ}",
    "data2vec2-audio-large": f"data2vec 2.0 Large of fairseq (Libri-Light){_FAIRSEQ}",
}
ALIASES = {
    "emotion2vec_base": "emotion2vec-base",
    "emotion2vec_plus_seed": "emotion2vec-plus-seed",
    "emotion2vec_plus_base": "emotion2vec-plus-base",
    "emotion2vec_plus_large": "emotion2vec-plus-large",
}
"""What FunASR and ModelScope call the same weights."""
MODEL_TYPES: tuple[str, ...] = ()
HUB_CONFIGS = ("config.yaml", "configuration.json")

_OTHERS = ("config.json", "train.yaml")
"""Files that tell checkpoints of other families."""
_MODEL = re.compile(r"""^(?:\{ *)?["']?model["']? *: *["']?[\w.-]+["']? *(?:[,#}]|$)""", re.MULTILINE)
"""A name, in YAML or in JSON, which is YAML; another tool has a section there."""


def owns(folder: Path) -> bool:
    """Whether a folder holds a model of FunASR, or a lone checkpoint of PyTorch: no other family has such folders."""
    if any((folder / name).exists() for name in _OTHERS):
        return False
    config = folder / HUB_CONFIGS[0]
    if not config.is_file():
        return (folder / HUB_CONFIGS[1]).is_file() or any(folder.glob("*.pt"))
    return (folder / HUB_CONFIGS[1]).is_file() or _names_a_model(config)


def _names_a_model(config: Path) -> bool:
    """Whether a config.yaml may be FunASR's: other tools have files of that name."""
    try:
        text = config.read_text(encoding="utf-8", errors="replace")
    except OSError:  # which reading it says
        return True
    return _MODEL.search(text) is not None


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder of a local folder, hub id or short name.

    Raises EncoderError where the checkpoint cannot be had, is corrupt or of another model.
    """
    from sercache.encoders._arguments import placement
    from sercache.encoders._placed import Placed
    from sercache.encoders.data2vec2 import _files
    from sercache.encoders.data2vec2._encoder import Data2Vec2Encoder

    place, dtype = placement(device, precision)
    files, record = _identified(source, revision)
    identity = _checkpoint.with_precision(record, precision)
    return Data2Vec2Encoder(_files.load(files), Placed(source, identity, place, dtype))


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity in float32 of what ``load`` gives. Raises EncoderError."""
    return _identified(source, revision)[1]


def size(config: dict[str, Any]) -> tuple[int, int, int]:
    """(blocks, D, parameters) of what a ``config`` in PUBLISHED describes."""
    import torch

    from sercache.encoders.data2vec2._config import Data2Vec2Config
    from sercache.encoders.data2vec2._model import Data2Vec2

    found = Data2Vec2Config(**config)
    with torch.device("meta"):
        model = Data2Vec2(found)
    return found.n_blocks, found.dim, sum(each.numel() for each in model.parameters())


def _identified(source: str, revision: str | None) -> tuple[KnownFiles, dict[str, Any]]:
    """The files of a checkpoint, and what decides the numbers that they give in float32."""
    from sercache.encoders.data2vec2 import _files
    from sercache.encoders.data2vec2._encoder import EPSILON, RATE

    names = (*HUB_CONFIGS, "*.pt")
    folder, shown, commit = _checkpoint.fetched(_source(source), revision, names, names)
    files = _files.read(folder)
    config = json.dumps(files.config.to_json(), sort_keys=True, separators=(",", ":"))
    preprocessing: dict[str, Any] = {"sample_rate": RATE, "do_normalize": files.config.normalize}
    if files.config.normalize:
        preprocessing["epsilon"] = EPSILON
    return files, {
        "family": "data2vec2",
        "model_type": "data2vec2-audio",
        "source": shown,
        "revision": commit,
        "weights_sha256": weights_sha256([files.weights]),
        "config_sha256": hashlib.sha256(config.encode()).hexdigest(),
        "preprocessing": preprocessing,
        "resampler": RESAMPLER,
    }


def _source(source: str) -> str:
    """What a short name stands for. Raises EncoderError for one that is on no hub."""
    known = SHORT_NAMES.get(source, source)
    if known.endswith(_FAIRSEQ) and not expanded(source).is_dir():
        raise EncoderError(
            f"{source} is {known.removesuffix(_FAIRSEQ)}, which is on no hub: put its file into a folder called "
            f"{source} and give that as --encoder PATH/{source}"
        )
    return source if expanded(source).is_dir() else known
