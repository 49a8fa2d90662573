"""The files that hold a checkpoint's weights: which they are, that they are its own, and their digest."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from sercache.encoders import _faults
from sercache.errors import EncoderError
from sercache.files import opened_tensors
from sercache.units import listed

if TYPE_CHECKING:
    from torch import Tensor

SAFE = ("model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors")
TORCH = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin")
_FLOATING = ("F64", "F32", "F16", "BF16")
"""Types that hold weights as they are; others are of use with scales that other code applies."""
_LFS = b"version https://git-lfs"
_OTHERS = {
    "tf_model.h5": "TensorFlow",
    "flax_model.msgpack": "Flax",
    "model.onnx": "ONNX",
    "adapter_model.safetensors": "a PEFT adapter alone",
    "adapter_model.bin": "a PEFT adapter alone",
}
_FOREIGN = (".pt", ".pth", ".ckpt", ".nemo", ".gguf", ".h5", ".msgpack", ".onnx")
_ADAPTER = "adapter_config.json"


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a checkpoint. Raises EncoderError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise EncoderError(_no_such_file(path)) from None
    except (OSError, ValueError, RecursionError) as fault:
        _faults.pass_on(fault, path)
        raise EncoderError(
            f"{path} cannot be read as JSON ({str(fault)[:200]}); get the file again"
        ) from fault
    if not isinstance(found, dict):
        raise EncoderError(f"{path} holds no JSON object; get the file again")
    return found


def _no_such_file(path: Path) -> str:
    """Why a file of a checkpoint is not there."""
    if path.is_symlink():
        return f"{path} is a link to {path.readlink()}, which is not there; download the checkpoint again"
    if (path.parent / _ADAPTER).is_file():
        base = read_json(path.parent / _ADAPTER).get("base_model_name_or_path")
        of = f" of {base}" if isinstance(base, str) and base else ""
        return (
            f"{path.parent} is a PEFT adapter{of}, not a whole model: load it with peft, "
            "merge_and_unload().save_pretrained(FOLDER), and give that folder"
        )
    return f"{path.parent} has no {path.name}, so it is no Hugging Face checkpoint"


def weight_files(folder: Path, tensors: str = "") -> list[Path]:
    """The files that hold the weights: safetensors where there are any, else PyTorch's.

    ``tensors``: pattern of the names, from their beginning, of those that count; of several files only those that hold
    one of these are given, and need to be there. Raises EncoderError where there are none, where one is missing, lies
    elsewhere or is a git-LFS pointer.
    """
    for single, index in (SAFE[:2], TORCH[:2]):
        # Not exists(): a link whose end is missing is a fault to be told, not a file that is not there.
        if os.path.lexists(folder / single):
            files = [folder / single]
        elif os.path.lexists(folder / index):
            files = [folder / name for name in shards(folder / index, tensors)]
        else:
            continue
        missing = [path.name for path in files if not os.path.lexists(path)]
        for path in files:
            check_own(path)
            check_weight_file(path, missing)
        return files
    raise EncoderError(f"{folder} holds no weights: expected {SAFE[0]} or {TORCH[0]}{_instead(folder)}")


def shards(index: Path, tensors: str = "") -> list[str]:
    """File names in an index of weights, of those that hold ``tensors``.

    Raises EncoderError for an index that names none, or files of another folder.
    """
    check_own(index)
    found = read_json(index)
    named = found.get("weight_map")
    if not isinstance(named, dict) or not named:
        raise EncoderError(f"{index} names no weight files; download the whole checkpoint")
    if not isinstance(found.get("metadata"), dict):
        raise EncoderError(f"{index} has no object 'metadata', which transformers reads; get the file again")
    names = sorted({str(file) for name, file in named.items() if re.match(tensors, name)})
    if not names:
        raise EncoderError(
            f"{index} names no tensor of the part that is used here; it is of another kind of model"
        )
    for name in names:
        if (
            name in ("", ".", "..")
            or len(PurePosixPath(name).parts) > 1
            or len(PureWindowsPath(name).parts) > 1
        ):
            raise EncoderError(
                f"{index} names {name!r} as a weight file, expected names of files beside it; do not use this "
                "checkpoint unless you know who made it"
            )
    return names


def check_own(path: Path) -> None:
    """Raise EncoderError for a link that leaves the checkpoint's folder, or leads nowhere.

    The cache of the hub keeps the files of a snapshot as links into the same repository's ``blobs``.
    """
    if not path.is_symlink():
        return
    if not path.exists():
        raise EncoderError(_no_such_file(path))
    home = path.parent.resolve()
    home = next((each for each in (home, *home.parents) if each.name.startswith("models--")), home)
    if not path.resolve().is_relative_to(home):
        raise EncoderError(
            f"{path} is a link out of the checkpoint's folder, to {path.resolve()}; put a copy there if it is meant"
        )


def check_weight_file(path: Path, missing: Sequence[str] = ()) -> None:
    """Raise EncoderError for a file of weights that is missing, cannot be read or is a git-LFS pointer.

    ``missing``: all names of files that lack beside it, to be got at once.
    """
    if not path.exists():
        raise EncoderError(f"{path} is missing; {_to_get(path.parent, missing or [path.name])}")
    try:
        with path.open("rb") as file:
            head = file.read(len(_LFS))
    except OSError as fault:
        _faults.pass_on(fault, path)
        raise EncoderError(f"{path} cannot be read: {fault.strerror or fault}") from None
    if head == _LFS:
        raise EncoderError(f"{path} is a git-LFS pointer, not weights; run `git lfs pull` in its folder")


def download_command(hub_id: str, names: Sequence[str] = (), revision: str | None = None) -> str:
    """What fetches files of a repository of the hub, whose ``names`` may be patterns; none: all of it."""
    words = ["hf", "download", hub_id, *(["--revision", revision] if revision else [])]
    return shlex.join([*words, *(word for name in names for word in ("--include", name))])


def _to_get(folder: Path, names: Sequence[str]) -> str:
    """How the files that lack come into a checkpoint's folder."""
    home = folder.parents[1].name if len(folder.parents) > 1 else ""
    if folder.parent.name != "snapshots" or not home.startswith("models--"):
        return f"get {listed(names)} of the same checkpoint and put it there"
    hub_id = home.removeprefix("models--").replace("--", "/")
    return f"run `{download_command(hub_id, names, folder.name)}` where there is a network"


def _instead(folder: Path) -> str:
    """What a folder without weights holds that may be taken for them."""
    names = sorted(path.name for path in folder.iterdir())
    for name in names:
        if name in _OTHERS:
            return f", found {name} ({_OTHERS[name]}); save the model with save_pretrained of transformers for PyTorch"
    foreign = [name for name in names if Path(name).suffix in (*_FOREIGN, ".safetensors", ".bin")]
    return (
        f", found {listed(foreign)}; save the model with save_pretrained of transformers" if foreign else ""
    )


def tensor_types(files: Sequence[Path]) -> dict[str, str]:
    """Type of each tensor in weight files, by its name, as safetensors writes it: F32, BF16, I8, …"""
    import torch

    found: dict[str, str] = {}
    for path in files:
        if path.suffix == ".safetensors":
            with opened_tensors(path) as file:
                found |= {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
        else:
            held = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
            found |= {name: _type_of(tensor) for name, tensor in held.items()}
    return found


def _type_of(tensor: Any) -> str:
    import torch

    known = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    kind = tensor.dtype if isinstance(tensor, torch.Tensor) else None
    return known[kind] if kind in known else str(kind).removeprefix("torch.")


def tensors_behind(files: Sequence[Path], names: str) -> Iterator[tuple[str, Tensor]]:
    """(what follows the match, tensor) of tensors whose names begin as ``names``; all others stay on disk."""
    import torch

    pattern = re.compile(names)
    for path in files:
        if path.suffix == ".safetensors":
            with opened_tensors(path) as file:
                for key in file.keys():  # noqa: SIM118 - not a mapping
                    if found := pattern.match(key):
                        yield key[found.end() :], file.get_tensor(key)
        else:
            for key, tensor in torch.load(path, weights_only=True, map_location="cpu", mmap=True).items():
                if found := pattern.match(key):
                    yield key[found.end() :], tensor


def not_floating(
    files: Sequence[Path], parameters: Collection[str], tensors: str = ""
) -> tuple[str, str] | None:
    """Name and type of the first of ``tensors`` that stands for a parameter and is no plain floating-point number."""
    wanted = frozenset(parameters)
    for name, kind in tensor_types(files).items():
        if not re.match(tensors, name):
            continue
        parts = name.split(".")
        # Whoever saved it may have wrapped the module.
        if kind not in _FLOATING and any(".".join(parts[k:]) in wanted for k in range(len(parts))):
            return name, kind
    return None


def prefix(absent: Collection[str], held: Collection[str]) -> str:
    """What most of the ``absent`` names stand behind in the files; empty where there is no such beginning."""
    ends = {name: key.removesuffix(name) for name in absent for key in held if key.endswith(f".{name}")}
    if 2 * len(ends) <= len(absent):
        return ""
    found = sorted(ends.values(), key=len)[0]
    return found if sum(end == found for end in ends.values()) * 2 > len(absent) else ""


def weights_sha256(files: Sequence[Path]) -> str:
    """sha256 of the weight file; of several, that of the sorted list of their sha256 digests."""
    digests = sorted(_sha256(path, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


@functools.lru_cache(maxsize=64)
def _sha256(path: Path, size: int, changed_ns: int) -> str:
    """Digest of a file; size and time of change make it be read again when it is another."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
