"""Masked operations, losses and the pieces that several heads share, each written once.

Shapes: x (B, L, T, D) features of B utterances, L layers, T frames, D dims; mask (B, T) bool, True where a
frame is real. Padding is cut out with ``torch.where``, never multiplied by zero: 0 x NaN is NaN.
"""

from sercache.nn._attention import (
    ArcFace,
    AttentionBlock,
    AttentionBlocks,
    BlockTimeAttention,
    LearnedQuery,
    QueryAttention,
)
from sercache.nn._convolution import ConvFront, StretchedFrames
from sercache.nn._losses import cross_entropy, focal_loss, wide
from sercache.nn._masked import (
    mask_of,
    masked_max,
    masked_mean,
    masked_softmax,
    padded_to,
    weighted_mean,
    weighted_sum,
)
from sercache.nn._packed import weighted_frames
from sercache.nn._pooled_linear import PooledLinear
from sercache.nn._recurrent import (
    BiGRU,
    RecurrentAttention,
    at_once,
    bigru_of_each,
    over_frames,
    over_frames_of_each,
    recurrent_attention_of_each,
)
from sercache.nn._shape import many_blocks, only_state, side_by_side
from sercache.nn._together import dropout, linear, own_streams, product

__all__ = [
    "ArcFace",
    "AttentionBlock",
    "AttentionBlocks",
    "BiGRU",
    "BlockTimeAttention",
    "ConvFront",
    "LearnedQuery",
    "PooledLinear",
    "QueryAttention",
    "RecurrentAttention",
    "StretchedFrames",
    "at_once",
    "bigru_of_each",
    "cross_entropy",
    "dropout",
    "focal_loss",
    "linear",
    "many_blocks",
    "mask_of",
    "masked_max",
    "masked_mean",
    "masked_softmax",
    "only_state",
    "over_frames",
    "over_frames_of_each",
    "own_streams",
    "padded_to",
    "product",
    "recurrent_attention_of_each",
    "side_by_side",
    "weighted_frames",
    "weighted_mean",
    "weighted_sum",
    "wide",
]
