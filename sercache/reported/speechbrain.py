"""SpeechBrain's recipe for IEMOCAP, and its benchmark MP3S (Zaiem et al., 2023, arXiv:2306.00452).

Read in the READMEs of ``recipes/IEMOCAP`` (github.com/speechbrain/speechbrain, 3 April 2026) and ``benchmarks/MP3S``
(github.com/speechbrain/benchmarks, 9 December 2024); classes, parts and what is trained in their ``hparams``.
"""

from __future__ import annotations

from sercache.reported._record import ReportedTable

_RECIPE = "https://github.com/speechbrain/speechbrain/tree/develop/recipes/IEMOCAP"
_MP3S = "https://github.com/speechbrain/benchmarks/tree/main/benchmarks/MP3S"
_RANDOM = "utterances drawn at random into 80, 10 and 10 %; speakers of the test part are trained on"
_SPEAKERS = "leave-one-speaker-out, mean over ten folds; no speaker of a test part is trained on"
_MODELS = {"data2vec base": "data2vec-audio-base", "data2vec large": "data2vec-audio-large"}


def _table(
    source: str, url: str, folds: str, system: str, rows: dict[str, float], encoders: dict[str, str]
) -> ReportedTable:
    rows_of = {name: (value / 100,) for name, value in rows.items()}
    protocol = "leave-one-speaker-out" if folds is _SPEAKERS else ""
    return ReportedTable(source, url, "iemocap", 4, folds, system, ("wa",), rows_of, encoders, protocol)


TABLES = (
    _table(
        "SpeechBrain recipe, test accuracy, mean of its runs",
        _RECIPE,
        _RANDOM,
        "the encoder itself is fine-tuned but for its convolutions, mean over time, a linear layer; its best run is "
        "78.7, 73.3 and 79.1 %",
        {"wav2vec2 base": 77.0, "voxpopuli base": 70.5, "hubert base": 76.6},
        {"wav2vec2 base": "wav2vec2-base", "hubert base": "hubert-base"},
    ),
    _table(
        "SpeechBrain recipe, test accuracy",
        _RECIPE,
        _RANDOM,
        "ECAPA-TDNN on filterbank energies, trained from scratch",
        {"no encoder": 65.7},
        {},
    ),
    _table(
        "MP3S (Zaiem et al. 2023), README, first head",
        _MP3S,
        _SPEAKERS,
        "weighted sum of the states of the frozen encoder, mean over time, a linear layer; epoch by dev accuracy",
        {"data2vec base": 63.0, "data2vec large": 64.1},
        _MODELS,
    ),
    _table(
        "MP3S (Zaiem et al. 2023), README, second head",
        _MP3S,
        _SPEAKERS,
        "weighted sum of the states of the frozen encoder, ECAPA-TDNN; epoch by dev accuracy",
        {"data2vec base": 72.0, "data2vec large": 71.3},
        _MODELS,
    ),
)
