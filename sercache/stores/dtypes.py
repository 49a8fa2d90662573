"""Frames in the dtype of a store: conversion there and back, and the guard against lost values."""

from __future__ import annotations

import numpy as np

from sercache.errors import NumericRangeError, StoreError
from sercache.stores.spec import DType, FeatureSpec

STORED: dict[DType, np.dtype] = {
    "float16": np.dtype("<f2"),
    "float32": np.dtype("<f4"),
    "bfloat16": np.dtype("<u2"),
    "int8": np.dtype("i1"),
}
"""How frames lie on disk. Neither Zarr v3 nor HDF5 has a stock bfloat16: its bit patterns are kept.

Of int8 a frame of a state is D whole numbers and then its scale, a float32 in four more: whatever holds a frame holds
what makes numbers of it.
"""

ENCODINGS: dict[DType, str] = {
    "bfloat16": "bfloat16 bit patterns; as float32: (value.astype('uint32') << 16).view('float32')",
    "int8": "int8 and then a float32 scale in the last 4 of each frame; as float32: "
    "value[..., :-4] * value[..., -4:].view('<f4')",
}
"""What stock readers are told of types that are not what they seem."""
_SCALE = np.dtype("<f4")
_MOST = 127
"""Whole numbers of int8 go from -127 to 127: as many on both sides of zero."""

FLOAT16_LIMIT = 65504 / 2
"""Values below half of float16's largest are kept in it; beyond, a little more gain would overflow."""

_MASKS = {np.dtype("<f4"): 0x7FFFFFFF, np.dtype("<f2"): 0x7FFF, np.dtype("<u2"): 0x7FFF}
_FLOAT32 = np.dtype("<f4")


def encode_frames(frames: np.ndarray, dtype: DType, id: str, state: str) -> np.ndarray:
    """Frames (T, D) of one state in the stored dtype; float32 is converted, the stored dtype passes.

    bfloat16 is rounded to the nearest, ties to even, and comes as its bit patterns in uint16; int8 comes as (T, D + 4)
    with the scale of each frame behind it. Raises
    NumericRangeError, naming utterance and state, where a value is not finite or does not fit, and
    StoreError for frames of another dtype.
    """
    stored = STORED[dtype]
    if frames.dtype not in (_FLOAT32, stored):
        raise StoreError(
            f"{id}: frames of state {state} are {frames.dtype}, expected float32 or {stored.name}"
        )
    if dtype == "int8" and frames.dtype == stored:
        _check_scales(frames, id, state)
        return frames
    magnitudes = frames.view(f"<u{frames.dtype.itemsize}") & _MASKS[frames.dtype]
    # Bit patterns of magnitudes order like the values, with infinity and NaN above all of them: one
    # integer maximum is the whole check, for every dtype.
    if magnitudes.size and magnitudes.max() >= _limit(dtype, frames.dtype):
        worst = frames.reshape(-1)[magnitudes.argmax() : magnitudes.argmax() + 1]
        raise NumericRangeError(_out_of_range(id, state, dtype, float(_plain(worst)[0])))
    if frames.dtype == stored:
        return frames
    if dtype == "int8":
        return _to_int8(frames)
    return _to_bfloat16(frames) if dtype == "bfloat16" else frames.astype(stored)


def decode_frames(stored: np.ndarray, dtype: DType) -> np.ndarray:
    """Frames as numbers: float16 and float32 as they are stored, bfloat16 and int8 as float32."""
    if dtype == "int8":
        return np.multiply(stored[..., : -_SCALE.itemsize], _scales(stored), dtype=np.float32)
    return _plain(stored) if dtype == "bfloat16" else stored


def width(dim: int, dtype: DType) -> int:
    """Stored values of a frame of feature size ``dim``."""
    return dim + _SCALE.itemsize if dtype == "int8" else dim


def frame_bytes(spec: FeatureSpec) -> int:
    """Bytes of one frame of one state."""
    return width(spec.dim, spec.dtype) * STORED[spec.dtype].itemsize


def fill_value(dtype: DType) -> np.generic:
    """What stands where no frame was written: NaN, so that reading beyond an utterance shows."""
    if dtype == "int8":  # bytes of ones, of which four are a NaN in the place of a scale
        return np.int8(-1)
    return np.uint16(0x7FC0) if dtype == "bfloat16" else STORED[dtype].type("nan")


def check_statistics(values: np.ndarray, what: str, id: str, states: tuple[str, ...]) -> None:
    """Raise NumericRangeError where a mean or standard deviation (L, D) is not finite."""
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        state = states[int(np.argmin(finite))]
        raise NumericRangeError(
            f"{id}: the {what} of state {state} is not finite; check the recording and the checkpoint"
        )


def _limit(dtype: DType, given: np.dtype) -> int:
    """Bit pattern of the smallest magnitude that is refused."""
    if dtype == "float16":
        return int(np.array(FLOAT16_LIMIT, given).view(f"<u{given.itemsize}"))
    if dtype == "bfloat16":
        # From float32: halfway between the largest finite bfloat16 and infinity, which rounds up.
        return 0x7F7F8000 if given == _FLOAT32 else 0x7F80
    # Of int8 half of the largest float32, so that no product of a scale overflows.
    return 0x7F000000 if dtype == "int8" else 0x7F800000


def _out_of_range(id: str, state: str, dtype: DType, value: float) -> str:
    if not np.isfinite(value):
        return f"{id}: state {state} holds {value}, expected finite values; check the recording and the checkpoint"
    if dtype == "float16":
        return (
            f"{id}: state {state} reaches {value:g}, and float16 is kept for values below {FLOAT16_LIMIT:g}; "
            "choose --dtype bfloat16 or --dtype float32"
        )
    return f"{id}: state {state} reaches {value:g}, which does not fit {dtype}; choose --dtype float32"


def _to_bfloat16(frames: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(frames).view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def _to_int8(frames: np.ndarray) -> np.ndarray:
    """Whole numbers of -127 to 127 by the largest magnitude of each frame, (T, D + 4) with the scales."""
    scales = (np.abs(frames).max(axis=-1, keepdims=True) / np.float32(_MOST)).astype(_SCALE)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.where(
            scales > 0, np.rint(frames / scales), 0
        )  # below all float32 of a scale there is silence
    whole = steps.clip(-_MOST, _MOST).astype(np.int8)
    return np.concatenate([whole, scales.view(np.int8)], axis=-1)


def _scales(stored: np.ndarray) -> np.ndarray:
    """(..., 1) float32."""
    return np.ascontiguousarray(stored[..., -_SCALE.itemsize :]).view(_SCALE)


def _check_scales(stored: np.ndarray, id: str, state: str) -> None:
    scales = _scales(stored)
    if not np.isfinite(scales).all():
        raise NumericRangeError(
            f"{id}: state {state} has a scale that is not finite; convert or extract it again"
        )


def _plain(stored: np.ndarray) -> np.ndarray:
    """Numbers of stored values: bfloat16 bit patterns become float32, the rest passes."""
    return (stored.astype("<u4") << 16).view("<f4") if stored.dtype == np.dtype("<u2") else stored
