"""Pepino et al.: trainable averages of wav2vec 2.0 layers, two dense layers per frame, mean over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sercache.papers import Cell, PaperRow, PaperTable, Plot, Printed, Trial, TrialScore, number

CITATION = "Pepino, Riera, Ferrer 2021, Emotion Recognition from Speech Using wav2vec 2.0 Embeddings"

_PT, _FT = "wav2vec2-base", "wav2vec2-base-960h"
_CORPORA = {
    "IEMOCAP": ("iemocap", {"task": "4class@aligned"}),
    "RAVDESS": ("ravdess", {"task": "7class", "protocol": "fixed:pepino", "dev": "none"}),
}
"""Column -> corpus and what it changes of the set-up."""
_STATES = ("projection", *map(str, range(1, 13)))


def _trial(head: str, encoder: str, column: str, **setup: Any) -> Trial:
    dataset, own = _CORPORA[column]
    return Trial(head, encoder, dataset, setup={**own, **setup})


def _row(name: str, head: str, encoder: str, iemocap: Any, ravdess: Any, **setup: Any) -> PaperRow:
    cells = {
        column: Cell(number(printed), TrialScore(_trial(head, encoder, column, **setup), "ua", "seeds"))
        for column, printed in (("IEMOCAP", iemocap), ("RAVDESS", ravdess))
    }
    return PaperRow(name, cells)


def _dense(name: str, encoder: str, states: str, iemocap: Any, ravdess: Any) -> PaperRow:
    return _row(name, "weighted-dense", encoder, iemocap, ravdess, states=states, normalise="speaker")


def _theirs(name: str, iemocap: float) -> PaperRow:
    return PaperRow(name, {"IEMOCAP": Cell(Printed(iemocap))})


def _issa(
    column: str, ours: tuple[float, float], theirs: float, setup: Mapping[str, Any]
) -> tuple[PaperRow, PaperRow]:
    trial = Trial("weighted-dense", _PT, column.lower(), setup={"normalise": "global", **setup})
    return (
        PaperRow(f"{column}: Issa et al.", {"UA": Cell(Printed(theirs))}),
        PaperRow(
            f"{column}: Dense, all layers", {"UA": Cell(number(ours), TrialScore(trial, "ua", "seeds"))}
        ),
    )


def _weights(column: str, kind: str, encoder: str, *printed: float) -> PaperRow:
    trial = _trial("weighted-dense", encoder, column, states="projection+blocks", normalise="speaker")
    cells = {
        _layer(state): Cell(Printed(value), TrialScore(trial, "layer-weight", "seeds", of=state))
        for state, value in zip(_STATES, printed, strict=True)
    }
    return PaperRow(f"{column} {kind}", cells)


def _layer(state: str) -> str:
    return "0" if state == "projection" else state


_RAVDESS_NOTE = "the paper's RAVDESS is speech and song: 2452 recordings, 208 of them test"
UTTERANCES = {
    "iemocap:4class@aligned": 5473,
    "iemocap:4class@improvised@full-agreement@aligned": 861,
    "ravdess:7class": 2452,
    "ravdess:8class": 2452,
}
"""By corpus and task, as the authors ran it."""
_COMMON = (
    "the paper's IEMOCAP is the 5473 turns of the four classes whose forced alignment holds a word",
    _RAVDESS_NOTE,
)

TABLES = {
    "table1": PaperTable(
        title="Table 1: UAR by features, Dense, speaker normalisation, 5 seeds",
        columns=("IEMOCAP", "RAVDESS"),
        unit="%",
        digits=1,
        rows=(
            _dense("None: eGeMAPS", "egemaps-20ms", "all", (52.4, 0.1), (57.0, 2.4)),
            _dense("None: Spectrogram", "spectrogram", "all", (49.8, 1.0), (44.5, 0.8)),
            PaperRow(
                "None: Spectrogram at 48 kHz, as the authors' code",
                {"RAVDESS": Cell(Printed(44.5, 0.8), TrialScore(_trial("weighted-dense", "spectrogram-48k", "RAVDESS",
                 states="all", normalise="speaker"), "ua", "seeds"))},
            ),
            _dense("Wav2vec2-PT: Local enc.", _PT, "projection", (60.3, 0.7), (65.4, 1.7)),
            _dense("Wav2vec2-PT: Cont. enc.", _PT, "last", (58.5, 0.6), (69.0, 0.2)),
            _dense("Wav2vec2-PT: All layers", _PT, "projection+blocks", (67.2, 0.7), (84.3, 1.7)),
            _dense("Wav2vec2-FT: Local enc.", _FT, "projection", (57.3, 1.0), (58.8, 2.7)),
            _dense("Wav2vec2-FT: Cont. enc.", _FT, "last", (44.6, 1.0), (37.5, 3.0)),
            _dense("Wav2vec2-FT: All layers", _FT, "projection+blocks", (63.8, 0.3), (68.7, 0.9)),
        ),
        notes=(
            *_COMMON,
            "spectrogram: 25 ms windows every 20 ms at 16 kHz; the text says every 10 ms, and the authors' code left "
            "RAVDESS at 48 kHz, where 250 frames are 1.67 s: the printed number is of that",
        ),
    ),
    "table2": PaperTable(
        title="Table 2: UAR by model and normalisation, wav2vec2-PT, all layers, 5 seeds",
        columns=("IEMOCAP", "RAVDESS"),
        unit="%",
        digits=1,
        rows=(
            _dense("Dense - Speaker", _PT, "projection+blocks", (67.2, 0.7), (84.3, 1.7)),
            _row("Dense - Global", "weighted-dense", _PT, (65.8, 0.3), (75.7, 2.3),
                 states="projection+blocks", normalise="global"),
            _row("LSTM - Global", "weighted-lstm", _PT, (64.8, 1.9), (74.6, 3.7)),
            _row("Fusion - Global", "egemaps-fusion", _PT, (66.3, 0.7), (77.5, 1.0), normalise="global"),
            _theirs("BiLSTM w. attention [13]", 58.8),
            _theirs("CNN-BiLSTM [14]", 59.4),
            _theirs("TDNN-LSTM w. attention [15]", 60.7),
            _theirs("Wav2Vec [27]", 64.3),
        ),
        notes=(
            *_COMMON,
        ),
    ),
    "issa": PaperTable(
        title="Text of section 4: the set-ups of Issa et al., UAR, all layers, global normalisation, 5 seeds",
        columns=("UA",),
        unit="%",
        digits=1,
        rows=(
            *_issa("RAVDESS", (84.1, 1.2), 71.6,
                   {"task": "8class", "protocol": "drawn-kfold:5", "dev": "drawn"}),
            *_issa("IEMOCAP", (72.1, 0.9), 64.3,
                   {"task": "4class@improvised@full-agreement@aligned", "protocol": "leave-one-session-out",
                    "dev": "last"}),
        ),
        notes=(
            "RAVDESS: five random folds that share speakers; ours are drawn once, theirs anew for each seed",
            "the paper's IEMOCAP is the improvised turns on which three raters agree in full, 861 in all",
            _RAVDESS_NOTE,
        ),
    ),
    "figure2": PaperTable(
        title="Figure 2: share of each layer in the trained average, 0 = local encoder",
        columns=tuple(map(_layer, _STATES)),
        rows=(
            _weights("IEMOCAP", "PT", _PT, .0660, .0699, .0720, .0756, .0779, .0811, .0841, .0834, .0845, .0823,
                     .0746, .0712, .0776),
            _weights("IEMOCAP", "FT", _FT, .0732, .0743, .0814, .0839, .0831, .0844, .0850, .0831, .0813, .0731,
                     .0670, .0665, .0637),
            _weights("RAVDESS", "PT", _PT, .0581, .0580, .0609, .0749, .0924, .0945, .0930, .0927, .0896, .0806,
                     .0702, .0571, .0779),
            _weights("RAVDESS", "FT", _FT, .0560, .0593, .0827, .0977, .1019, .1025, .0999, .0956, .0897, .0577,
                     .0527, .0518, .0525),
        ),
        notes=(
            "printed values are read from the vector figure in the authors' repository; its error bars "
            "(population std over 5 seeds, .0002 to .0023) are not printed",
            "each run's weights are divided by their sum, averaged over folds, then over seeds",
            _RAVDESS_NOTE,
        ),
        plot=Plot("lines", "layer", "share"),
    ),
}  # fmt: skip
