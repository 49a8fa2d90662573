"""Recurrent networks over packed frames: torch's own numbers, one network at a time or many at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mock_card import DEVICE, TRAFFIC, Card
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sercache.nn import _cells, _recurrent, _unrolled, mask_of, over_frames, over_frames_of_each, own_streams

KINDS = [
    (nn.GRU, {"num_layers": 2, "bidirectional": True}),
    (nn.GRU, {"bias": False}),
    (nn.LSTM, {"num_layers": 2}),
    (nn.LSTM, {"bidirectional": True, "bias": False}),
]
EVERY_KIND = pytest.mark.parametrize(("kind", "options"), KINDS)


@pytest.fixture(params=["one thread", "two threads", "batched"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """On a CPU with one thread or several, and as on a GPU."""
    if request.param == "batched":
        for module in (_cells, _unrolled):
            monkeypatch.setattr(module, "batched", lambda device: True)
    before = torch.get_num_threads()
    torch.set_num_threads(2 if request.param == "two threads" else 1)
    yield
    assert torch.get_num_threads() == (2 if request.param == "two threads" else 1)
    torch.set_num_threads(before)


def network(kind: type[nn.RNNBase], options: dict, seed: int = 0) -> nn.RNNBase:
    torch.manual_seed(seed)
    return kind(3, 4, batch_first=True, **options).double()


def by_torch(rnn: nn.RNNBase, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    outputs, state = rnn(packed)
    padded = pad_packed_sequence(outputs, batch_first=True, total_length=x.shape[1])[0]
    return padded, state[0] if isinstance(state, tuple) else state


def gradients(found: tuple[Tensor, Tensor], of: list[Tensor]) -> list[Tensor]:
    """Of a number that each element of both results moves differently."""
    total = sum((part * torch.linspace(-1, 2, part.numel()).view(part.shape)).sum() for part in found)
    return list(torch.autograd.grad(total, of))


@EVERY_KIND
def test_outputs_states_and_gradients_are_torchs(way: None, kind: type[nn.RNNBase], options: dict) -> None:
    rnn, lengths = network(kind, options), torch.tensor([2, 6, 1, 6, 4])
    x = torch.randn(5, 8, 3, dtype=torch.float64, requires_grad=True)
    of = [x, *rnn.parameters()]
    ours, theirs = over_frames(rnn, x, lengths), by_torch(rnn, x, lengths)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradients(ours, of), gradients(theirs, of), rtol=1e-9, atol=1e-11)


@EVERY_KIND
def test_prediction_gives_the_same(way: None, kind: type[nn.RNNBase], options: dict) -> None:
    rnn, x, lengths = network(kind, options), torch.randn(2, 5, 3, dtype=torch.float64), torch.tensor([5, 3])
    with torch.inference_mode():
        found = over_frames(rnn, x, lengths)
    assert found[0].is_inference()
    torch.testing.assert_close(found, over_frames(rnn, x, lengths), rtol=0, atol=0)


@EVERY_KIND
@pytest.mark.parametrize("n_networks", [1, 9])
def test_on_a_card_few_networks_are_cudnns_and_many_are_computed_at_once(
    n_networks: int, kind: type[nn.RNNBase], options: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card is none; its numbers are those of the CPU either way."""
    rnns, lengths = [network(kind, options, seed) for seed in range(n_networks)], torch.tensor([3, 6, 1])
    x = torch.randn(3, n_networks, 6, 3, dtype=torch.float64)
    expected, by_cudnn, of_torch = over_frames_of_each(rnns, x, lengths), [], _recurrent._by_torch
    monkeypatch.setattr(
        _recurrent, "_by_torch", lambda *given: (by_cudnn.append(given[0]), of_torch(*given))[1]
    )
    with Card():
        there = [rnn.to(DEVICE) for rnn in rnns]
        TRAFFIC.clear()
        found = over_frames_of_each(there, x.to(DEVICE), lengths.to(DEVICE))
        n_moves, on_cpu = len(TRAFFIC.moves), tuple(each.cpu() for each in found)
    torch.testing.assert_close(on_cpu, expected)
    assert len(by_cudnn) == (1 if n_networks == 1 else 0)
    assert n_moves == 4 if n_networks > 1 else n_moves < 9, "x and lengths, those back, and what they come to"


def test_directions_take_their_steps_at_once_on_a_card() -> None:
    """Half as many operations as one direction after the other: each is a launch."""
    found = []
    for bidirectional in (False, True):
        rnns = [network(nn.GRU, {"bidirectional": bidirectional}, seed) for seed in range(9)]
        with Card():
            there, x = (
                [rnn.to(DEVICE) for rnn in rnns],
                torch.randn(2, 9, 20, 3, dtype=torch.float64).to(DEVICE),
            )
            lengths = torch.tensor([20, 11]).to(DEVICE)
            TRAFFIC.clear()
            over_frames_of_each(there, x, lengths)[0].sum().backward()
            found.append(TRAFFIC.n_operations)
    assert found[1] < 1.5 * found[0]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 3), st.sampled_from(range(len(KINDS)))
)
def test_any_lengths(lengths: list[int], n_more: int, which: int) -> None:
    rnn, n = network(*KINDS[which]), torch.tensor(lengths)
    x = torch.randn(len(lengths), max(lengths) + n_more, 3, dtype=torch.float64)
    noisy = torch.where(mask_of(n, x.shape[1])[..., None], x, torch.nan)
    torch.testing.assert_close(over_frames(rnn, noisy, n), by_torch(rnn, x, n), rtol=1e-10, atol=1e-12)


@EVERY_KIND
def test_networks_of_several_layers_are_each_alone(way: None, kind: type[nn.RNNBase], options: dict) -> None:
    rnns, lengths = [network(kind, options, seed) for seed in range(3)], torch.tensor([3, 5])
    x = torch.randn(2, 3, 5, 3, dtype=torch.float64, requires_grad=True)
    of = [x, *(p for rnn in rnns for p in rnn.parameters())]
    together = over_frames_of_each(rnns, x, lengths)
    alone = [over_frames(rnn, x[:, k], lengths) for k, rnn in enumerate(rnns)]
    expected = torch.stack([out for out, _ in alone], 1), torch.stack([last for _, last in alone])
    torch.testing.assert_close(together, expected)
    torch.testing.assert_close(gradients(together, of), gradients(expected, of))


@pytest.mark.parametrize("shared", [True, False])
@EVERY_KIND
def test_members_of_a_stack_are_each_alone(
    way: None, kind: type[nn.RNNBase], options: dict, shared: bool
) -> None:
    members = [[network(kind, options, 10 * m + k) for k in range(2)] for m in range(3)]
    stacked = [
        {name: torch.stack([dict(rnns[k].named_parameters())[name].detach() for rnns in members]).requires_grad_()
         for name, _ in members[0][k].named_parameters()}
        for k in range(2)
    ]  # fmt: skip
    lengths = torch.tensor([3, 5])
    x = torch.randn(*(() if shared else (3,)), 2, 2, 5, 3, dtype=torch.float64, requires_grad=True)
    pair = nn.ModuleList(members[0])

    def run(weights: list[dict[str, Tensor]], x: Tensor) -> tuple[Tensor, Tensor]:
        named = {f"0.{k}.{name}": each[name] for k, each in enumerate(weights) for name in each}
        return torch.func.functional_call(_Call(pair), named, (x, lengths))

    together = torch.func.vmap(run, (0, None if shared else 0))(stacked, x)
    alone = [over_frames_of_each(rnns, x if shared else x[m], lengths) for m, rnns in enumerate(members)]
    expected = torch.stack([out for out, _ in alone]), torch.stack([last for _, last in alone])
    torch.testing.assert_close(together, expected)
    ours = gradients(together, [x, *(p for each in stacked for p in each.values())])
    theirs = gradients(expected, [x, *(p for rnns in members for rnn in rnns for p in rnn.parameters())])
    torch.testing.assert_close(ours[0], theirs[0])
    n = len(ours) // 2
    for k in range(2):
        for number in range(n):
            of_members = [theirs[1 + (2 * m + k) * n + number] for m in range(3)]
            torch.testing.assert_close(ours[1 + k * n + number], torch.stack(of_members))


class _Call(nn.ModuleList):
    """What gives ``functional_call`` a forward to call."""

    def __init__(self, rnns: nn.ModuleList) -> None:
        super().__init__([rnns])

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return over_frames_of_each(list(self[0]), x, lengths)


def test_dropout_between_layers_comes_from_a_members_own_stream() -> None:
    rnn = nn.LSTM(3, 50, num_layers=2, dropout=0.4, batch_first=True)
    x, lengths = torch.randn(2, 4, 3), torch.tensor([4, 2])

    def run(weights: dict[str, Tensor]) -> Tensor:
        named = {f"0.0.{name}": value for name, value in weights.items()}
        return torch.func.functional_call(_Call(nn.ModuleList([rnn])), named, (x[:, None], lengths))[0]

    same = {name: p.detach().expand(2, *p.shape) for name, p in rnn.named_parameters()}
    with own_streams([torch.Generator().manual_seed(seed) for seed in (0, 1)]):
        found = torch.func.vmap(run)(same)
    assert not torch.equal(found[0], found[1])
    for seed in (0, 1):
        torch.manual_seed(seed)
        torch.testing.assert_close(found[seed][:, 0], over_frames(rnn, x, lengths)[0])
    rnn.eval()
    torch.testing.assert_close(over_frames(rnn, x, lengths), by_torch(rnn, x, lengths))
