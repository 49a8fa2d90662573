"""The card that tests marked ``cuda`` compute on, or what stands for it in a rehearsal; and how features are compared.

``SERCACHE_TEST_DEVICE=cpu`` has the CPU play the card, in small sizes: the tests' own arithmetic is tested so.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import auto_helpers as auto
import bare
import conformer_helpers as conformers
import encoder_helpers as tiny
import exactness
import numpy as np
import published_sizes as published
import pytest
import torch
import transformers
from torch import nn

from sercache import stores
from sercache.encoders import Encoder

_ASKED = os.environ.get("SERCACHE_TEST_DEVICE") or ("cuda" if torch.cuda.is_available() else "")
DEVICE = "cpu:0" if _ASKED == "cpu" else _ASKED
"""Empty: there is none. Where the CPU plays the card it has another name than the CPU that it is compared with."""
SMALL = DEVICE.startswith("cpu")
"""A rehearsal."""
NO_CARD = (
    "no CUDA card here; SERCACHE_TEST_DEVICE=cpu rehearses the tests of a card on the CPU, in small sizes"
)
BOUND = exactness.BOUND
APART = "apart from the CPU"
"""Property of a test: the fields of what ``exactness.compared`` found."""

if DEVICE:
    bare.stand_in()


def lines_to_enter(properties: Iterable[tuple[str, object]]) -> list[str]:
    """What ``SHOWN`` of sercache/encoders/_devices.py may have after these tests; nothing after a rehearsal."""
    found = [exactness.Apart(*value) for name, value in properties if name == APART]  # type: ignore[misc]
    return [] if SMALL else exactness.to_enter(found, exactness.card_of(DEVICE))


# Half precision: the stock module's own error is the measure


def placed(module: nn.Module, dtype: torch.dtype) -> Any:
    """A copy of a stock module on the card in ``dtype``, which takes what lies on the CPU in float32."""
    moved = copy.deepcopy(module).to(device=DEVICE, dtype=dtype)

    def bring(_: Any, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        def brought(value: Any) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            return value.to(DEVICE, dtype) if value.is_floating_point() else value.to(DEVICE)

        return tuple(brought(value) for value in args), {key: brought(value) for key, value in named.items()}

    for part in (moved, *moved.children()):
        part.register_forward_pre_hook(bring, with_kwargs=True)
    return moved


def stock_states(name: str, folder: str, module: Any, wave: np.ndarray) -> dict[str, torch.Tensor]:
    """States (T, D) of a case by its stock module alone, as far as that shows them, on the CPU in float32."""
    family = published.CASES[name].family
    if family == "hf-speech":
        found = tiny.stock_states(module, wave)
    elif family == "hf-conformer":
        found = conformers.stock_states(module, wave)
    elif family == "hf-auto":
        extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
        blocks = auto.stock_blocks(module, extractor, wave)
        found = {str(number) if number else "input": x for number, x in enumerate(blocks)}
    elif family == "whisper":
        found = tiny.stock_whisper_states(module.encoder, Path(folder), wave)
    else:
        ids = torch.tensor([[1, *wave.tolist(), 2]])
        with torch.no_grad():
            hidden = module(input_ids=ids, output_hidden_states=True).hidden_states
        found = {str(number) if number else "input": x[0, 1:-1] for number, x in enumerate(hidden)}
    return {state: x.float().cpu() for state, x in found.items()}


WITH_STOCK = [
    name
    for name, case in published.CASES.items()
    if case.family in ("hf-speech", "hf-conformer", "hf-auto", "whisper", "text")
]
"""Cases whose stock module transformers has."""


def stock_in(
    name: str, folder: str, encoder: Encoder, waves: Sequence[np.ndarray], dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """States (F, D) of the waves by the stock module in ``dtype`` on the card; ``encoder`` counts their frames."""
    module = transformers.AutoModel.from_pretrained(folder).eval()
    # One module for each wave: rotary angles are cached by length, in any type.
    found = [stock_states(name, folder, placed(module, dtype), wave) for wave in waves]
    n_frames = [encoder.n_frames(len(wave)) for wave in waves]  # some fill up the last block of frames
    return {
        state: torch.cat([each[state][:n] for each, n in zip(found, n_frames, strict=True)])
        for state in found[0]
    }


def rms_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.double() - expected.double()).square().mean().sqrt())


# Stores


def apart(got: stores.FeatureStore, expected: stores.FeatureStore) -> dict[str, tuple[float, float]]:
    """By state, the largest difference of frames and means between two stores, relative to the state's RMS; and how
    much of that is rounding: BOUND, or more where values are larger than those of random weights, some 4 times the RMS.
    """
    ids, states = expected.ids(), expected.spec.states
    assert sorted(got.ids()) == sorted(ids)
    assert got.spec.states == states
    found: dict[str, tuple[float, float]] = {}
    for state in states:
        pairs = [(got.pooled(ids, [state]), expected.pooled(ids, [state]))]
        if expected.spec.frames:
            pairs += [(got.read(id, [state]), expected.read(id, [state])) for id in ids]
        size = np.sqrt(np.mean([np.square(b, dtype=np.float64).mean() for _, b in pairs]))
        error = max(np.abs(a.astype(np.float64) - b).max() for a, b in pairs) / size
        largest = max(np.abs(b).max() for _, b in pairs) / size
        found[state] = float(error), BOUND * max(1.0, float(largest) / 4)
    return found


def assert_alike(got: stores.FeatureStore, expected: stores.FeatureStore) -> None:
    """A store that a card filled holds what an undisturbed run on the CPU holds, and is whole."""
    wrong = {
        state: f"{error:.1e} of {bound:.1e}"
        for state, (error, bound) in apart(got, expected).items()
        if not error <= bound
    }
    assert wrong == {}, f"differ from the CPU's by more than rounding, relative to their RMS: {wrong}"
    assert stores.verify(got.path) == []


LOST = 8
"""Times that a card may be further from float64 than the CPU: both draw their rounding, and the largest of a state is
of the one frame that lost most, which is another on each. Of whisper-tiny.en on an H100 the stores lay 2 times as far
apart in the last block as the CPU's from float64, and 5 times in the final state.
"""


def assert_as_near(
    got: stores.FeatureStore,
    expected: stores.FeatureStore,
    in_float64: Callable[[str], dict[str, np.ndarray]],
    n: int,
) -> None:
    """A card's store is as near to float64 as the CPU's, where the two are furthest apart: in ``n`` utterances of each
    state. Trained weights may lose a hundred times what random ones do: a block that adds 400 to one feature of a frame
    and takes it away again.
    """
    ids, states = expected.ids(), expected.spec.states
    assert sorted(got.ids()) == sorted(ids)
    between = {id: np.abs(got.read(id) - expected.read(id)).max((1, 2)) for id in ids}
    chosen = {id for k in range(len(states)) for id in sorted(ids, key=lambda id: -between[id][k])[:n]}
    exact = {id: in_float64(id) for id in chosen}
    for state in states:
        ours, theirs = (
            max(np.abs(store.read(id, [state])[0] - exact[id][state]).max() for id in chosen)
            for store in (got, expected)
        )
        size = np.sqrt(np.mean([np.square(exact[id][state]).mean() for id in chosen]))
        assert ours <= LOST * max(theirs, BOUND * size), (state, ours / size, theirs / size)
    assert stores.verify(got.path) == []


def assert_equal(got: stores.FeatureStore, expected: stores.FeatureStore) -> None:
    """Bit for bit: computed in the same company on the same device."""
    assert {state: error for state, (error, _) in apart(got, expected).items() if error} == {}


@contextmanager
def short_of_memory(encoder: Encoder, peak: int, base: int, n_frames: int) -> Iterator[None]:
    """Half of the memory between ``base`` and ``peak`` bytes; in a rehearsal, no more than ``n_frames`` at once."""
    if DEVICE.startswith("cuda"):
        torch.cuda.empty_cache()
        total, card = torch.cuda.get_device_properties(DEVICE).total_memory, torch.cuda.current_device()
        torch.cuda.set_per_process_memory_fraction((base + (peak - base) / 2) / total, card)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, card)
        return
    encode = encoder.encode

    def limited(waves: Sequence[np.ndarray], states: Sequence[str] | None = None) -> Any:
        if sum(encoder.n_frames(len(wave)) for wave in waves) > n_frames:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(waves, states)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "encode", limited, raising=False)
        yield
