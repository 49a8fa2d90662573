"""Self-attention over the layers of an encoder, then two convolutions (Ioannides et al. 2023).

Every block's mean over time is one row of an image (L, D). Multi-head self-attention mixes the rows, a
convolution of 512 filters and one of a single filter with stride 8 read the image, a linear map gives the
classes. 4,332,541 parameters for 24 x 1024 and 2,396,549 for 12 x 768. How the text is read where it is open
is in ``READINGS``.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from sercache.nn import masked_mean
from sercache.readings import NO_CODE, NOT_SAID, Reading
from sercache.recipe import Recipe, Setup

SOURCE = "Ioannides et al. 2023, Towards Paralinguistic-Only Speech Representations for End-to-End SER"
PRINTED = ("ioannides2023 table2",)

RECIPE = Recipe(
    loss="focal",
    focal_gamma=2.5,
    optimiser="adam",
    lr=1e-4,
    weight_decay=1e-4,
    batch_size=8,
    accumulate=2,
    max_epochs=35,
    select="last-epoch",
    mixed_precision=True,
)

SETUP = Setup(
    encoder="wavlm-large",
    dataset="iemocap",
    protocol="leave-one-session-out",
    dev="none",
    states="blocks",
    frames=False,
    clip="split:5",
    seeds=(0, 1, 2, 3, 4),
)
OPEN = ("accumulate", "schedule", "select", "final_relu", "exact_shortcut")
READINGS = (
    Reading(
        "gradient accumulation", '"every 2 epochs", 17 updates in all', NO_CODE, "2 batches of 8"
    ),
    Reading(
        "scale of the attention's scores", "none in the equation, which cites Vaswani et al.", NO_CODE,
        "1/sqrt(D / heads), as there", True, as_text={"option scaled": False},
    ),
    Reading(
        "parameters", "4,329,981 and 2,395,645 in all", NO_CODE, "4,332,541 and 2,396,549", True,
        alone="no architecture that fits the text has the printed totals: its second convolution is not in them",
    ),
    Reading("states", "each Transformer layer", NO_CODE, "raw output of each block, without the encoder's input"),
    Reading("biases, dropout, residual, norm and position in the attention", NOT_SAID, NO_CODE, "biases alone"),
    Reading("padding of the convolutions", NOT_SAID, NO_CODE, "none"),
    Reading("activation", NOT_SAID, NO_CODE, "ReLU after the first convolution (option final_relu: after both)"),
    Reading("classifier", NOT_SAID, NO_CODE, "one linear map"),
    Reading("initial weights", "Xavier", NO_CODE, "Xavier uniform, query, key and value apart; biases 0"),
    Reading("epoch that is scored", NOT_SAID, NO_CODE, "the last: the fold that is reported is all that is held out"),
    Reading("pieces of an utterance over 5 s", "clips of their own", NO_CODE,
            "merged by the mean of softmax: the printed recalls are whole numbers of utterances"),
    Reading("pieces under 0.1 s", NOT_SAID, NO_CODE, "left out, unless there is no other"),
    Reading("learning-rate schedule", '"initial" rate', NO_CODE, "constant"),
    Reading("seeds", NOT_SAID, NO_CODE, "0 to 4"),
)  # fmt: skip
ADDED = ("scaled",)
UPDATES = 13_700  # some 7,800 pieces of at most 5 s, four sessions of five, 16 an update, 35 epochs

FILTERS = 512
STRIDE = 8
PUBLISHED_HEADS = 32
PUBLISHED = ((24, 1024), (12, 768))
"""Geometries (L, D) of the paper: Large and Base encoders."""
OPTIONS = {
    "final_relu": "whether a ReLU follows the second convolution too",
    "exact_shortcut": "whether only what the second convolution reads is computed: same outputs, less work",
    "scaled": "whether the attention's scores are divided by sqrt(D / heads); the paper's equation does not",
}


def kernels(n_layers: int, dim: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Kernels (rows, columns) of both convolutions: Large for D >= 1024, else Base, cut to fit (L, D)."""
    first, second = (16, 2) if dim >= 1024 else (8, 1)
    first_rows, first_columns = min(first, n_layers), min(first, dim)
    second_rows = min(second, n_layers - first_rows + 1)
    return (first_rows, first_columns), (second_rows, min(second, dim - first_columns + 1))


def n_attention_heads(dim: int) -> int:
    """The largest number of attention heads, at most 32, that divides D."""
    return max(n for n in range(1, PUBLISHED_HEADS + 1) if dim % n == 0)


def deviations(n_layers: int, dim: int) -> tuple[str, ...]:
    """What differs from the published geometry for (L, D), one line each; none for 24 x 1024 and 12 x 768."""
    if (n_layers, dim) in PUBLISHED:
        return ()
    size = "Large" if dim >= 1024 else "Base"
    notes = [f"{n_layers} layers of {dim}, published with 24 of 1024 and 12 of 768; {size} kernels are used"]
    whole = (16, 2) if dim >= 1024 else (8, 1)
    for number, (kernel, full) in enumerate(zip(kernels(n_layers, dim), whole, strict=True), start=1):
        if kernel != (full, full):
            notes.append(
                f"kernel {number} is {kernel[0]} x {kernel[1]} instead of {full} x {full}, to fit the layers"
            )
    if n_attention_heads(dim) != PUBLISHED_HEADS:
        notes.append(
            f"{n_attention_heads(dim)} attention heads instead of {PUBLISHED_HEADS}, to divide {dim}"
        )
    return tuple(notes)


class Head(nn.Module):
    """Attention over layers and a 2-D CNN; gives logits (B, C).

    ``exact_shortcut`` computes only what the strided second convolution reads: 1/18 (Large) or 1/40 (Base)
    of the first convolution's places, and the attention rows under them. Equal to the plain form, forward
    and backward; False is the plain form.
    """

    def __init__(
        self,
        n_layers: int,
        dim: int,
        n_outputs: int,
        final_relu: bool = False,
        exact_shortcut: bool = True,
        scaled: bool = True,
    ) -> None:
        super().__init__()
        self.scaled = scaled
        self.n_heads = n_attention_heads(dim)
        self.final_relu = final_relu
        self.exact_shortcut = exact_shortcut
        self.notes = deviations(n_layers, dim)
        first, second = kernels(n_layers, dim)
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.mix = nn.Linear(dim, dim)
        self.conv1 = nn.Conv2d(1, FILTERS, first)
        self.conv2 = nn.Conv2d(FILTERS, 1, second, stride=STRIDE)
        self.grid = _grid(n_layers, first[0], second[0]), _grid(dim, first[1], second[1])
        self.out = nn.Linear(self.grid[0] * self.grid[1], n_outputs)
        for layer in (self.query, self.key, self.value, self.mix, self.conv1, self.conv2, self.out):
            assert layer.bias is not None
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C) of x (B, L, T, D); T > 1 is averaged over the real frames first."""
        rows = masked_mean(x, mask)
        image = self._convolve if self.exact_shortcut else self._convolve_plainly
        features = image(rows).flatten(1)
        return self.out(F.relu(features) if self.final_relu else features)

    def attention(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attention weights (B, heads, L queries, L keys); the last dimension sums to 1."""
        rows = masked_mean(x, mask)
        return self._weights(self._split(self.query(rows)), self._split(self.key(rows)))

    def _attend(self, rows: Tensor, n_read: int) -> Tensor:
        """Mixed rows (B, n_read, D) of rows (B, L, D): the first ``n_read`` ones."""
        queries, keys, values = self.query(rows[:, :n_read]), self.key(rows), self.value(rows)
        mixed = self._weights(self._split(queries), self._split(keys)) @ self._split(values)
        return self.mix(mixed.transpose(1, 2).flatten(2))

    def _split(self, rows: Tensor) -> Tensor:
        """(B, L, D) as (B, heads, L, D / heads)."""
        return rows.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)

    def _weights(self, queries: Tensor, keys: Tensor) -> Tensor:
        scale = queries.shape[-1] ** -0.5 if self.scaled else 1.0
        return (queries * scale @ keys.transpose(-1, -2)).softmax(-1)

    def _convolve_plainly(self, rows: Tensor) -> Tensor:
        image = self._attend(rows, rows.shape[1])[:, None]
        return self.conv2(F.relu(self.conv1(image)))

    def _convolve(self, rows: Tensor) -> Tensor:
        """The same numbers (B, I, J) from the places that the second convolution reads."""
        size = [a + b - 1 for a, b in zip(self.conv1.kernel_size, self.conv2.kernel_size, strict=True)]
        n_read = size[0] + STRIDE * (self.grid[0] - 1)
        patches = self._attend(rows, n_read)
        for axis, length in ((1, size[0]), (2, size[1])):
            patches = patches.unfold(axis, length, STRIDE)
        for axis, length in zip((-2, -2), self.conv1.kernel_size, strict=True):
            patches = patches.unfold(axis, length, 1)
        # patches: (B, I, J, rows of kernel 2, columns of kernel 2, rows of kernel 1, columns of kernel 1)
        # In place: 4,000 x 512 numbers a batch, which the product does not need to find its gradients.
        seen = F.linear(patches.flatten(-2), self.conv1.weight.flatten(1), self.conv1.bias).relu_()
        weights = self.conv2.weight[0].permute(1, 2, 0).reshape(1, -1)
        return F.linear(seen.flatten(3), weights, self.conv2.bias)


def _grid(length: int, first: int, second: int) -> int:
    """Outputs of both convolutions along an axis of ``length``."""
    return (length - first + 1 - second) // STRIDE + 1
