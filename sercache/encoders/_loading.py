"""Loading checkpoints whole: each tensor of a module comes from the file, or it is said what is wrong with that."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sercache.encoders import _faults, _modules, _schema
from sercache.encoders._weight_files import not_floating, prefix, tensor_types, weight_files
from sercache.errors import EncoderError, MissingExtraError, SercacheError
from sercache.units import listed

if TYPE_CHECKING:
    from torch import nn

    from sercache.encoders._checkpoint import Checkpoint


def load_whole(
    checkpoint: Checkpoint, build: Callable[[], tuple[nn.Module, Sequence[str]]], may_miss: str = r"$^"
) -> nn.Module:
    """The module that ``build`` makes, once every tensor of it is known to come from the checkpoint.

    ``build`` returns a module and the names of tensors that the checkpoint lacks; those that match
    ``may_miss`` play no part in the states. Raises EncoderError for a file that cannot be read, tensors of
    another shape, missing tensors (nothing is ever initialised in their place) and values that are not
    finite.
    """
    _check_name(checkpoint.folder)
    files = weight_files(checkpoint.folder, checkpoint.tensors)
    named = files[0] if len(files) == 1 else checkpoint.folder
    n_bytes = sum(path.stat().st_size for path in files)
    _schema.check_size_of_weights(checkpoint.used, checkpoint.folder / "config.json", n_bytes)
    try:
        with quiet():
            module, missing = build()
    except EncoderError:
        raise
    except Exception as fault:  # the loaders of torch, safetensors and transformers raise whatever they like
        _faults.pass_on(fault, named)
        raise _not_loaded(fault, checkpoint, named) from fault
    absent = sorted(name for name in missing if not re.search(may_miss, name))
    if absent:
        raise _incomplete(absent, checkpoint, files, named)
    _check_numbers(module, files, named, checkpoint.tensors)
    return module.eval().requires_grad_(False)


def _not_loaded(fault: Exception, checkpoint: Checkpoint, named: Path) -> SercacheError:
    """What is said where a loader of torch, safetensors or transformers raises."""
    if line := _modules.missing(fault):
        return MissingExtraError(f"loading {named} needs {line}")
    reason = _in_one_line(fault)
    if "ignore_mismatched_sizes" in reason or "size mismatch" in reason:
        return EncoderError(
            f"{named} holds tensors of other shapes than config.json describes; get both files of one checkpoint"
        )
    if "Weights only load failed" in reason and "nsupported global" not in str(fault):
        reason = "it is no file that torch.save wrote"
    elif "Weights only load failed" in reason:
        return EncoderError(
            f"{named} holds more than tensors, objects that could run code, and is not loaded; get the checkpoint "
            "as safetensors, or its state_dict() alone"
        )
    if reason == _fault_of_config(checkpoint.folder):
        said = reason if " " in reason else f"{type(fault).__name__} {reason}"
        return EncoderError(
            f"{checkpoint.folder / 'config.json'} describes no {checkpoint.model_type} ({said}); get the file again"
        )
    return EncoderError(f"{named} cannot be loaded ({reason}); get the file again")


def _incomplete(
    absent: Sequence[str], checkpoint: Checkpoint, files: Sequence[Path], named: Path
) -> EncoderError:
    """What is said where a checkpoint lacks tensors."""
    if before := prefix(absent, tensor_types(files)):
        return EncoderError(
            f"{named} holds the tensors of {checkpoint.model_type} under names that begin with {before!r}: the "
            "model was saved with what wrapped it in training; save the model inside, model.module.save_pretrained"
        )
    return EncoderError(
        f"{named} lacks {len(absent)} tensors of {checkpoint.model_type}: {listed(absent)}; it is corrupt or of "
        "another architecture"
    )


def _check_numbers(module: nn.Module, files: Sequence[Path], named: Path, tensors: str) -> None:
    """Raise EncoderError for weights that are no floating-point numbers, or not finite."""
    if found := not_floating(files, [name for name, _ in module.named_parameters()], tensors):
        raise EncoderError(
            f"{named} holds {found[0]} as {found[1]}, expected floating-point numbers: quantised weights are not used; "
            "get the checkpoint as it was trained"
        )
    broken = [name for name, tensor in module.named_parameters() if not bool(tensor.isfinite().all())]
    if broken:
        raise EncoderError(
            f"{named} holds values that are not finite, first in {broken[0]}; get the file again"
        )


def _fault_of_config(folder: Path) -> str:
    """What transformers says where it makes no model of a configuration, whatever the weights; else nothing."""
    import torch
    import transformers

    try:
        with torch.device("meta"), quiet():
            config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
            transformers.AutoModel.from_config(config)
    except Exception as fault:  # transformers raises whatever it likes
        return _in_one_line(fault)
    return ""


def _in_one_line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:300] or type(fault).__name__


def _check_name(folder: Path) -> None:
    """Raise EncoderError for a name that the loaders do not take, and would call the file damaged for."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise EncoderError(
            f"{folder}: the bytes of its name are not UTF-8, which loaders of weights need; make a link to the folder "
            "whose name is, and give that"
        ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and load reports, no change to the global random state."""
    import torch
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
