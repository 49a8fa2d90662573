"""The stock module, one utterance at a time, its states taken by hooks: slower, never different."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class _Enough(Exception):
    """The last state asked for has been computed."""


class Stock:
    """The forward pass of a module that the packed path does not know."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @torch.no_grad()
    def __call__(self, waves: Sequence[Tensor], states: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield (state, (F, D)) for ``states``, given in order. All of them are held until the last wave."""
        each = [self._states(wave, states) for wave in waves]
        for name in states:
            yield name, torch.cat([found.pop(name) for found in each])

    def _states(self, wave: Tensor, states: Sequence[str]) -> dict[str, Tensor]:
        model, found = self.model, {}

        def take(name: str, tensor: Tensor) -> None:
            if name in states:
                found[name] = tensor[0].clone()
            if name == states[-1]:
                raise _Enough

        def after(module: nn.Module, name: str, read: Callable[[Any], Tensor]) -> Any:
            return module.register_forward_hook(lambda _, __, output: take(name, read(output)))

        blocks = model.encoder.layers
        hooks = [
            after(model.feature_extractor, "conv", lambda output: output.transpose(1, 2)),
            after(model.feature_projection, "projection", _first),
            blocks[0].register_forward_pre_hook(
                lambda _, args, named: take("input", args[0] if args else named["hidden_states"]),
                with_kwargs=True,
            ),
            *(after(block, str(number), _first) for number, block in enumerate(blocks, start=1)),
            after(model.encoder, "final", lambda output: output.last_hidden_state),
        ]
        try:
            model(wave[None].to(model.dtype))
        except _Enough:
            pass
        finally:
            for hook in hooks:
                hook.remove()
        return found


def _first(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output
