"""Operations that members of a stack compute together: as each would alone, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sercache import nn
from sercache.heads import superb, weighted_dense

K = 3
pytestmark = pytest.mark.usefixtures("in_float64")


@pytest.mark.parametrize("shared", [(), (0,), (1,)])
@pytest.mark.parametrize(
    ("operation", "shapes"),
    [
        (nn.product, [(5, 7), (7, 4)]),
        (lambda x, w: nn.linear(x, w, torch.arange(4.0)), [(2, 5, 7), (4, 7)]),
        (lambda x, w: nn.weighted_sum(x, w, torch.ones(2, 3, dtype=torch.bool)), [(2, 5, 3, 7), (5,)]),
        (lambda x, w: nn.weighted_mean(x, w, torch.tensor([[1, 1, 0], [1, 0, 0]]) > 0), [(2, 5, 3, 7), (5,)]),
    ],
)
def test_members_together_are_each_alone(
    operation: Callable[..., Tensor], shapes: list[tuple[int, ...]], shared: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    inputs = [
        torch.randn(*(() if k in shared else (K,)), *shape, requires_grad=True)
        for k, shape in enumerate(shapes)
    ]
    found = torch.func.vmap(operation, tuple(None if k in shared else 0 for k in range(2)))(*inputs)
    alone = torch.stack(
        [operation(*(x if n in shared else x[k] for n, x in enumerate(inputs))) for k in range(K)]
    )
    torch.testing.assert_close(found, alone)
    probe = torch.randn_like(found)
    ours = torch.autograd.grad((found * probe).sum(), inputs)
    torch.testing.assert_close(ours, torch.autograd.grad((alone * probe).sum(), inputs))


def test_linear_and_product_are_torchs() -> None:
    torch.manual_seed(0)
    x, w, b = (torch.randn(*s, requires_grad=True) for s in ((2, 3, 7), (4, 7), (4,)))
    ours, theirs = nn.linear(x, w, b), F.linear(x, w, b)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(nn.product(w, x[0].T), w @ x[0].T)
    probe = torch.randn_like(ours)
    torch.testing.assert_close(
        torch.autograd.grad((ours * probe).sum(), (x, w, b)),
        torch.autograd.grad((theirs * probe).sum(), (x, w, b)),
    )


def test_members_draw_from_their_own_streams() -> None:
    x = torch.randn(K, 5, 9, requires_grad=True)
    streams = [torch.Generator().manual_seed(k) for k in range(K)]
    with nn.own_streams(streams):
        found = torch.func.vmap(lambda each: nn.dropout(each, 0.3, training=True))(x)
    for k in range(K):
        torch.manual_seed(k)
        assert torch.equal(found[k], nn.dropout(x[k], 0.3, training=True))
    found.sum().backward()
    assert torch.equal(x.grad == 0, found == 0)


def test_another_number_of_streams_is_refused() -> None:
    with nn.own_streams([torch.Generator()]), pytest.raises(ValueError, match="1 streams for 3 members"):
        torch.func.vmap(lambda each: nn.dropout(each, 0.3, training=True))(torch.ones(K, 5))


def test_frames_by_themselves_are_their_padded_form() -> None:
    torch.manual_seed(0)
    head = weighted_dense.Head(3, 8, 4, hidden=6).eval()
    x, mask = torch.randn(4, 3, 9, 8), nn.mask_of(torch.tensor([9, 2, 0, 5]))
    frames = nn.weighted_sum(x, head.layer_weights(), mask)
    for dense in (head.dense1, head.dense2):
        frames = F.relu(dense(frames))
    plain, packed = head.out(nn.masked_mean(frames, mask)), head(x, mask)
    torch.testing.assert_close(packed, plain)
    parameters = list(head.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(packed.square().sum(), parameters),
        torch.autograd.grad(plain.square().sum(), parameters),
    )


@pytest.mark.parametrize("shared", [(), (0,), (1,)])
def test_frames_of_members_are_each_alone(shared: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    mask = nn.mask_of(torch.tensor([3, 1, 0]))
    inputs = [
        torch.randn(*(() if k in shared else (K,)), *shape, requires_grad=True)
        for k, shape in enumerate([(3, 5, 3, 7), (5,)])
    ]

    def means(x: Tensor, weights: Tensor) -> Tensor:
        frames, mean = nn.weighted_frames(x, weights, mask)
        return mean(frames.square())

    found = torch.func.vmap(means, tuple(None if k in shared else 0 for k in range(2)))(*inputs)
    alone = torch.stack(
        [
            nn.masked_mean(
                nn.weighted_sum(*(x if n in shared else x[k] for n, x in enumerate(inputs)), mask).square(),
                mask,
            )
            for k in range(K)
        ]
    )
    torch.testing.assert_close(found, alone)
    probe = torch.randn_like(found)
    ours = torch.autograd.grad((found * probe).sum(), inputs)
    torch.testing.assert_close(ours, torch.autograd.grad((alone * probe).sum(), inputs))


def test_frames_are_padded_where_members_have_batches_of_their_own() -> None:
    x, weights, mask = torch.randn(2, 3, 5, 7), torch.randn(3), nn.mask_of(torch.tensor([5, 2]))
    packed, mean = nn.weighted_frames(x, weights, mask)
    with nn.own_streams([], own_batches=True):
        padded, padded_mean = nn.weighted_frames(x, weights, mask)
    assert packed.shape == (7, 7)
    assert padded.shape == (2, 5, 7)
    torch.testing.assert_close(mean(packed), padded_mean(padded))


def test_superb_maps_as_one_are_its_two_maps() -> None:
    torch.manual_seed(0)
    head = superb.Head(3, 8, 4, hidden=16)
    x, mask = torch.randn(4, 3, 5, 8), nn.mask_of(torch.tensor([5, 2, 1, 4]))
    frames = head.projection(nn.weighted_sum(x, head.layer_weights(), mask))
    plain, folded = head.out(nn.masked_mean(frames, mask)), head(x, mask)
    torch.testing.assert_close(folded, plain)
    parameters = list(head.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(folded.square().sum(), parameters),
        torch.autograd.grad(plain.square().sum(), parameters),
    )
