"""Global mean and variance statistics of WeNet: JSON, or Kaldi's text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from sercache.encoders import _faults
from sercache.errors import EncoderError

_SMALLEST_VARIANCE = 1e-20


def read(path: Path, is_json: bool) -> tuple[np.ndarray, np.ndarray]:
    """(mean, 1 / standard deviation), each (D,) float32. Raises EncoderError for a file that holds none."""
    try:
        text = path.read_text(encoding="utf-8")
        sums, squares, count = _json(text) if is_json else _kaldi(text)
        if not count > 0 or sums.shape != squares.shape or sums.ndim != 1:
            raise ValueError(f"{len(sums)} sums, {len(squares)} squares, {count:g} frames")
    except FileNotFoundError:
        raise EncoderError(f"{path} is missing; get it from where the checkpoint came from") from None
    except (OSError, ValueError, KeyError, TypeError) as fault:
        _faults.pass_on(fault, path)
        kind = "JSON" if is_json else "Kaldi text"
        raise EncoderError(f"{path} holds no statistics as {kind} ({fault}); get the file again") from fault
    mean = sums / count
    variance = np.maximum(squares / count - mean**2, _SMALLEST_VARIANCE)
    return mean.astype(np.float32), (1 / np.sqrt(variance)).astype(np.float32)


def _json(text: str) -> tuple[np.ndarray, np.ndarray, float]:
    found = json.loads(text)
    sums, squares = (np.asarray(found[name], dtype=np.float64) for name in ("mean_stat", "var_stat"))
    return sums, squares, float(found["frame_num"])


def _kaldi(text: str) -> tuple[np.ndarray, np.ndarray, float]:
    """``[ sums count squares 0 ]``."""
    words = text.split()
    if words[:1] != ["["] or words[-2:] != ["0", "]"] or len(words) % 2:
        raise ValueError("expected [ sums, count, squares, 0 ]")
    n_dims = (len(words) - 4) // 2
    numbers = np.asarray(words[1:-2], dtype=np.float64)
    return numbers[:n_dims], numbers[n_dims + 1 :], float(numbers[n_dims])
