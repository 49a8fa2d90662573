"""All small files, and folders that appear whole or not at all, whatever happens meanwhile.

Write a temporary, bring it to the disk, rename it, bring the folder to the disk. What dies on the way leaves a
hidden temporary; ``clear_leftovers`` removes those whose owner is gone.
"""

from __future__ import annotations

from sercache.files._clock import now_on
from sercache.files._faults import read_fault, write_faults_named
from sercache.files._folders import clear_leftovers, new_folder, take_away, taken_away, unless_empty
from sercache.files._small import (
    check_output,
    read_json,
    write_bytes,
    write_csv,
    write_json,
    write_output,
    write_pieces,
    write_text,
)
from sercache.files._tensors import opened_tensors, tensor_faults_named, write_tensors

__all__ = [
    "check_output",
    "clear_leftovers",
    "new_folder",
    "now_on",
    "opened_tensors",
    "read_fault",
    "read_json",
    "take_away",
    "taken_away",
    "tensor_faults_named",
    "unless_empty",
    "write_bytes",
    "write_csv",
    "write_faults_named",
    "write_json",
    "write_output",
    "write_pieces",
    "write_tensors",
    "write_text",
]
