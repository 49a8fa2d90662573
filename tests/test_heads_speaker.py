"""Attention blocks, speaker vectors and ArcFace against torch's own pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from array_view import random_inputs, random_view
from torch import Tensor, nn
from torch.nn import functional as F

from sercache.heads import attention_blocks, speaker_id, speaker_specific
from sercache.nn import ArcFace, AttentionBlock
from sercache.training import build

DIM = 12
FRAMES = {"second_input": "frames"}
TUNED = {**FRAMES, "configuration": "arcface-fine-tuned", "speakers": 5}


def batch(seed: int = 0) -> tuple[Tensor, Tensor]:
    x, mask = random_view(5, 1, DIM, frames=(2, 6), seed=seed).batch(np.arange(5))
    return x.double(), mask


def two_batches() -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    x, mask = random_inputs(5, (1, 1), (DIM, DIM), frames=(2, 6)).batch(np.arange(5))
    return tuple(each.double() for each in x), mask


def made(module: Any, **options: Any) -> Any:
    n_inputs = getattr(module, "INPUTS", 1)
    view = random_inputs(1, (1,) * n_inputs, (DIM,) * n_inputs)
    return build(module.Head, view, 4, 0, **options).double().eval()


def torch_block(block: AttentionBlock, dropout: float = 0.0) -> nn.MultiheadAttention:
    """The same block in torch's own words."""
    attention = nn.MultiheadAttention(DIM, block.heads, dropout=dropout, batch_first=True).double()
    with torch.no_grad():
        attention.in_proj_weight.copy_(block.project.weight)
        attention.in_proj_bias.copy_(block.project.bias)
        attention.out_proj.load_state_dict(block.mix.state_dict())
    return attention.eval()


def plain_block(block: AttentionBlock, frames: Tensor) -> Tensor:
    """Vector (D,) of frames (T, D): torch's attention, then the largest value over time."""
    return torch_block(block)(frames[None], frames[None], frames[None])[0][0].amax(0)


@pytest.mark.parametrize("heads", [1, 4])
@torch.no_grad()
def test_block_is_torchs_attention(heads: int) -> None:
    block = AttentionBlock(DIM, heads).double().eval()
    block.project.bias.normal_()
    block.mix.bias.normal_()
    x, mask = batch()
    for k, n in enumerate(mask.sum(1).tolist()):
        torch.testing.assert_close(block(x[:, 0], mask)[k], plain_block(block, x[k, 0, :n]))


def test_block_has_the_gradients_of_torchs_attention() -> None:
    block = AttentionBlock(DIM).double().eval()
    theirs = torch_block(block)
    x, mask = batch()
    both = theirs(x[:, 0], x[:, 0], x[:, 0], key_padding_mask=~mask)[0]
    torch.where(mask[..., None], both, -torch.inf).amax(1).square().sum().backward()
    block(x[:, 0], mask).square().sum().backward()
    torch.testing.assert_close(block.project.weight.grad, theirs.in_proj_weight.grad)
    torch.testing.assert_close(block.project.bias.grad, theirs.in_proj_bias.grad)
    torch.testing.assert_close(block.mix.weight.grad, theirs.out_proj.weight.grad)


def test_block_begins_as_torchs_attention_does() -> None:
    block = AttentionBlock(768)
    bound = (6 / (4 * 768)) ** 0.5  # Xavier uniform of the fused map from 768 to 3 x 768
    assert 0.99 * bound < block.project.weight.abs().max() <= bound
    assert not block.project.bias.any()
    assert not block.mix.bias.any()


def test_block_drops_attention_weights_only_while_training() -> None:
    block = AttentionBlock(DIM, dropout_rate=0.5).double()
    x, mask = batch()
    assert not torch.equal(block(x[:, 0], mask), block(x[:, 0], mask))
    block.eval()
    assert torch.equal(block(x[:, 0], mask), block(x[:, 0], mask))


def test_block_without_frames_gives_zeros() -> None:
    block = AttentionBlock(DIM)
    x = torch.full((2, 3, DIM), float("nan"))
    assert not block(x, torch.zeros(2, 3, dtype=torch.bool)).any()


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="5 attention heads do not divide the feature size 12"):
        made(attention_blocks, heads=5)


@torch.no_grad()
def test_arcface_gives_cosines() -> None:
    layer = ArcFace(DIM, 7)
    assert layer.centres.abs().max() <= (6 / (DIM + 7)) ** 0.5
    x = torch.cat([torch.randn(4, DIM) * 100, torch.zeros(1, DIM), layer.centres[:1] * 3])
    expected = F.cosine_similarity(x[:, None], layer.centres[None], dim=-1)
    torch.testing.assert_close(layer(x), expected)
    assert not layer(x)[4].any()
    assert layer(x)[5, 0].item() == pytest.approx(1)


@torch.no_grad()
@pytest.mark.parametrize("arcface", [True, False])
def test_emotion_network_is_its_description(arcface: bool) -> None:
    head = made(attention_blocks, blocks=3, arcface=arcface)
    x, mask = batch()
    for k, n in enumerate(mask.sum(1).tolist()):
        frames = head.attend.before(x[k, 0, :n].relu())
        rows = [plain_block(block, frames) for block in head.attend.blocks]
        vector = sum(weights * row for weights, row in zip(head.fusion, rows, strict=True))
        torch.testing.assert_close(head.embed(x, mask)[k], vector)
        expected = (
            F.cosine_similarity(vector[None], head.classify.centres) if arcface else head.classify(vector)
        )
        torch.testing.assert_close(head(x, mask)[k], expected)


def test_fusion_weights_begin_normal() -> None:
    head = build(attention_blocks.Head, random_view(1, 1, 768), 4, 0)
    assert head.fusion.std().item() == pytest.approx(1, abs=0.05)
    assert abs(head.fusion.mean().item()) < 0.05


@pytest.mark.parametrize(("options", "heads"), [({}, 4), ({"variant": "code"}, 1), ({"heads": 2}, 2)])
def test_speaker_network_has_the_heads_of_text_or_code(options: dict[str, Any], heads: int) -> None:
    head = made(speaker_id, **options)
    assert head.attend.heads == heads
    x, mask = batch()
    vector = plain_block(head.attend, x[0, 0, : int(mask[0].sum())])
    torch.testing.assert_close(head.embed(x, mask)[0], vector)


@torch.no_grad()
def test_joint_network_adds_the_speakers_row_first() -> None:
    head = made(speaker_specific, blocks=2)
    x, mask = two_batches()
    for k, (n, m) in enumerate(zip(mask[0].sum(1).tolist(), mask[1].sum(1).tolist(), strict=True)):
        frames = head.attend.before(x[0][k, 0, :n].relu())
        rows = [x[1][k, 0, :m].mean(0), *(plain_block(block, frames) for block in head.attend.blocks)]
        vector = (torch.stack(rows) * head.fusion).sum(0)
        torch.testing.assert_close(head.embed(x, mask)[k], vector)
        expected = F.cosine_similarity(vector[None], head.classify.centres)
        torch.testing.assert_close(head(x, mask)[k], expected)


@torch.no_grad()
def test_joint_network_reads_speaker_frames_through_its_block() -> None:
    head = made(speaker_specific, **FRAMES)
    x, mask = two_batches()
    expected = plain_block(head.speaker, x[1][0, 0, : int(mask[1][0].sum())])
    torch.testing.assert_close(head.embed_speaker(x[1], mask[1])[0], expected)


def test_frozen_speaker_network_is_not_trained() -> None:
    x, mask = two_batches()
    head = made(speaker_specific, **FRAMES).train()
    head(x, mask).square().sum().backward()
    trained = {name for name, p in head.named_parameters() if p.grad is not None}
    assert not any(name.startswith("speaker.") for name in trained)
    assert "fusion" in trained


@pytest.mark.parametrize(("variant", "drops"), [("paper", False), ("code", True)])
def test_frozen_speaker_network_drops_only_in_the_published_code(variant: str, drops: bool) -> None:
    x, mask = two_batches()
    head = made(speaker_specific, **FRAMES, variant=variant, dropout_rate=0.5).train()
    vectors = [head.embed_speaker(x[1], mask[1]) for _ in range(2)]
    assert torch.equal(*vectors) != drops
    assert head.attend.blocks[0].training
    vectors = [head.eval().embed_speaker(x[1], mask[1]) for _ in range(2)]
    assert torch.equal(*vectors)


@pytest.mark.parametrize("configuration", ["arcface-fine-tuned", "all-fine-tuned"])
def test_speakers_are_a_second_output_in_training_only(configuration: str) -> None:
    x, mask = two_batches()
    head = made(speaker_specific, **{**TUNED, "configuration": configuration, "dropout_rate": 0.0})
    alone = head(x, mask)
    assert isinstance(alone, Tensor)
    outputs, speakers = head.train()(x, mask)
    torch.testing.assert_close(outputs, alone)
    vectors = head.embed_speaker(x[1], mask[1])
    torch.testing.assert_close(
        speakers, F.cosine_similarity(vectors[:, None], head.centres.centres[None], dim=-1)
    )
    (outputs.sum() + speakers.sum()).backward()
    assert [name for name, p in head.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert bool(head.notes) == (configuration == "all-fine-tuned"), (
        "it stands alone here: nothing is below it"
    )


def test_configuration_and_what_is_trained_below_agree() -> None:
    head = made(speaker_specific, **{**TUNED, "configuration": "all-fine-tuned"})
    assert "stays frozen" in head.notes[0]
    head.trained_below((True, True))
    assert head.notes == ()
    for options in (FRAMES, TUNED):
        other = made(speaker_specific, **options)
        other.trained_below((True, False))
        with pytest.raises(ValueError, match="set configuration=all-fine-tuned"):
            other.trained_below((True, True))


@torch.no_grad()
def test_joint_network_begins_from_both_trained_networks() -> None:
    emotion, speaker = made(attention_blocks, blocks=2), made(speaker_id)
    head = made(speaker_specific, blocks=2, **FRAMES)
    first = head.fusion[0].clone()
    head.start_from(emotion.state_dict(), speaker.state_dict())
    x, mask = two_batches()
    torch.testing.assert_close(head.embed_speaker(x[1], mask[1]), speaker.attend(x[1][:, 0], mask[1]))
    assert torch.equal(head.fusion[0], first)
    with pytest.raises(RuntimeError, match="set second_input=frames"):
        made(speaker_specific, blocks=2).start_from(emotion.state_dict(), speaker.state_dict())
    head.fusion[0] = 0.0  # without the speaker's row it is the emotion network
    torch.testing.assert_close(head(x, mask), emotion(x[0], mask[0]))


def test_centres_of_new_speakers_can_be_their_mean_vectors() -> None:
    head, vectors = made(speaker_specific, **TUNED), torch.randn(5, DIM).double()
    head.start_centres(vectors)
    assert torch.equal(head.centres.centres, vectors)
    with pytest.raises(ValueError, match="set speakers"):
        head.start_centres(vectors[:4])
    with pytest.raises(ValueError, match="all-frozen has no centres"):
        made(speaker_specific).start_centres(vectors)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"configuration": "arcface-fine-tuned"}, "set second_input=frames"),
        ({"configuration": "frozen"}, "configuration is one of all-frozen"),
        ({"second_input": "vector"}, "second_input is vectors or frames"),
        ({"blocks": 0}, "at least one attention block"),
    ],
)
def test_joint_network_refuses_what_it_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(speaker_specific, **options)


def test_vectors_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="got sizes 12 and 9"):
        build(speaker_specific.Head, random_inputs(1, (1, 1), (12, 9)), 4, 0)
