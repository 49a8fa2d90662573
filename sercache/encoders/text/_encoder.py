"""The Encoder of text: word pieces in, states out; texts of one length share a batch, none is padded."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sercache.encoders import _faults, _hooks, _modules
from sercache.encoders._arguments import wanted
from sercache.encoders._checkpoint import Checkpoint
from sercache.encoders._exact import exact
from sercache.encoders._hooks import Point
from sercache.encoders._placed import Placed
from sercache.encoders.text._sentence import SentenceLayers
from sercache.errors import AudioError, EncoderError, MissingExtraError

_PACK_FRAMES = 1000
_PACK_FRAMES_CUDA = 16_000
_VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
    "spm.model",
    "spiece.model",
)
"""Files of which a tokenizer needs one; without any, transformers makes one that knows no word."""
_PROBE = 5
"""Word pieces of the text that shows whether the model closes with a norm."""


def tokenizer(checkpoint: Checkpoint) -> Any:
    """The checkpoint's tokenizer. Raises EncoderError."""
    from transformers import AutoTokenizer

    if not any((checkpoint.folder / name).exists() for name in _VOCABULARIES):
        raise EncoderError(
            f"{checkpoint.folder} has no tokenizer ({', '.join(_VOCABULARIES[:3])}); download the whole checkpoint"
        )
    try:
        return AutoTokenizer.from_pretrained(checkpoint.folder, local_files_only=True)
    except Exception as fault:  # transformers raises whatever it likes
        _faults.pass_on(fault, checkpoint.folder)
        if line := _modules.missing(fault):
            raise MissingExtraError(f"the tokenizer of {checkpoint.folder} needs {line}") from fault
        reason = " ".join(str(fault).split())[:200] or type(fault).__name__
        raise EncoderError(
            f"the tokenizer of {checkpoint.folder} cannot be made ({reason}); download the whole checkpoint, or "
            "install what it names"
        ) from fault


class TextEncoder:
    """A frozen text encoder. A sample is a word piece, and so is a frame; both come once a "second"."""

    modality = "text"
    sample_rate = 1
    hop = 1
    min_samples = 1
    states: tuple[str, ...]
    dims: Mapping[str, int]
    max_samples: int | None

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        placed: Placed,
        sentence: SentenceLayers | None,
    ) -> None:
        """``model``: the stock module in float32 on the CPU; it is taken over. Raises EncoderError."""
        self.name, self.identity = placed.name, placed.identity
        device, dtype = placed.device, placed.dtype
        self.device = device
        self._tokenizer, self._lock = tokenizer, threading.Lock()
        self._before, self._after = self._around()
        self.max_samples = self._longest(model)
        self._model = model.to(device=device, dtype=dtype)
        blocks = _blocks(model)
        self._points = {"input": Point(blocks[0], before=True)}
        self._points |= {str(number): Point(block) for number, block in enumerate(blocks, start=1)}
        if self._closes_with_a_norm(str(len(blocks))):
            self._points["final"] = Point(model)
        width = model.config.hidden_size
        dims = dict.fromkeys(self._points, width)
        if sentence is not None:
            self._points["sentence"] = Point(model)
            dims["sentence"] = sentence.dim or width
        self._sentence = sentence
        self.states, self.dims = tuple(dims), dims
        self.pack_frames = _PACK_FRAMES_CUDA if device.type == "cuda" else _PACK_FRAMES

    def n_frames(self, n_samples: int) -> int:
        """Frames T of a text of ``n_samples`` word pieces: as many."""
        return n_samples

    def tokens(self, text: str) -> np.ndarray:
        """Ids of the word pieces of ``text`` (N,) int64, without the tokens around a text."""
        with self._lock:  # tokenizers are not made for threads
            ids = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return np.asarray(ids, dtype=np.int64)

    @exact
    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield (state, (F, D)) in the order of ``self.states``, for word pieces (N_i,) from ``tokens``.

        Raises UnknownNameError for a state that is not on offer, AudioError for a text that is empty or
        longer than the model's positions.
        """
        chosen = wanted(self.states, states)
        for number, ids in enumerate(waves):
            if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
                raise AudioError(
                    f"text {number} is {ids.dtype} {ids.shape}, {self.name} takes word pieces (N,)"
                )
            if not 1 <= len(ids) <= (self.max_samples or len(ids)):
                raise AudioError(
                    f"text {number} has {len(ids)} word pieces, {self.name} takes 1 to {self.max_samples}"
                )
        return self._run(waves, chosen) if waves and chosen else iter(())

    def _run(self, texts: Sequence[np.ndarray], chosen: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        by_length: dict[int, list[int]] = {}
        for place, ids in enumerate(texts):
            by_length.setdefault(len(ids), []).append(place)
        each: list[dict[str, Tensor]] = [{} for _ in texts]
        for places in by_length.values():
            found = self._states(np.stack([texts[place] for place in places]), chosen)
            for name, x in found.items():
                for row, place in enumerate(places):
                    each[place][name] = x[row]
        for name in chosen:
            yield name, torch.cat([found.pop(name) for found in each])

    def _states(self, ids: np.ndarray, chosen: Sequence[str]) -> dict[str, Tensor]:
        """(B, T, D) of each state, for texts of one length (B, T)."""
        fence = [
            np.tile(np.asarray(part, dtype=np.int64), (len(ids), 1)) for part in (self._before, self._after)
        ]
        whole = torch.tensor(np.concatenate([fence[0], ids, fence[1]], axis=1), device=self.device)
        found = _hooks.take(
            self._points,
            chosen,
            lambda: self._model(input_ids=whole, attention_mask=torch.ones_like(whole)),
        )
        first, n_pieces = len(self._before), ids.shape[1]
        cut = {name: x[:, first : first + n_pieces] for name, x in found.items()}
        if self._sentence is not None and "sentence" in found:
            cut["sentence"] = self._sentence(found["sentence"])[:, None].expand(-1, n_pieces, -1)
        return cut

    def _around(self) -> tuple[list[int], list[int]]:
        """Ids that stand before and behind a text, a prefix among them.

        Raises EncoderError where the tokenizer changes the text.
        """
        word = "a"
        bare = self.tokens(word).tolist()
        prefix = self.identity["preprocessing"].get("prefix", "")
        whole = list(self._tokenizer(prefix + word)["input_ids"])
        for start in reversed(range(len(whole) - len(bare) + 1)):  # a prefix may hold it too
            if bare and whole[start : start + len(bare)] == bare:
                return whole[:start], whole[start + len(bare) :]
        raise EncoderError(
            f"{self.name}: its tokenizer makes {whole} of {word!r}, which does not hold {bare}"
        )

    def _longest(self, model: Any) -> int | None:
        """Word pieces that the positions leave room for; RoBERTa's begin behind the padding's."""
        positions = getattr(model.config, "max_position_embeddings", None)
        limits = [self._tokenizer.model_max_length]
        if positions:
            padding = [
                module.padding_idx
                for name, module in model.named_modules()
                if name.endswith("position_embeddings") and isinstance(module, nn.Embedding)
            ]
            offset = padding[0] + 1 if padding and padding[0] is not None else 0
            limits.append(positions - offset)
        longest = min(limits) - len(self._before) - len(self._after)
        return None if longest > 1_000_000 else int(longest)  # tokenizers without a limit say 1e30

    def _closes_with_a_norm(self, last: str) -> bool:
        """Whether what the model gives differs from the output of its last block."""
        points = {last: self._points[last], "final": Point(self._model)}
        ids = self.tokens("a").repeat(_PROBE)[None, :_PROBE]
        whole = torch.tensor(np.concatenate([[self._before], ids, [self._after]], axis=1), dtype=torch.long)
        found = _hooks.take(points, (last, "final"), lambda: self._model(input_ids=whole.to(self.device)))
        return not torch.equal(found[last], found["final"])


def _blocks(model: Any) -> nn.ModuleList:
    """The list of transformer blocks. Raises EncoderError where there is none."""
    n_blocks = model.config.num_hidden_layers
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == n_blocks]
    if not lists:
        raise EncoderError(
            f"{type(model).__name__} has no list of {n_blocks} blocks, so its states cannot be taken"
        )
    return lists[0]
