"""Loading a checkpoint of any kind: its feature extractor and the part of its model that takes speech."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from sercache.encoders import _faults, _modules
from sercache.encoders._checkpoint import Checkpoint
from sercache.encoders._weight_files import tensor_types, tensors_behind, weight_files
from sercache.errors import EncoderError, MissingExtraError

_PARTS = ("audio_tower", "audio_encoder", "speech_encoder")
"""Names under which models of several parts keep what takes speech."""
_ALONE = {
    "seamless_m4t": ("modeling_seamless_m4t", "SeamlessM4TSpeechEncoder"),
    "seamless_m4t_v2": ("modeling_seamless_m4t_v2", "SeamlessM4Tv2SpeechEncoder"),
}
"""Models of which the speech encoder is a quarter: module and class of it, whose tensors are read alone."""
_SPEECH = r"speech_encoder\."


def extractor(checkpoint: Checkpoint) -> Any:
    """The feature extractor of a checkpoint. Raises EncoderError."""
    from transformers import AutoFeatureExtractor

    try:
        with silently():
            found = AutoFeatureExtractor.from_pretrained(
                checkpoint.folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as fault:  # transformers raises whatever it likes
        _faults.pass_on(fault, checkpoint.folder)
        if line := _modules.missing(fault):
            raise MissingExtraError(f"the feature extractor of {checkpoint.folder} needs {line}") from fault
        raise EncoderError(
            f"the feature extractor of {checkpoint.folder} cannot be made ({reason(fault)})"
        ) from fault
    if not isinstance(getattr(found, "sampling_rate", None), int):
        raise EncoderError(f"{checkpoint.folder} has a {type(found).__name__}, which is not for audio")
    return found


def build(checkpoint: Checkpoint) -> tuple[Any, list[str]]:
    """The part of the model that takes speech, and the names of its tensors that the checkpoint lacks."""
    from transformers import CONFIG_MAPPING, AutoModel

    if checkpoint.model_type not in CONFIG_MAPPING:
        raise EncoderError(
            f"{checkpoint.folder} is of model_type {checkpoint.model_type!r}, which this release of transformers does "
            "not know; code that comes with a checkpoint is not run"
        )
    if checkpoint.model_type in _ALONE:
        return _alone(checkpoint, *_ALONE[checkpoint.model_type])
    model, report = AutoModel.from_pretrained(
        checkpoint.folder,
        dtype=torch.float32,
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    part = next((getattr(model, name) for name in _PARTS if hasattr(model, name)), None)
    if part is None:
        part = model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model
    prefix = next(name for name, module in model.named_modules() if module is part)
    prefix = f"{prefix}." if prefix else ""
    missing = {name.removeprefix(prefix) for name in report["missing_keys"] if name.startswith(prefix)}
    return part, sorted(missing | _unreported(model, part, prefix, checkpoint))


def _alone(checkpoint: Checkpoint, module: str, kind: str) -> tuple[Any, list[str]]:
    """The speech encoder of a model so large that the rest of it is left on the disk; as ``build`` gives it."""
    from transformers import AutoConfig, models

    code = getattr(getattr(models, checkpoint.model_type), module)
    config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False)
    held = dict(tensors_behind(weight_files(checkpoint.folder), _SPEECH))
    part, report = getattr(code, kind).from_pretrained(
        None, config=config, state_dict=held, dtype=torch.float32, output_loading_info=True
    )
    return part, sorted(report["missing_keys"])


def _unreported(model: Any, part: Any, prefix: str, checkpoint: Checkpoint) -> set[str]:
    """Tensors of ``part`` that the checkpoint lacks, of those that transformers never reports as missing."""
    silent = "|".join(getattr(model, "_keys_to_ignore_on_load_missing", None) or ()) or r"$^"
    asked = [name for name in part.state_dict() if re.search(silent, prefix + name)]
    if not asked:
        return set()
    held = tensor_types(weight_files(checkpoint.folder))
    tails = {key[k:] for key in held for k in range(len(key)) if k == 0 or key[k - 1] == "."}
    return {name for name in asked if name not in tails and not name.endswith("num_batches_tracked")}


@contextmanager
def silently() -> Iterator[None]:
    """Without the warnings of a checkpoint's code: who only chose it cannot act on them; values are checked."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def reason(fault: Exception) -> str:
    """What an exception says, in one line."""
    return " ".join(str(fault).split())[:200] or type(fault).__name__
