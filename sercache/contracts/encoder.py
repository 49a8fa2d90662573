"""The contract of a family of encoders: what is computed is tried on noise, checkpoints on the example it brings."""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from sercache import catalog
from sercache.contracts.check import ContractCheck, missing
from sercache.contracts.words import members
from sercache.encoders import Encoder, Exemplifies, Family, is_checkpoints
from sercache.errors import AudioError, UnknownNameError

BOUND = 2e-5
"""Largest difference between an utterance alone and in company, relative to the RMS of its state."""
_LONGEST = 20_000
"""Samples of the longest wave that is tried."""


def noise(n_samples: int, seed: int = 0) -> np.ndarray:
    """Something between speech and noise, far from zero mean and unit variance: (N,) float32."""
    random = np.random.default_rng([seed, n_samples])
    seconds = np.arange(n_samples) / 16_000
    voiced = np.sin(2 * np.pi * (110 + 40 * random.random()) * seconds) * np.sin(5 * seconds)
    return (0.05 + 0.2 * voiced + 0.1 * random.standard_normal(n_samples)).astype(np.float32)


@contextmanager
def encoders_of(module: ModuleType) -> Iterator[list[tuple[str, Callable[[], Encoder]]]]:
    """What ``load`` takes for each encoder that can be tried, with what loads it."""
    with tempfile.TemporaryDirectory() as folder:
        sources = [] if is_checkpoints(module) else list(module.SHORT_NAMES)
        if isinstance(module, Exemplifies):
            sources = [str(module.example(Path(folder)))]
        yield [(each, lambda each=each: _load(module, each)) for each in sources]  # type: ignore[misc]


def _load(module: ModuleType, source: str) -> Encoder:
    encoder: Encoder = module.load(source, revision=None, device="cpu", precision="float32")
    return encoder


def encoded(
    encoder: Encoder, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """All states asked for, (F, D) each, copied."""
    return {name: packed.cpu().numpy().copy() for name, packed in encoder.encode(waves, states)}


def _holds(module: ModuleType) -> Iterator[str]:
    yield from missing(module, catalog.NEEDED["sercache.encoders"], Family)
    if not {"load", "identify", "SHORT_NAMES", "MODEL_TYPES"} <= set(vars(module)):
        return
    for verb, needed in (("load", ("revision", "device", "precision")), ("identify", ("revision",))):
        taken = inspect.signature(vars(module)[verb]).parameters
        if lacking := [name for name in needed if name not in taken]:
            yield f"{verb} does not take {', '.join(lacking)}: {members(Family)[verb].written}"
    if not module.SHORT_NAMES and not module.MODEL_TYPES:
        yield "SHORT_NAMES and MODEL_TYPES are both empty: nothing can name an encoder of this family"
    if is_checkpoints(module) and not isinstance(module, Exemplifies) and catalog.digest_of(module.__name__):
        member = members(Exemplifies)["example"]
        yield f"example is missing: {member.written}, on which encoders with weights are tried"


def _is_encoder(module: ModuleType) -> Iterator[str]:
    known = members(Encoder)
    with encoders_of(module) as found:
        for source, load in found:
            encoder = load()
            for name, member in known.items():
                if not hasattr(encoder, name):
                    yield f"{name} of {Path(source).name} is missing: {member.told}"


def of_each(find: Callable[[Encoder], Iterator[str]]) -> Callable[[ModuleType], Iterator[str]]:
    """A check of every encoder of waves that a family can be tried on."""

    def look(module: ModuleType) -> Iterator[str]:
        with encoders_of(module) as found:
            for source, load in found:
                encoder = load()
                if hasattr(encoder, "tokens"):  # of text: it takes word pieces, not samples
                    continue
                for fault in find(encoder):
                    yield f"{Path(source).name}: {fault}"

    return look


def keeps_its_shapes(encoder: Encoder) -> Iterator[str]:
    """States once, in order, in the shape that is promised."""
    waves = [noise(encoder.min_samples), noise(7_000)]
    n_frames = sum(encoder.n_frames(len(wave)) for wave in waves)
    names = []
    for name, packed in encoder.encode(waves):
        names.append(name)
        if tuple(packed.shape) != (n_frames, encoder.dims[name]):
            yield f"state {name} is {tuple(packed.shape)}, expected (F, D) = ({n_frames}, {encoder.dims[name]})"
        if str(packed.dtype) != "torch.float32" or packed.requires_grad or not bool(packed.isfinite().all()):
            yield f"state {name} is not finite float32 without gradients"
    if not tuple(names) == tuple(encoder.states) == tuple(encoder.dims):
        yield f"states come as {names}, expected {list(encoder.states)}, which dims has too"


def minds_no_company(encoder: Encoder) -> Iterator[str]:
    """The features of an utterance are those of running it alone."""
    longest = min(encoder.max_samples or _LONGEST, _LONGEST)
    lengths = [encoder.min_samples, longest, (encoder.min_samples + longest) // 2, encoder.min_samples + 1]
    waves = [noise(n, seed) for seed, n in enumerate(lengths)]
    ends = np.cumsum([encoder.n_frames(n) for n in lengths])
    together = encoded(encoder, waves)
    for k, wave in enumerate(waves):
        for name, alone in encoded(encoder, [wave]).items():
            company = together[name][ends[k] - len(alone) : ends[k]]
            size = float(np.sqrt(np.square(alone, dtype=np.float64).mean())) or 1.0
            apart = float(np.abs(company - alone).max()) / size
            if not apart <= BOUND:
                yield (
                    f"state {name} differs by {apart:.1e} of its RMS when others are encoded with it, expected at most "
                    f"{BOUND:g}"
                )
                return


def counts_its_frames(encoder: Encoder) -> Iterator[str]:
    """Frames are counted before they are made."""
    if encoder.n_frames(encoder.min_samples) < 1:
        yield f"min_samples = {encoder.min_samples} gives no frame"
    longest = min(encoder.max_samples or _LONGEST, _LONGEST)
    step = max(77, encoder.hop // 7)
    for n in (*range(encoder.min_samples, encoder.min_samples + 3 * encoder.hop, step), longest - 1, longest):
        got = len(encoded(encoder, [noise(n)], [encoder.states[0]])[encoder.states[0]])
        if got != encoder.n_frames(n):
            yield f"{n} samples give {got} frames, n_frames says {encoder.n_frames(n)}"
            return


def gives_what_is_chosen(encoder: Encoder) -> Iterator[str]:
    """A choice of states keeps their values and order."""
    wave = noise(9_000)
    whole = encoded(encoder, [wave])
    for chosen in ([encoder.states[-1]], [encoder.states[0]], list(encoder.states)[::-2]):
        some = encoded(encoder, [wave], chosen)
        if list(some) != [name for name in encoder.states if name in chosen]:
            yield f"of the states {chosen}, {list(some)} come"
        elif any(not np.array_equal(some[name], whole[name]) for name in some):
            yield f"the states {chosen} have other values alone than among all"
    if encoded(encoder, [wave], []) or encoded(encoder, []):
        yield "no states, or no waves, give something"


def repeats_itself(encoder: Encoder) -> Iterator[str]:
    """Features do not change from call to call, and waves are left as they were."""
    wave = noise(6_000)
    kept = wave.copy()
    wave.flags.writeable = False
    first, second = encoded(encoder, [wave, noise(3_000)]), encoded(encoder, [wave, noise(3_000)])
    if any(not np.array_equal(first[name], second[name]) for name in first):
        yield "two calls give different features of the same waves"
    if not np.array_equal(wave, kept):
        yield "the waves are changed"


def refuses_what_does_not_fit(encoder: Encoder) -> Iterator[str]:
    """States and waves that do not fit are refused at once, not when the first state is asked for."""
    tried: list[tuple[str, Any, Any, type[Exception]]] = [
        ("a state that there is not", [noise(5_000)], ["nosuch"], UnknownNameError),
        ("a wave of two channels", [np.zeros((2, 5_000), np.float32)], None, AudioError),
    ]
    if encoder.min_samples > 1:
        tried.append(("a wave that is too short", [noise(encoder.min_samples - 1)], None, AudioError))
    if encoder.max_samples is not None:
        tried.append(("a wave that is too long", [noise(encoder.max_samples + 1)], None, AudioError))
    for what, waves, states, error in tried:
        try:
            encoder.encode(waves, states)
        except error:
            continue
        except Exception as fault:
            yield f"{what} raises {catalog.told(fault)}; expected {error.__name__}"
        else:
            yield f"{what} is not refused when encode is called; expected {error.__name__}"


def _is_identified(module: ModuleType) -> Iterator[str]:
    name = catalog.called(Path(str(module.__file__)).stem)
    if Path(str(module.__file__)).stem == "__init__":
        name = catalog.called(Path(str(module.__file__)).parent.name)
    with encoders_of(module) as found:
        for source, load in found:
            identity = dict(load().identity)
            if json.loads(json.dumps(identity)) != identity:
                yield f"the identity of {source} is not made of plain JSON values"
            if dict(module.identify(source, revision=None)) != identity:
                yield f"identify({source!r}) gives another identity than the encoder that load gives"
            if identity.get("family") != name:
                yield f"the identity says family {identity.get('family')!r}, expected {name!r} as its file is called"
            if identity.get("revision", "missing") is not None:
                yield f"the identity of {source} has revision {identity.get('revision', 'missing')!r}, expected None"


CHECKS = (
    ContractCheck("holds what the file of a family of encoders holds", _holds, is_needed=True),
    ContractCheck("gives encoders with all that they need", _is_encoder, is_needed=True),
    ContractCheck("is identified, without weights in memory", _is_identified),
    ContractCheck("gives states once, in order, as promised", of_each(keeps_its_shapes), is_needed=True),
    ContractCheck("counts frames before they are made", of_each(counts_its_frames)),
    ContractCheck("encodes each utterance as if it were alone", of_each(minds_no_company)),
    ContractCheck("gives the states that are chosen", of_each(gives_what_is_chosen)),
    ContractCheck("repeats itself, and leaves waves as they were", of_each(repeats_itself)),
    ContractCheck("refuses what does not fit", of_each(refuses_what_does_not_fit)),
)
