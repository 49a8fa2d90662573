"""Conformer encoders of WeNet checkpoints (Yao et al., 2021), as Chen and Zhang (2022) use them.

A checkpoint is a local folder with train.yaml and final.pt as WeNet's recipes write them and its model list
offers them; ``global_cmvn`` is read where final.pt lacks the statistics. States: ``input`` (of block 1, the
scaled output of the subsampling), ``1`` … ``L`` (block outputs) and ``final`` (after the closing LayerNorm,
where the model has one). Models trained for streaming are run with full context. Filterbanks are computed
without dither, so that features do not change from run to run.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sercache.audio import RESAMPLER
from sercache.encoders import Encoder, _checkpoint
from sercache.encoders._published import PublishedEncoder
from sercache.encoders._weight_files import check_own, weights_sha256
from sercache.encoders.wenet import _config
from sercache.errors import EncoderError

if TYPE_CHECKING:
    from torch import Tensor

SHORT_NAMES = {
    "wenet-librispeech": "WeNet's 20210610_conformer_bidecoder (Librispeech), a folder of yours",
    "wenet-gigaspeech": "WeNet's 20210811_conformer_bidecoder (Gigaspeech), a folder of yours",
}
"""The checkpoints that Chen and Zhang most likely used. They are on no hub: the name is that of the folder
which they are unpacked into, so that stores of it are found by name."""
PUBLISHED = {
    "wenet-librispeech": PublishedEncoder("labels of LibriSpeech 960 h (English)", "apache-2.0"),
    "wenet-gigaspeech": PublishedEncoder("labels of GigaSpeech 10,000 h (English)", "apache-2.0"),
}
MODEL_TYPES: tuple[str, ...] = ()

_YAML, _WEIGHTS = "train.yaml", "final.pt"


def owns(folder: Path) -> bool:
    """Whether a folder holds a WeNet checkpoint."""
    return (folder / _YAML).is_file() and not (folder / "config.json").exists()


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder of a local folder.

    Raises EncoderError where a file is missing, corrupt, or of an encoder other than a Conformer.
    """
    from sercache.encoders._arguments import placement
    from sercache.encoders._placed import Placed
    from sercache.encoders.wenet import _weights
    from sercache.encoders.wenet._encoder import WenetEncoder

    place, dtype = placement(device, precision)
    record = identify(source, revision=revision)
    folder = _folder(source)
    model = _weights.load(folder, _config.read(folder / _YAML), folder / _WEIGHTS)
    identity = _checkpoint.with_precision(record, precision)
    return WenetEncoder(model, Placed(source, identity, place, dtype))


def ctc_layer(folder: Path, n_units: int) -> tuple[Tensor, Tensor]:
    """Weight (n_units, D) and bias (n_units,) of the layer that gives the units of ``units.txt`` over the encoder.

    Raises EncoderError where the checkpoint in ``folder`` has none of so many units.
    """
    from sercache.encoders.wenet import _weights

    layer = _weights.tensors(folder / _WEIGHTS, "ctc.ctc_lo.")
    if layer.keys() != {"weight", "bias"} or len(layer["weight"]) != n_units:
        raise EncoderError(
            f"{folder}: {_WEIGHTS} has no CTC layer of the {n_units} units of units.txt; get both of one model"
        )
    return layer["weight"], layer["bias"]


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity in float32 of what ``load`` gives: digests of train.yaml, final.pt and the statistics.

    Raises EncoderError for a revision, a missing file and a train.yaml that is not supported.
    """
    from sercache.encoders import _kaldi

    if revision is not None:
        raise EncoderError(f"{source} is a local folder, which has no --revision; leave it out")
    folder = _folder(source)
    config = _config.read(folder / _YAML)
    for name in (_YAML, _WEIGHTS):
        check_own(folder / name)
    if not (folder / _WEIGHTS).is_file():
        raise EncoderError(f"{folder / _WEIGHTS} is missing; download the whole checkpoint")
    statistics = config.statistics(folder)
    return {
        "family": "wenet",
        "model_type": "conformer",
        "source": f"local: {folder.resolve().name}",
        "revision": None,
        "weights_sha256": weights_sha256([folder / _WEIGHTS]),
        "config_sha256": hashlib.sha256((folder / _YAML).read_bytes()).hexdigest(),
        "cmvn_sha256": hashlib.sha256(statistics.read_bytes()).hexdigest() if statistics.exists() else None,
        "preprocessing": {"n_mels": config.conformer.input_dim, **_kaldi.PARAMETERS},
        "resampler": RESAMPLER,
    }


def _folder(source: str) -> Path:
    """The checkpoint's folder. Raises EncoderError for a short name that is not the name of one here."""
    folder = Path(source)
    if source in SHORT_NAMES and not owns(folder):
        raise EncoderError(
            f"{source} is {SHORT_NAMES[source].rpartition(', ')[0]}, which is on no hub: unpack it into a folder "
            f"called {source} and give that as --encoder PATH/{source}"
        )
    return folder
