"""emotion2vec (Ma et al., 2023, arXiv:2312.15185) and emotion2vec+ (2024), as its authors' repository shows them.

Read in the pictures of tables 2 and 7 of the paper and of table IV of emotion2vec+ (github.com/ddlBoJack/emotion2vec,
``src/``); the head and what selects in ``iemocap_downstream/`` there. Rows of table 2 that repeat SUPERB are left out,
and so are its F1 scores, weighted or of a kind that is not named.
"""

from __future__ import annotations

from sercache.reported._record import ReportedTable

_URL = "https://github.com/ddlBoJack/emotion2vec"
_ENCODERS = {
    "data2vec base": "data2vec-audio-base",
    "data2vec 2.0 base": "data2vec2-audio-base",
    "emotion2vec": "emotion2vec-base",
}
_HEAD = "last state of the frozen encoder, a layer of 256 on each frame, mean over time, a linear layer; epoch by {dev}"
_ON_TEST = "accuracy on the test part itself"
_SESSIONS = "leave-one-session-out, mean over five folds; no speaker of a test part is trained on"
_SPEAKERS = "leave-one-speaker-out, mean over ten folds; no speaker of a test part is trained on"


def _iemocap(mark: str, folds: str, dev: str, rows: dict[str, float]) -> ReportedTable:
    return ReportedTable(
        source=f"emotion2vec (Ma et al. 2023), table 2{mark}",
        url=_URL,
        dataset="iemocap",
        n_classes=4,
        folds=folds,
        system=_HEAD.format(dev=dev),
        metrics=("wa",),
        rows={name: (value / 100,) for name, value in rows.items()},
        encoders={name: ours for name, ours in _ENCODERS.items() if name in rows},
        protocol=folds.partition(",")[0],
    )


_IEMOCAP = (
    _iemocap(
        "",
        _SESSIONS,
        "accuracy on a fifth of the training utterances, of the same speakers",
        {
            "data2vec base": 67.38, "data2vec 2.0 base": 68.58, "Vesper-4": 68.40, "Vesper-12": 70.70,
            "emotion2vec": 71.79,
        },
    ),
    _iemocap(", with *", _SESSIONS, _ON_TEST, {"emotion2vec": 74.48}),
    _iemocap(", underlined", _SPEAKERS, "accuracy on one more speaker", {"emotion2vec": 72.94}),
    _iemocap(", underlined with *", _SPEAKERS, _ON_TEST, {"emotion2vec": 77.64}),
)  # fmt: skip

_OTHERS = {
    "WavLM-base": "wavlm-base",
    "WavLM-base+": "wavlm-base-plus",
    "data2vec": "",
    "emotion2vec": "emotion2vec-base",
}
# WA and UA of each, in their order; the table calls the first AESD (Gr).
_LANGUAGES = {
    "aesdd": "55.33 55.50  53.83 54.41  56.67 57.26  72.33 72.27",
    "cafe": "31.61 32.02  31.40 33.39  57.10 57.68  74.52 75.26",
    "resd": "56.17 56.17  55.00 55.19  49.42 49.77  64.75 65.04",
    "emodb": "59.06 55.32  65.66 64.60  67.17 64.81  84.34 84.85",
    "emovo": "40.17 40.34  40.34 41.98  51.21 51.97  61.21 62.97",
    "m3ed": "44.03 18.90  45.09 20.18  44.44 21.10  49.15 26.98",
    "subesco": "54.50 54.77  54.73 54.69  78.29 78.25  90.91 90.96",
    "shemo": "67.27 46.60  66.73 44.29  70.80 53.96  79.97 66.04",
    "urdu": "71.00 70.25  67.25 68.68  71.75 72.67  81.50 81.87",
}
_PLUS = {f"emotion2vec+ {size}": f"emotion2vec-plus-{size}" for size in ("seed", "base", "large")}
# UA and WA of each, in their order.
_OF_EMOBOX = {
    "aesdd": "92.1 92.1  91.8 92.5  92.4 92.6",
    "ased": "94.1 94.1  98.0 98.0  96.7 96.7",
    "asvp-esd": "76.4 78.6  83.3 83.8  77.9 80.3",
    "cafe": "92.2 92.9  84.1 83.4  90.8 92.0",
    "casia": "69.2 69.2  72.0 72.0  76.5 76.5",
    "cremad": "88.2 88.1  86.7 86.9  88.4 88.5",
    "emns": "92.7 91.7  96.7 96.6  93.1 92.3",
    "emodb": "97.3 97.3  97.2 97.2  98.6 98.6",
    "emov-db": "99.5 99.5  99.7 99.7  99.2 99.2",
    "emovo": "64.3 64.3  77.1 77.1  90.0 90.0",
    "emozionalmente": "85.3 85.3  88.8 88.8  88.9 88.9",
    "enterface": "98.7 98.7  98.7 98.7  98.9 98.9",
    "esd": "80.3 80.3  85.4 85.4  87.0 87.0",
    "iemocap": "73.2 69.6  71.9 69.6  70.7 67.3",
    "jl-corpus": "79.1 59.8  76.0 60.5  78.9 64.0",
    "m3ed": "47.0 57.7  39.7 55.2  46.9 59",
    "mead": "91.9 92.1  95.4 95.5  91.9 91.5",
    "meld": "48.1 62.5  39.4 58.4  47.3 57.4",
    "mer2023": "59.9 59.9  60.1 60.3  63.6 63.8",
    "mesd": "69.9 70.0  59.4 59.0  65.3 65.2",
    "msp-podcast": "47.4 69.0  40.2 66.1  56.7 72.8",
    "oreau": "78.0 78.7  80.4 83.3  76.7 76.6",
    "pavoque": "95.2 97.7  93.7 97.1  94.6 97.5",
    "polish": "46.7 46.7  48.9 48.9  55.6 55.6",
    "ravdess": "84.4 81.9  79.8 79.4  86 83.9",
    "resd": "65.4 66.5  79.2 79.8  69.1 69.5",
    "savee": "97.5 97.3  100 100  100 100",
    "shemo": "82.3 85.4  85.3 90.7  89.4 90.8",
    "subesco": "85.6 85.6  86.3 86.3  83.8 83.8",
    "tess": "100 100  100 100  100 100",
    "turev": "70.9 70.6  80.1 79.8  70.1 70.4",
    "urdu": "79.0 79.0  85.7 85.7  79.1 79.1",
}


def _rows(names: tuple[str, ...], printed: str) -> dict[str, tuple[float, ...]]:
    """Two numbers for each name, of those that are printed in per cent."""
    numbers = [float(word) / 100 for word in printed.split()]
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return dict(zip(names, pairs, strict=True))


def _language(dataset: str) -> ReportedTable:
    return ReportedTable(
        source="emotion2vec (Ma et al. 2023), table 7",
        url=_URL,
        dataset=dataset,
        n_classes=None,
        folds="how it was divided is not said beside the table",
        system="linear layers on the frozen encoder; what selects is not said beside the table",
        metrics=("wa", "ua"),
        rows=_rows(tuple(_OTHERS), _LANGUAGES[dataset]),
        encoders={name: ours for name, ours in _OTHERS.items() if ours},
    )


def _plus(dataset: str) -> ReportedTable:
    return ReportedTable(
        source="emotion2vec+ (2024), table IV",
        url=_URL,
        dataset=dataset,
        n_classes=4,
        folds="the test part of EmoBox; the model was fine-tuned on other emotion data, seed on corpora of EmoBox",
        system="the fine-tuned model itself, nothing is trained for the test",
        metrics=("ua", "wa"),
        rows=_rows(tuple(_PLUS), _OF_EMOBOX[dataset]),
        encoders=_PLUS,
    )


TABLES = (*_IEMOCAP, *map(_language, _LANGUAGES), *map(_plus, _OF_EMOBOX))
