"""Vectors of heads: what a head of the user's gives in another shape is said in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sercache.errors import ContractError
from sercache.experiment.vectors import embedded


class _View:
    def __len__(self) -> int:
        return 3

    def batch(self, items: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.ones(len(items), 2, 5, 4), torch.ones(len(items), 5, dtype=torch.bool)


class _Head(torch.nn.Module):
    def __init__(self, found: Any) -> None:
        super().__init__()
        self._found = found

    def embed(self, x: torch.Tensor, mask: torch.Tensor) -> Any:
        return self._found

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return x.mean((1, 2))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (torch.ones(3, 5, 4), r"gives \(3, 5, 4\), expected a tensor \(B, D'\) = \(3, D'\)"),
        (torch.ones(2, 4), r"gives \(2, 4\), expected"),
        (torch.ones(3), r"gives \(3,\), expected"),
        (None, "gives NoneType, expected"),
    ],
)
def test_vectors_of_another_shape_are_refused(found: Any, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        embedded(_Head(found), _View(), "cpu")  # type: ignore[arg-type]


def test_vectors_of_the_right_shape_are_taken() -> None:
    vectors, outputs = embedded(_Head(torch.ones(3, 7)), _View(), "cpu")  # type: ignore[arg-type]
    assert (vectors.shape, outputs.shape) == ((3, 7), (3, 4))
