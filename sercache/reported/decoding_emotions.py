"""Decoding Emotions: a multilingual multi-corpus study of speech representation models (Singh and Gupta, 2023).

Read in ``summary/v1.5/dense_summary.csv`` of its authors (github.com/95anantsingh/Decoding-Emotions, 16 August 2023):
``mean_accuracy``, the mean over five runs; head and what selects in ``models/dense.py`` and ``main.py`` there. Its
accuracies of single layers are left out: the layer was chosen by the very test part.
"""

from __future__ import annotations

from sercache.reported._record import ReportedTable

_MODELS = {
    "HUBERT_ASR_LARGE": "hubert-large-ft",
    "HUBERT_BASE": "hubert-base",
    "HUBERT_LARGE": "hubert-large",
    "WAV2VEC2_ASR_LARGE_960H": "wav2vec2-large-960h",
    "WAV2VEC2_BASE": "wav2vec2-base",
    "WAV2VEC2_LARGE": "wav2vec2-large",
    "WAV2VEC2_LARGE_XLSR": "xlsr-53",
    "WAV2VEC2_LARGE_XLSR300M": "xls-r-300m",
}
# In the order of the models.
_PRINTED = {
    "aesdd": "66.47 59.03 63.09 63.09 59.90 63.96 52.95 64.15",
    "cafe": "74.53 69.66 74.44 71.37 64.19 73.59 55.81 77.61",
    "emovo": "40.41 32.55 43.57 42.76 30.00 38.27 32.24 31.43",
    "emodb": "91.67 87.62 94.52 92.62 86.43 91.67 86.19 91.43",
    "iemocap": "71.76 66.24 69.82 67.09 64.10 66.70 66.77 69.16",
    "ravdess": "72.33 58.73 69.60 66.00 59.00 64.40 61.67 70.73",
    "shemo": "92.74 89.35 91.56 90.00 90.38 90.59 90.65 93.12",
}


def _table(dataset: str) -> ReportedTable:
    numbers = [float(word) / 100 for word in _PRINTED[dataset].split()]
    return ReportedTable(
        source="Decoding Emotions (Singh and Gupta 2023), dense head on all layers",
        url="https://github.com/95anantsingh/Decoding-Emotions",
        dataset=dataset,
        n_classes=None,
        folds="one division into training, dev and test part; its lists, its classes and the speakers that parts share "
        "are not published there",
        system="weighted sum of the blocks of the frozen encoder, two layers of 256 on each frame, mean over time, a "
        "linear layer; epoch by dev accuracy, mean over five runs",
        metrics=("wa",),
        rows={name: (value,) for name, value in zip(_MODELS, numbers, strict=True)},
        encoders=_MODELS,
    )


TABLES = tuple(map(_table, _PRINTED))
