"""How features come to lie on a device: which do, and what their tables are made of."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from sercache.machine import free_memory
from sercache.training.contract import View, parts_of
from sercache.training.tables import Resident, ResidentInput, ResidentTable, Tables, starts_of
from sercache.views import FeatureView, JoinedView, SideBySideView, Source

SHARE = 0.5
"""Of the free memory of a device that the frames of one source may take; what a batch takes needs the rest."""
_CHUNK = 512
"""Means of items that are normalised at a time while a table is filled."""
_FRAMES_AT_ONCE = 64
"""Items whose frames are brought to a device at a time."""


def resident(view: View, device: torch.device, tables: Tables | None = None) -> View:
    """``view`` with its features on ``device``, where they are means, or it is no CPU and has room; else itself.

    Views of one source share one table of ``tables``, on a CPU those that are normalised alike.
    """
    if isinstance(view, Resident):
        return view
    tables = Tables() if tables is None else tables
    if not has_room(view, device, tables):
        return view
    inputs = view.inputs if isinstance(view, SideBySideView) else (view,)
    if any(isinstance(each, JoinedView) and each.has_padding for each in inputs):
        return view  # rows of its own are laid out by their masks
    if any(not isinstance(each, FeatureView) for each in inputs):
        return Resident(view, _own_rows(view, device, tables), device)
    of_input = _means if device.type == "cpu" else _as_stored
    return Resident(view, tuple(of_input(each, device, tables) for each in inputs), device)  # type: ignore[arg-type]


def has_room(view: View, device: torch.device, tables: Tables) -> bool:
    """Whether the features of a view are to lie on a device: means always, frames where it is no CPU and has room."""
    if isinstance(view, Resident) or int(view.n_frames.max()) == 1:
        return True
    return device.type != "cpu" and _bytes(view, device, tables) <= SHARE * free_on(device)


def free_on(device: torch.device) -> int:
    """Bytes of memory that can still be taken on a device; torch's own freed blocks count."""
    if device.type != "cuda":
        return free_memory()
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + kept


def _bytes(view: View, device: torch.device, tables: Tables) -> int:
    """What the frames of a view take that are not in ``tables`` yet; all of a source, as folds share them."""
    inputs = view.inputs if isinstance(view, SideBySideView) else (view,)
    sources = [each.source for each in inputs if isinstance(each, FeatureView)]
    if len(sources) == len(inputs):
        return sum(each.plan.bytes for each in sources if (id(each), "", str(device)) not in tables)
    if (id(view), "input 0", str(device)) in tables:
        return 0
    shapes = zip(_several(view.n_layers), _several(view.dim), strict=True)
    return 4 * int(view.n_frames.sum()) * sum(n_layers * dim for n_layers, dim in shapes)


def _several(sizes: int | tuple[int, ...]) -> tuple[int, ...]:
    return sizes if isinstance(sizes, tuple) else (sizes,)


def _means(view: FeatureView, device: torch.device, tables: Tables) -> ResidentInput:
    """Means of a view, normalised in the table."""
    key = id(view.source), digest(view), str(device)
    table = tables.get(key)
    if table is None:
        table = tables[key] = _empty_table(view, device)
    rows = np.unique(view.rows, return_index=True)
    missing = rows[1][~table.filled[rows[0]]]
    for start in range(0, len(missing), _CHUNK):
        chunk = missing[start : start + _CHUNK]
        table.values[torch.from_numpy(view.rows[chunk]).to(device)] = view.batch(chunk)[0].to(device)
    table.filled[rows[0]] = True
    return ResidentInput(table, view.rows)


def _empty_table(view: FeatureView, device: torch.device) -> ResidentTable:
    mean = torch.from_numpy(view.source.mean)[:, :, None]
    plain = view.shift is None
    values = mean.to(device) if plain else torch.empty_like(mean, device=device)
    return ResidentTable(
        values, np.ones(len(mean), np.int64), mean.shape[1], None, np.full(len(mean), plain), view.source
    )


def _as_stored(view: FeatureView, device: torch.device, tables: Tables) -> ResidentInput:
    """Features of a view as they are stored, all rows of its source."""
    key, source = (id(view.source), "", str(device)), view.source
    table = tables.get(key)
    if table is None:
        table = tables[key] = _frames(source, device) if source.frames else _plain_means(source, device)
    name = digest(view)
    if name not in table.scalings:
        table.scalings[name] = scaling_on(view, device)
    return ResidentInput(table, view.rows, table.scalings[name], view.group)


def scaling_on(view: FeatureView, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """Shift and scale (G, L, D) of a view on a device; None where it is not normalised."""
    if view.shift is None or view.scale is None:
        return None
    return torch.from_numpy(view.shift).to(device), torch.from_numpy(view.scale).to(device)


def of_batch(
    view: FeatureView, items: np.ndarray, values: Tensor, scaling: tuple[Tensor, Tensor] | None
) -> Resident:
    """Some items of a view, whose frames ``values`` (L, F + 1, D) lie on a device as they are stored."""
    rows = view.rows[items]
    table = _table_of_frames(values, view.source.n_frames[rows], view.source.n_real[rows], view)
    groups = None if view.group is None else view.group[items]
    return Resident(view, (ResidentInput(table, np.arange(len(items)), scaling, groups),), values.device)


def _plain_means(source: Source, device: torch.device) -> ResidentTable:
    mean = torch.from_numpy(source.mean)[:, :, None]
    return ResidentTable(
        mean.to(device), np.ones(len(mean), np.int64), mean.shape[1], None, np.ones(len(mean), bool), source
    )


def _frames(source: Source, device: torch.device) -> ResidentTable:
    """Frames of all rows of a source, in its own type."""
    n_rows, n_frames = len(source.n_frames), int(source.n_frames.sum())
    shape = len(source.states), n_frames + 1, source.dim
    values = torch.empty(shape, dtype=source.kept_as, device=device)
    values[:, n_frames:] = 0
    starts = starts_of(source.n_frames.tolist())
    for first in range(0, n_rows, _FRAMES_AT_ONCE):
        last = min(first + _FRAMES_AT_ONCE, n_rows)
        values[:, starts[first] : starts[last]] = source.stored(range(first, last)).to(device)
    return _table_of_frames(values, source.n_frames, source.n_real, source)


def _table_of_frames(
    values: Tensor, lengths: np.ndarray, n_real: np.ndarray, source: object
) -> ResidentTable:
    starts = starts_of(lengths.tolist())[:-1]
    spans = torch.from_numpy(np.stack([starts, lengths, n_real], 1)).to(values.device)
    return ResidentTable(
        values.flatten(0, 1), lengths, len(values), spans, np.ones(len(lengths), bool), source
    )


def _own_rows(view: View, device: torch.device, tables: Tables) -> tuple[ResidentInput, ...]:
    """All rows of one table per input that holds the items of ``view`` and no others."""
    keys = [(id(view), f"input {number}", str(device)) for number in range(len(_several(view.dim)))]
    held = [table for table in (tables.get(key) for key in keys) if table is not None]
    if len(held) < len(keys):
        held = _own_tables(view, device)
        tables.update(zip(keys, held, strict=True))
    return tuple(ResidentInput(table, np.arange(len(view))) for table in held)


def _own_tables(view: View, device: torch.device) -> list[ResidentTable]:
    """What a view reads whose items are no rows of a source, one of each input."""
    rows, means = np.arange(len(view)), int(view.n_frames.max()) == 1
    parts: list[list[Tensor]] = [[] for _ in _several(view.dim)]
    lengths: list[list[np.ndarray]] = [[] for _ in parts]
    at_once = _CHUNK if means else _FRAMES_AT_ONCE
    for first in range(0, len(view), at_once):
        batch = view.batch(rows[first : first + at_once])
        for number, (x, mask) in enumerate(zip(*map(parts_of, batch), strict=True)):
            if means:  # of an item without frames it is zero
                parts[number].append(torch.where(mask[:, None, :, None], x, 0.0).to(device))
            else:
                parts[number].append(x.transpose(1, 2)[mask].transpose(0, 1).to(device))
            lengths[number].append(mask.sum(1).cpu().numpy())
    if means:
        ones, filled = np.ones(len(view), np.int64), np.ones(len(view), bool)
        return [ResidentTable(torch.cat(each), ones, each[0].shape[1], None, filled, view) for each in parts]
    ends = [each[0].new_zeros(each[0].shape[0], 1, each[0].shape[2]) for each in parts]
    pairs = zip(parts, ends, lengths, strict=True)
    return [
        _table_of_frames(torch.cat([*p, end], 1), n, n, view)
        for p, end, n in ((p, end, np.concatenate(n)) for p, end, n in pairs)
    ]


def digest(view: FeatureView) -> str:
    """What tells one normalisation from another."""
    if view.shift is None or view.scale is None:
        return ""
    return hashlib.blake2b(view.shift.tobytes() + view.scale.tobytes(), digest_size=16).hexdigest()
