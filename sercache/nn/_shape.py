"""What a head may be given: one state, or several inputs side by side. Refusals are ValueError."""

from __future__ import annotations

from collections.abc import Sequence


def only_state(n_layers: int) -> None:
    """Raises ValueError unless a head that reads one state gets one."""
    if n_layers != 1:
        raise ValueError(
            f"this head reads one state, got {n_layers}; choose one with --states, for example 6"
        )


def side_by_side(
    n_layers: int | Sequence[int], dim: int | Sequence[int], n_inputs: int
) -> tuple[tuple[int, int], ...]:
    """(L, D) of each input of a head that reads ``n_inputs``. Raises ValueError for another number."""
    layers = (n_layers,) if isinstance(n_layers, int) else tuple(n_layers)
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    if len(layers) != n_inputs or len(dims) != n_inputs:
        raise ValueError(
            f"this head reads {n_inputs} inputs side by side, got {len(layers)}; name the further ones with --beside"
        )
    return tuple(zip(layers, dims, strict=True))


def many_blocks(n_layers: int, n_parameters: int) -> tuple[str, ...]:
    """Note on the size of a head with a network per block, where there are more blocks than published (12)."""
    if n_layers <= 12:
        return ()
    return (
        f"{n_layers} networks with {n_parameters / 1e6:.1f} M parameters in all, published with 12; "
        "--states 2,4,6,... reads every second block",
    )
