"""Safetensors files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sercache.files._faults import write_faults_named
from sercache.system import path_of, sync_path


def write_tensors(path: Path, tensors: Mapping[str, Any], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file, for those to read whom the umask allows, and bring it to the disk.

    Raises as ``write_faults_named``.
    """
    from safetensors.torch import save_file

    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with write_faults_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("wb").close()
        mode = path.stat().st_mode
        with tensor_faults_named():
            save_file(plain, path, metadata=metadata)
        path.chmod(mode & 0o777)
        sync_path(path)


@contextmanager
def opened_tensors(path: Path) -> Iterator[Any]:
    """A safetensors file, open (``safe_open``) for torch tensors; its name may be bytes that are no text.

    Raises SafetensorError where it is damaged, and OSError.
    """
    from safetensors import safe_open

    with _name_in_utf8(path) as name, safe_open(name, framework="pt") as file:
        yield file


@contextmanager
def _name_in_utf8(path: Path) -> Iterator[Path]:
    """A name for a file that libraries take which know UTF-8 alone: its own, else that of a descriptor."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            yield path_of(descriptor)
        finally:
            os.close(descriptor)
    else:
        yield path


@contextmanager
def tensor_faults_named() -> Iterator[None]:
    """Turn what safetensors says of a file that cannot be written, in words only, into the system's OSError."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as fault:
        told = re.search(r"I/O error: .*\(os error (\d+)\)", str(fault))
        if told is None:
            raise
        raise OSError(int(told[1]), os.strerror(int(told[1]))) from fault
