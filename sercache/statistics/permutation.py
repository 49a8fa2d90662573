"""Whether two systems differ: a sign-flip permutation over units, and Holm's correction over many pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.05
"""Of error: a difference whose corrected p lies below it is called one."""
EXACT_UNITS = 16
"""Up to so many units all signs are gone through, 2^15 with the first one fixed."""
N_DRAWS = 9_999
"""Signs that are drawn where there are more units."""
_ROUNDING = 1e-9
"""Of the observed statistic: sums of the same numbers in another order are equal to it."""
_CHUNK = 4096

Statistic = Callable[[np.ndarray], np.ndarray]
"""Differences (P,) of signs (P, n_units): where a sign is -1, what both systems said of that unit is swapped."""


@dataclass(frozen=True)
class SignFlip:
    """What a test found."""

    p: float
    """Two-sided: share of the signs under which the difference is as far from 0 as the one that was seen."""
    smallest: float
    """The least p that so many units can give."""
    n: int
    """Units."""
    exact: bool
    """Whether all signs were gone through; else N_DRAWS were drawn, and the seen ones count as one more."""


def sign_flip(
    statistic: Statistic,
    n_units: int,
    *,
    exact_units: int = EXACT_UNITS,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> SignFlip:
    """A paired permutation test over units: two systems that do not differ may be swapped on any of them.

    ``statistic`` is a difference that changes its sign when all units are swapped. With more units than ``exact_units``
    ``n_draws`` signs are drawn with ``seed``, and p is (1 + as far) / (1 + drawn), so that it is never 0. Raises
    ValueError without units. Source: Fisher, The Design of Experiments, 1935, section 21; Phipson and Smyth 2010 on
    drawn permutations.
    """
    if n_units < 1:
        raise ValueError("a permutation test needs units, got 0")
    seen = abs(float(statistic(np.ones((1, n_units)))[0]))
    least = seen * (1 - _ROUNDING) - np.finfo(float).eps
    exact = n_units <= exact_units
    signs = _every_sign(n_units) if exact else _drawn_signs(n_units, n_draws, seed)
    n_far = sum(int((np.abs(statistic(each)) >= least).sum()) for each in signs)
    finest = 2.0 ** (1 - n_units)
    if exact:
        return SignFlip(n_far * finest, finest, n_units, exact)
    return SignFlip((1 + n_far) / (1 + n_draws), max(finest, 1 / (1 + n_draws)), n_units, exact)


def _every_sign(n_units: int) -> Iterator[np.ndarray]:
    """Every combination of signs with the first one +1: the others mirror these, with the same distance from 0."""
    bits = np.arange(n_units - 1)
    for start in range(0, 2 ** (n_units - 1), _CHUNK):
        numbers = np.arange(start, min(start + _CHUNK, 2 ** (n_units - 1)))
        flipped = (numbers[:, None] >> bits) & 1
        yield np.concatenate([np.ones((len(numbers), 1)), 1.0 - 2.0 * flipped], axis=1)


def _drawn_signs(n_units: int, n_draws: int, seed: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(seed)
    for start in range(0, n_draws, _CHUNK):
        yield random.choice((-1.0, 1.0), size=(min(_CHUNK, n_draws - start), n_units))


def holm(ps: Sequence[float]) -> list[float]:
    """Each p corrected for all of them, in their order. Source: Holm, Scandinavian Journal of Statistics 6, 1979."""
    order = sorted(range(len(ps)), key=lambda k: ps[k])
    corrected, so_far = [0.0] * len(ps), 0.0
    for place, k in enumerate(order):
        so_far = max(so_far, min(1.0, (len(ps) - place) * ps[k]))
        corrected[k] = so_far
    return corrected
