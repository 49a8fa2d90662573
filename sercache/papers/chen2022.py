"""Chen and Zhang: attention over the blocks of a speech recogniser's encoder and over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sercache.papers import Cell, ErrorRate, PaperRow, PaperTable, Plot, Printed, Trial, TrialScore

CITATION = (
    "Chen and Zhang 2022, CTA-RNN: Channel and Temporal-wise Attention RNN Leveraging Pre-trained ASR Embeddings "
    "for Speech Emotion Recognition"
)

UTTERANCES = {"iemocap:4class": 5531, "msp-improv:4class": 7798}
"""By corpus and task."""

_LIBRISPEECH, _GIGASPEECH = "wenet-librispeech", "wenet-gigaspeech"
_ACOUSTIC, _TEXT = "kaldi-fbank", "bert-large-uncased"
_OTHER = {"iemocap": "msp-improv", "msp-improv": "iemocap"}
_SETTINGS = {
    "IEM": ("iemocap", None),
    "MSP": ("msp-improv", None),
    "MSP2IEM": ("msp-improv", "iemocap"),
    "IEM2MSP": ("iemocap", "msp-improv"),
}
"""Column -> corpus that trains, and corpus that is tested on (None: its own held-out speakers)."""


def _cells(
    head: str, encoder: str, setup: Mapping[str, Any], *printed: float | None, texts: str = ""
) -> dict[str, Cell]:
    """The four settings of one system; the models of both directions are those of the corpus itself.

    ``texts``: the recogniser whose words a text input reads.
    """
    cells = {}
    for (column, (dataset, on)), value in zip(_SETTINGS.items(), printed or (None,) * 4, strict=True):
        tested = {**setup, "test_on": (f"{_OTHER[dataset]}:4class",)}
        score = TrialScore(Trial(head, encoder, dataset, setup=tested, transcripts=texts), "ua", on=on)
        cells[column] = Cell(None if value is None else Printed(value), score)
    return cells


def _block(number: int, *printed: float) -> PaperRow:
    return PaperRow(f"E({number})", _cells("rnn", _GIGASPEECH, {"states": str(number)}, *printed))


def _pair(name: str, other: str, number: int, *printed: float) -> PaperRow:
    """A or T beside a block."""
    setup, texts = _with(other, number), _GIGASPEECH if other == _TEXT else ""
    return PaperRow(f"{name}+E({number})", _cells("pair-rnn", _GIGASPEECH, setup, *printed, texts=texts))


def _with(other: str, number: int) -> dict[str, Any]:
    return {"states": str(number), "beside": (f"{other}:final:frames",)}


def _human(number: int) -> PaperRow:
    """T of the corpus' own transcripts, which the paper did not read: IEMOCAP alone has some."""
    trial = Trial("pair-rnn", _GIGASPEECH, "iemocap", setup=_with(_TEXT, number))
    return PaperRow(f"T+E({number}), human transcripts", {"IEM": Cell(None, TrialScore(trial, "ua"))})


def _all_blocks(name: str, head: str, *printed: float) -> PaperRow:
    return PaperRow(name, _cells(head, _GIGASPEECH, {"states": "blocks"}, *printed))


def _theirs(name: str, *printed: float | None) -> PaperRow:
    """Other people's numbers in the order of the columns."""
    cells = {
        column: Cell(Printed(value))
        for column, value in zip(_SETTINGS, printed, strict=True)
        if value is not None
    }
    return PaperRow(name, cells)


def _error_rates(name: str, recogniser: str, *printed: float) -> PaperRow:
    places: list[tuple[str, Literal["word", "character"]]] = [
        ("iemocap", "word"),
        ("iemocap", "character"),
        ("msp-improv", "word"),
        ("msp-improv", "character"),
    ]
    cells = {
        column: Cell(Printed(value), ErrorRate(recogniser, dataset, unit))
        for column, (dataset, unit), value in zip(_RATES, places, printed, strict=True)
    }
    return PaperRow(name, cells)


_RATES = ("IEMOCAP WER", "IEMOCAP CER", "MSP-IMPROV WER", "MSP-IMPROV CER")
_FIGURE = (0, 2, 4, 6, 8, 10, 12)
_VALUES = {
    "IEM": {2: 66.2, 6: 71.3, 12: 71.4},
    "MSP": {2: 56.7, 6: 61.9, 12: 57.5},
    "MSP2IEM": {2: 48.0, 6: 56.8, 12: 54.7},
    "IEM2MSP": {2: 44.9, 6: 53.5, 12: 47.0},
}
"""Of the right half of Figure 2: those of its points that Table 2 prints."""


_HALVES = {"Librispeech": _LIBRISPEECH, "Gigaspeech": _GIGASPEECH}
"""Of Figure 2, left and right: the recogniser whose blocks and words are read."""


def _curve(name: str, encoder: str, setting: str) -> PaperRow:
    """UAR against block, 0 the filterbank."""
    cells = {}
    for number in _FIGURE:
        source, states = (encoder, str(number)) if number else (_ACOUSTIC, "all")
        score = _cells("rnn", source, {"states": states})[setting].ours
        value = _VALUES[setting].get(number) if encoder == _GIGASPEECH else None
        cells[str(number)] = Cell(None if value is None else Printed(value), score)
    return PaperRow(f"{name} E(i), {setting}", cells)


def _baseline(name: str, recogniser: str, setting: str) -> PaperRow:
    """A+T of one recogniser's words, drawn as a level line."""
    setup = {"states": "all", "beside": (f"{_TEXT}:final:frames",)}
    cell = _cells("pair-rnn", _ACOUSTIC, setup, texts=recogniser)[setting]
    return PaperRow(f"{name} A+T, {setting}", {"0": cell, "12": cell})


_COMMON = (
    "UAR of the held-out speaker, mean over the 10 (IEMOCAP) or 12 (MSP-IMPROV) folds; the other speaker of the "
    "session is dev",
    "MSP2IEM and IEM2MSP: the models of all folds, each tested on all of the other corpus",
    "the paper does not name its checkpoints; two of WeNet's of 2021 fit: 20210610_conformer_bidecoder "
    "(Librispeech) and 20210811_conformer_bidecoder (GigaSpeech), each 12 blocks of 512. Give yours with "
    "--encoder wenet-gigaspeech=FOLDER",
)
_TEXTS = (
    "T: BERT reads what the same Conformer recognises here (greedy CTC), in a file beside this table; how the paper "
    "decoded it does not say"
)

TABLES = {
    "table1": PaperTable(
        title="Table 1: error rates of the two recognisers",
        columns=_RATES,
        unit="%",
        digits=2,
        rows=(
            _error_rates("Librispeech", _LIBRISPEECH, 31.88, 22.28, 38.83, 27.24),
            _error_rates("Gigaspeech", _GIGASPEECH, 16.43, 12.30, 18.68, 13.85),
        ),
        notes=("MSP-IMPROV comes without transcripts: its reference texts must be given",),
    ),
    "table2": PaperTable(
        title="Table 2: UAR by input, Gigaspeech Conformer",
        columns=tuple(_SETTINGS),
        unit="%",
        digits=1,
        rows=(
            _block(2, 66.2, 56.7, 48.0, 44.9),
            _block(6, 71.3, 61.9, 56.8, 53.5),
            _block(12, 71.4, 57.5, 54.7, 47.0),
            _pair("A", _ACOUSTIC, 2, 65.4, 56.4, 47.8, 43.6),
            _pair("A", _ACOUSTIC, 6, 71.4, 61.6, 57.3, 53.7),
            _pair("A", _ACOUSTIC, 12, 72.3, 58.0, 56.4, 47.7),
            _pair("T", _TEXT, 2, 74.9, 61.1, 51.8, 48.0),
            _pair("T", _TEXT, 6, 76.5, 63.0, 59.2, 55.1),
            _pair("T", _TEXT, 12, 72.4, 57.9, 52.6, 46.4),
            *(_human(number) for number in (2, 6, 12)),
        ),
        notes=(
            *_COMMON,
            _TEXTS,
            "rows of human transcripts are not in the paper; MSP-IMPROV comes without any",
        ),
    ),
    "table3": PaperTable(
        title="Table 3: UAR beside other methods, Gigaspeech Conformer",
        columns=tuple(_SETTINGS),
        unit="%",
        digits=1,
        rows=(
            _theirs("Feng et al.", 69.7, None, None, None),
            _theirs("Lu et al.", 72.6, None, None, None),
            _theirs("Latif et al. [29]", 66.7, 60.2, None, None),
            _theirs("Yoon et al.", 73.1, 54.0, 48.5, 41.8),
            _theirs("Abdel et al.", None, None, 53.1, 42.9),
            _theirs("Ahn et al.", None, 46.0, None, 45.8),
            _theirs("Latif et al. [18]", 64.1, 56.2, None, 46.8),
            _all_blocks("WF-RNN", "wf-rnn", 72.8, 61.1, 56.5, 52.1),
            _all_blocks("EF-RNN", "ef-rnn", 74.4, 61.9, 59.1, 52.1),
            _all_blocks("LF-RNN", "lf-rnn", 75.3, 62.8, 58.2, 50.7),
            _all_blocks("CTA w/o RNN", "cta", 75.6, 62.4, 58.9, 52.9),
            _all_blocks("CTA-RNN", "cta-rnn", 76.1, 63.5, 59.4, 54.3),
        ),
        notes=(
            *_COMMON,
            "T+E(6) of Table 2 (76.5 / 63.0 / 59.2 / 55.1) is above CTA-RNN on IEM and IEM2MSP; the paper's claim is "
            "for speech as the only input",
        ),
    ),
    "figure2": PaperTable(
        title="Figure 2: UAR against block, 0 = log-mel filterbank",
        columns=tuple(map(str, _FIGURE)),
        unit="%",
        digits=1,
        rows=tuple(
            make(name, encoder, setting)
            for name, encoder in _HALVES.items()
            for make in (_curve, _baseline)
            for setting in _SETTINGS
        ),
        notes=(*_COMMON, _TEXTS, "printed are the points that Table 2 gives; the others are only in the picture"),
        plot=Plot("lines", "block", "UAR (%)", panels=tuple(_HALVES)),
    ),
}  # fmt: skip
