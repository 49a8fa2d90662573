"""Checkpoints of Hugging Face transformers: where they lie, and what they are."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sercache import files, trained_on
from sercache.audio import RESAMPLER
from sercache.encoders import _schema
from sercache.encoders._loading import quiet
from sercache.encoders._weight_files import (
    SAFE,
    TORCH,
    check_own,
    download_command,
    read_json,
    shards,
    weight_files,
    weights_sha256,
)
from sercache.errors import EncoderError
from sercache.settings import expanded
from sercache.units import listed

CONFIG = "config.json"
_CONFIGS = [CONFIG, "preprocessor_config.json", "processor_config.json"]
_VOLATILE = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")
"""Settings that say who wrote a configuration and how, and decide no number."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_EXACT = "float32"


@dataclass(frozen=True)
class WeightsPart:
    """A part of a larger model: its weights alone are fetched, hashed and read."""

    tensors: str
    """Pattern of what the names of its tensors begin with."""
    configs: tuple[str, ...]
    """Entries of config.json, one inside the other, that may hold its settings."""


@dataclass(frozen=True)
class Checkpoint:
    """A folder with config.json, and where it came from."""

    folder: Path
    source: str
    """Hub id, or ``local: <folder name>``."""
    revision: str | None
    """Commit that the hub resolved; None for a local folder."""
    config: Mapping[str, Any]
    part: WeightsPart | None = None
    """What of a larger model is used; None: all of it."""

    @property
    def model_type(self) -> str:
        """``wav2vec2``, ``whisper``, …"""
        return str(self.config.get("model_type", ""))

    @property
    def tensors(self) -> str:
        """Pattern of what the names of the tensors that are used begin with."""
        return self.part.tensors if self.part else ""

    @property
    def used(self) -> Mapping[str, Any]:
        """The settings of what is used: of a part, its own."""
        found = self.config
        for name in self.part.configs if self.part else ():
            inner = found.get(name)
            found = inner if isinstance(inner, Mapping) else found
        return found


def locate(
    source: str,
    revision: str | None,
    *,
    weights: bool = True,
    also: Sequence[str] = (),
    part: WeightsPart | None = None,
) -> Checkpoint:
    """The checkpoint of a local folder or a hub id, downloaded where it is not on this machine yet.

    ``weights=False`` fetches the configuration alone; ``also`` names further files of use; of a ``part`` only
    the files that hold it are fetched. Raises EncoderError where it cannot be had.
    """
    folder = expanded(source)
    if folder.is_dir():
        if revision is not None:
            raise EncoderError(f"{source} is a local folder, which has no --revision; leave it out")
        name = folder.resolve().name
        return Checkpoint(folder, f"local: {name}", None, _config(folder), part)
    tensors = _wanted(weights, part)
    # Which files hold a part is in an index: the first download brings it, and what then lacks is named by its name.
    first = ("*.json",) if part else ()
    snapshot = _snapshot(source, revision, lambda fetch: _stock_files(fetch, also, tensors), first)
    return Checkpoint(snapshot, source, _commit(snapshot), _config(snapshot), part)


def _wanted(weights: bool, part: WeightsPart | None) -> str | None:
    """Pattern of the tensors that are fetched; None for none."""
    return (part.tensors if part else "") if weights else None


def _stock_files(fetch: Callable[..., str], also: Sequence[str], tensors: str | None) -> Path:
    """The folder of a checkpoint of transformers, with the files of weights that hold these tensors."""
    small = [*_CONFIGS, "adapter_config.json", trained_on.FILE, *also]
    folder = Path(fetch(allow_patterns=[*small, SAFE[1], TORCH[1]] if tensors else small))
    if tensors is not None:
        folder = Path(fetch(allow_patterns=[*small, *_weights(folder, SAFE, tensors)]))
        if not any(folder.glob("*.safetensors")):
            folder = Path(fetch(allow_patterns=[*small, *_weights(folder, TORCH, tensors)]))
    return folder


def fetched(
    source: str, revision: str | None, names: Sequence[str], advised: Sequence[str] = ()
) -> tuple[Path, str, str | None]:
    """(folder, what it is called, commit) of a local folder or a hub id, whatever files its family has.

    ``names`` are patterns of the files to download, ``advised`` those that a message says to; none: all files. Raises
    EncoderError where it cannot be had.
    """
    folder = expanded(source)
    if folder.is_dir():
        if revision is not None:
            raise EncoderError(f"{source} is a local folder, which has no --revision; leave it out")
        return folder, f"local: {folder.resolve().name}", None
    snapshot = _snapshot(source, revision, lambda fetch: Path(fetch(allow_patterns=list(names))), advised)
    return snapshot, source, _commit(snapshot)


def _commit(snapshot: Path) -> str | None:
    return snapshot.name if _COMMIT.fullmatch(snapshot.name) else None


def _config(folder: Path) -> dict[str, Any]:
    """The configuration in a folder, once it is known to be one of a model. Raises EncoderError."""
    path = folder / "config.json"
    check_own(path)
    found = read_json(path)
    _schema.check_config(found, path)
    return found


def _snapshot(
    hub_id: str,
    revision: str | None,
    download: Callable[[Callable[..., str]], Path],
    advised: Sequence[str] = (),
) -> Path:
    """What ``download`` gives of a hub id by ``snapshot_download``.

    Raises EncoderError where it cannot be had, which says to download files by ``advised`` patterns; none: all files.
    """
    from huggingface_hub import errors, snapshot_download

    fetch = functools.partial(snapshot_download, hub_id, revision=revision)
    named = f"{hub_id} at revision {revision}" if revision else hub_id
    try:
        folder = download(fetch)
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
        if commits := _cached_commits(hub_id):
            raise EncoderError(
                f"{named} is not in the hub's cache, which does not say what {revision or 'the newest'} is and holds "
                f"the commits {listed(commits)}; give --revision {commits[0]}"
            ) from fault
        command = download_command(hub_id, advised, revision)
        raise EncoderError(
            f"{named} is not on this machine and cannot be downloaded ({type(fault).__name__}); run `{command}` where "
            "there is a network and point HF_HOME at its cache, or give a local folder as --encoder"
        ) from fault
    return folder


def _weights(folder: Path, kinds: Sequence[str], tensors: str) -> Sequence[str]:
    """Names of files to fetch for ``tensors``; where there is no index, all of one kind."""
    index = folder / kinds[1]
    return [*kinds[:2], *shards(index, tensors)] if tensors and index.exists() else kinds


def _cached_commits(hub_id: str) -> list[str]:
    """Commits of a repository that the hub's cache on this machine holds, the last used first."""
    from huggingface_hub import constants

    snapshots = Path(constants.HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}" / "snapshots"
    try:
        found = [path for path in snapshots.iterdir() if _COMMIT.fullmatch(path.name) and path.is_dir()]
    except OSError:
        return []
    return [path.name for path in sorted(found, key=lambda path: -path.stat().st_mtime)]


def preprocessor(checkpoint: Checkpoint) -> dict[str, Any]:
    """Settings of the checkpoint's feature extractor; empty where it comes without. Raises EncoderError."""
    for name, inside in (("preprocessor_config.json", None), ("processor_config.json", "feature_extractor")):
        path = checkpoint.folder / name
        check_own(path)
        if not path.exists():
            continue
        found = read_json(path)
        settings = found if inside is None else found.get(inside, {})
        if not isinstance(settings, dict):
            raise EncoderError(f"{path}: {inside} is no JSON object; get the file again")
        _schema.check_extractor(settings, path)
        return settings
    return {}


def identity(checkpoint: Checkpoint, family: str, preprocessing: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the numbers of an encoder that was loaded from ``checkpoint`` in float32."""
    settings = {key: value for key, value in checkpoint.config.items() if key not in _VOLATILE}
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return {
        "family": family,
        "model_type": checkpoint.model_type,
        "source": checkpoint.source,
        "revision": checkpoint.revision,
        "weights_sha256": weights_sha256(weight_files(checkpoint.folder, checkpoint.tensors)),
        "config_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "preprocessing": dict(preprocessing),
        "resampler": RESAMPLER,
    }


def record_of(checkpoint: Checkpoint) -> trained_on.TrainedOn | None:
    """What the checkpoint says that its weights were trained on; None where it does not. Raises EncoderError."""
    path = checkpoint.folder / trained_on.FILE
    check_own(path)
    if not path.exists():
        return None
    return trained_on.read(
        checkpoint.folder, weights_sha256(weight_files(checkpoint.folder, checkpoint.tensors))
    )


def with_precision(record: Mapping[str, Any], precision: str) -> dict[str, Any]:
    """An identity for weights in ``precision``, which is named where it changes the numbers."""
    return dict(record) if precision == _EXACT else {**record, "precision": precision}


def write(model: Any, checkpoint: Checkpoint, folder: Path, absent: Collection[str] = ()) -> None:
    """Write a stock module as a folder, with the preprocessor's files of the checkpoint that it came from.

    ``absent``: tensors that the checkpoint lacks, which are not written either.
    """
    held = {name: tensor for name, tensor in model.state_dict().items() if name not in absent}
    with quiet(), files.tensor_faults_named():
        model.save_pretrained(folder, state_dict=held if absent else None)
    for name in _CONFIGS[1:]:
        if (checkpoint.folder / name).exists():
            shutil.copyfile(checkpoint.folder / name, folder / name)
