"""Checkpoints of Hugging Face transformers: where they lie, what they are, and loading them whole."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sercache.audio import RESAMPLER
from sercache.errors import EncoderError

if TYPE_CHECKING:
    from torch import nn

_CONFIGS = ["config.json", "preprocessor_config.json", "processor_config.json"]
_SAFE = ["model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors"]
_TORCH = ["pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin"]
_VOLATILE = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")
"""Settings that say who wrote a configuration and how, and decide no number."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LFS = b"version https://git-lfs"
_EXACT = "float32"


@dataclass(frozen=True)
class Checkpoint:
    """A folder with config.json, and where it came from."""

    folder: Path
    source: str
    """Hub id, or ``local: <folder name>``."""
    revision: str | None
    """Commit that the hub resolved; None for a local folder."""
    config: Mapping[str, Any]

    @property
    def model_type(self) -> str:
        """``wav2vec2``, ``whisper``, …"""
        return str(self.config.get("model_type", ""))


def locate(
    source: str, revision: str | None, *, weights: bool = True, also: Sequence[str] = ()
) -> Checkpoint:
    """The checkpoint of a local folder or a hub id, downloaded where it is not on this machine yet.

    ``weights=False`` fetches the configuration alone; ``also`` names further files of use. Raises
    EncoderError where it cannot be had.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise EncoderError(f"{source} is a local folder, which has no --revision; leave it out")
        name = folder.resolve().name
        return Checkpoint(folder, f"local: {name}", None, read_json(folder / "config.json"))
    snapshot = _snapshot(source, revision, weights, also)
    commit = snapshot.name if _COMMIT.fullmatch(snapshot.name) else None
    return Checkpoint(snapshot, source, commit, read_json(snapshot / "config.json"))


def _snapshot(hub_id: str, revision: str | None, weights: bool, also: Sequence[str]) -> Path:
    from huggingface_hub import errors, snapshot_download

    fetch = functools.partial(snapshot_download, hub_id, revision=revision)
    named = f"{hub_id} at revision {revision}" if revision else hub_id
    try:
        small = [*_CONFIGS, *also]
        folder = Path(fetch(allow_patterns=[*small, *_SAFE] if weights else small))
        if weights and not any(folder.glob("*.safetensors")):
            folder = Path(fetch(allow_patterns=[*small, *_TORCH]))
    except errors.GatedRepoError as fault:
        raise EncoderError(
            f"{named} asks for an agreement first: give it on https://huggingface.co/{hub_id}, then `hf auth login`"
        ) from fault
    except errors.RevisionNotFoundError as fault:
        raise EncoderError(
            f"{hub_id} has no revision {revision}; leave --revision out for the newest"
        ) from fault
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as fault:
        raise EncoderError(
            f"{hub_id} is not on the Hugging Face hub, or private; check the name, or `hf auth login`"
        ) from fault
    except (OSError, errors.HfHubHTTPError) as fault:
        raise EncoderError(
            f"{named} is not on this machine and cannot be downloaded ({type(fault).__name__}); run "
            f"`hf download {hub_id}` where there is a network and point HF_HOME at its cache, or give a local "
            "folder as --encoder"
        ) from fault
    return folder


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a checkpoint. Raises EncoderError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EncoderError(f"{path.parent} has no {path.name}, so it is no Hugging Face checkpoint") from None
    except (OSError, ValueError) as fault:
        raise EncoderError(f"{path} cannot be read as JSON ({fault}); get the file again") from fault
    if not isinstance(found, dict):
        raise EncoderError(f"{path} holds no JSON object; get the file again")
    return found


def preprocessor(checkpoint: Checkpoint) -> dict[str, Any]:
    """Settings of the checkpoint's feature extractor; empty where it comes without."""
    if (checkpoint.folder / "preprocessor_config.json").exists():
        return read_json(checkpoint.folder / "preprocessor_config.json")
    if (checkpoint.folder / "processor_config.json").exists():
        return read_json(checkpoint.folder / "processor_config.json").get("feature_extractor", {})
    return {}


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights: safetensors where there are any, else PyTorch's.

    Raises EncoderError where there are none, where one is missing or is a git-LFS pointer.
    """
    for single, index in (_SAFE[:2], _TORCH[:2]):
        if (folder / single).exists():
            files = [folder / single]
        elif (folder / index).exists():
            shards = read_json(folder / index).get("weight_map")
            if not isinstance(shards, dict) or not shards:
                raise EncoderError(f"{folder / index} names no weight files; download the whole checkpoint")
            files = [folder / str(name) for name in sorted(set(shards.values()))]
        else:
            continue
        for path in files:
            _check_weight_file(path)
        return files
    raise EncoderError(f"{folder} holds no weights: expected {_SAFE[0]} or {_TORCH[0]}")


def _check_weight_file(path: Path) -> None:
    if not path.exists():
        raise EncoderError(f"{path} is missing; download the whole checkpoint")
    with path.open("rb") as file:
        head = file.read(len(_LFS))
    if head == _LFS:
        raise EncoderError(f"{path} is a git-LFS pointer, not weights; run `git lfs pull` in its folder")


def weights_sha256(files: Sequence[Path]) -> str:
    """sha256 of the weight file; of several, that of the sorted list of their sha256 digests."""
    digests = sorted(_sha256(path, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


@functools.lru_cache(maxsize=64)
def _sha256(path: Path, size: int, changed_ns: int) -> str:
    """Digest of a file; size and time of change make it be read again when it is another."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identity(checkpoint: Checkpoint, family: str, preprocessing: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the numbers of an encoder that was loaded from ``checkpoint`` in float32."""
    settings = {key: value for key, value in checkpoint.config.items() if key not in _VOLATILE}
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return {
        "family": family,
        "model_type": checkpoint.model_type,
        "source": checkpoint.source,
        "revision": checkpoint.revision,
        "weights_sha256": weights_sha256(weight_files(checkpoint.folder)),
        "config_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "preprocessing": dict(preprocessing),
        "resampler": RESAMPLER,
    }


def with_precision(record: Mapping[str, Any], precision: str) -> dict[str, Any]:
    """An identity for weights in ``precision``, which is named where it changes the numbers."""
    return dict(record) if precision == _EXACT else {**record, "precision": precision}


def write(model: Any, checkpoint: Checkpoint, folder: Path) -> None:
    """Write a stock module as a folder, with the preprocessor's files of the checkpoint that it came from."""
    model.save_pretrained(folder)
    for name in _CONFIGS[1:]:
        if (checkpoint.folder / name).exists():
            shutil.copyfile(checkpoint.folder / name, folder / name)


def load_whole(
    checkpoint: Checkpoint, build: Callable[[], tuple[nn.Module, Sequence[str]]], may_miss: str = r"$^"
) -> nn.Module:
    """The module that ``build`` makes, once every tensor of it is known to come from the checkpoint.

    ``build`` returns a module and the names of tensors that the checkpoint lacks; those that match
    ``may_miss`` play no part in the states. Raises EncoderError for a file that cannot be read, tensors of
    another shape, missing tensors (nothing is ever initialised in their place) and values that are not
    finite.
    """
    files = weight_files(checkpoint.folder)
    named = files[0] if len(files) == 1 else checkpoint.folder
    try:
        with _quiet():
            module, missing = build()
    except (EncoderError, MemoryError):
        raise
    except Exception as fault:  # the loaders of torch, safetensors and transformers raise whatever they like
        reason = " ".join(str(fault).split())[:300] or type(fault).__name__
        raise EncoderError(f"{named} cannot be loaded ({reason}); get the file again") from fault
    absent = sorted(name for name in missing if not re.search(may_miss, name))
    if absent:
        shown = ", ".join(absent[:3]) + (", …" if len(absent) > 3 else "")
        raise EncoderError(
            f"{named} lacks {len(absent)} tensors of {checkpoint.model_type}: {shown}; it is corrupt or of another "
            "architecture"
        )
    broken = [name for name, tensor in module.named_parameters() if not bool(tensor.isfinite().all())]
    if broken:
        raise EncoderError(
            f"{named} holds values that are not finite, first in {broken[0]}; get the file again"
        )
    return module.eval().requires_grad_(False)


@contextmanager
def _quiet() -> Iterator[None]:
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
