"""EmoBox: Multilingual Multi-corpus Speech Emotion Recognition Toolkit and Benchmark (Ma et al., Interspeech 2024).

Table 4, "intra-corpus", as printed (arXiv:2406.07162): per cent, of the corpora that are read here. Folds, and which
speakers of a test part are trained on, are counted from the lists that its authors publish (github.com/emo-box/EmoBox,
data/); None where the names of files do not tell the speaker, or the list of the training part is not there.
"""

from __future__ import annotations

from sercache.reported._record import ReportedTable

_MODELS = {
    "wav2vec 2.0 base": "wav2vec2-base",
    "HuBERT base": "hubert-base",
    "HuBERT large": "hubert-large",
    "WavLM base": "wavlm-base",
    "WavLM large": "wavlm-large",
    "data2vec base": "data2vec-audio-base",
    "data2vec large": "data2vec-audio-large",
    "data2vec 2.0 base": "",
    "data2vec 2.0 large": "",
    "Whisper large v3": "whisper-large-v3",
}
"""In the order of the printed rows."""

# Name here: classes, folds, speakers of a test part, how many of them are trained on.
_HOW: dict[str, tuple[int, int, int | None, int | None]] = {
    "aesdd": (5, 1, None, None),
    "cafe": (7, 3, 4, 0),
    "casia": (6, 4, 1, 0),
    "cremad": (6, 1, 91, 91),
    "emodb": (7, 5, 10, 10),
    "emovo": (7, 6, 1, 0),
    "esd": (5, 5, 4, None),
    "iemocap": (4, 5, 2, 0),
    "meld": (7, 1, None, None),
    "mesd": (6, 1, 3, 3),
    "msp-podcast": (8, 1, None, None),
    "ravdess": (8, 6, 4, 0),
    "savee": (7, 4, 1, 0),
    "shemo": (6, 1, 83, 83),
    "tess": (7, 1, 2, 2),
    "turev": (4, 1, 6, 6),
    "urdu": (4, 1, 19, 18),
}

# UA, WA and macro F1 of each model, in their order.
_PRINTED = {
    "aesdd": """
        67.59 67.65 67.61  82.30 82.35 82.36  78.85 78.90 78.88  78.99 79.08 78.78  84.40 84.49 84.19
        49.96 50.03 49.30  45.63 45.69 44.65  46.55 46.68 45.33  72.26 72.34 71.82  79.13 79.18 79.13""",
    "cafe": """
        42.76 42.47 41.03  54.16 54.16 53.36  59.50 58.73 58.22  52.71 52.33 51.66  62.20 61.33 61.14
        42.18 42.36 41.69  42.24 42.85 41.11  51.83 51.67 50.52  59.04 58.02 57.51  69.43 68.84 68.06""",
    "casia": """
        39.56 39.56 34.86  47.23 47.23 42.47  45.30 45.30 39.10  47.25 47.25 41.78  52.12 52.12 46.55
        34.72 34.72 30.88  37.65 37.65 33.50  43.31 43.31 38.90  45.57 45.57 41.46  59.58 59.58 56.27""",
    "cremad": """
        61.95 61.90 61.75  71.13 70.98 71.00  73.83 73.64 73.73  69.64 69.49 69.54  74.50 74.32 74.39
        58.03 57.78 57.73  63.80 63.51 63.48  65.74 65.48 65.47  69.55 69.27 69.25  76.75 76.48 76.60""",
    "emodb": """
        82.06 83.14 82.21  87.73 87.73 87.82  89.81 90.26 89.86  87.03 87.12 86.76  92.58 92.67 92.57
        58.12 60.01 58.32  60.96 61.95 61.26  75.07 75.86 75.49  79.36 80.41 79.96  91.26 92.43 91.84""",
    "emovo": """
        31.07 31.07 27.24  46.10 46.10 41.28  45.74 45.74 40.56  42.39 42.39 37.33  48.82 48.82 44.16
        32.47 32.47 29.22  35.66 35.66 33.59  42.96 42.96 41.01  45.88 45.88 43.63  57.82 57.82 56.06""",
    "esd": """
        69.17 69.27 68.66  72.41 72.41 72.11  75.85 75.85 75.38  72.90 72.90 72.55  79.14 79.14 78.87
        65.05 65.05 64.55  72.01 72.01 71.77  73.40 73.40 73.10  76.81 76.81 76.43  84.62 84.62 84.33""",
    "iemocap": """
        58.27 57.73 57.83  63.87 63.10 63.45  67.42 66.69 67.24  62.92 63.94 63.40  69.47 69.07 69.29
        54.19 53.20 53.76  52.56 51.11 51.71  54.40 53.19 53.71  57.30 56.23 56.70  73.54 72.86 73.11""",
    "meld": """
        20.06 45.17 20.04  23.53 45.47 24.29  24.13 46.37 24.99  23.44 44.71 24.25  28.18 49.31 29.11
        23.82 45.57 24.37  23.35 45.74 24.10  24.79 46.65 25.28  26.33 47.72 27.35  31.54 51.89 32.95""",
    "mesd": """
        62.93 62.89 62.85  47.52 47.48 46.33  53.71 53.67 53.67  43.58 43.52 42.94  62.54 62.49 62.33
        34.37 34.35 33.24  36.67 36.61 35.81  44.86 44.85 43.6   48.46 48.45 46.8   69.78 69.67 69.64""",
    "msp-podcast": """
        15.5  37.48 13.8   16.97 38.7  15.89  18.07 40.02 17.2   17.11 37.38 16.53  18.6  40.47 17.97
        16.19 37.15 15.49  17.24 37.45 16.86  16.79 39.97 15.33  18.35 41.33 17.07  22.24 44.1  22.12""",
    "ravdess": """
        54.33 55.40 53.99  65.43 66.21 65.31  70.00 70.29 69.54  61.56 62.10 61.18  72.00 72.22 71.42
        51.92 52.22 51.10  59.30 59.50 58.74  64.66 64.84 64.18  71.15 71.63 70.94  75.32 75.87 75.19""",
    "savee": """
        44.89 49.83 42.07  58.90 59.85 64.05  71.91 75.05 71.83  63.57 67.05 62.83  66.74 70.80 66.37
        75.65 78.25 78.38  68.01 71.45 71.08  72.65 75.50 75.59  75.75 78.59 78.24  74.07 77.24 75.31""",
    "shemo": """
        56.34 78.96 57.34  58.31 81.17 63.15  64.29 83.35 66.26  60.73 78.76 62.06  71.72 87.13 73.55
        47.61 70.07 49.49  56.42 74.09 60.98  60.59 79.03 64.03  64.09 82.68 68.47  80.23 89.55 82.94""",
    "tess": """
        97.92 97.92 97.92  99.62 99.62 99.62  99.86 99.86 99.86  99.10 99.10 99.10  99.78 99.78 99.78
        94.67 94.67 94.65  96.89 96.89 96.89  98.55 98.55 98.55  99.54 99.54 99.54  99.96 99.96 99.96""",
    "turev": """
        67.19 68.01 67.19  72.81 73.26 72.89  70.93 72.08 70.96  69.97 70.51 70.18  79.5  80.09 79.51
        51.62 52.58 51.52  54.69 55.11 54.56  63.44 63.69 63.37  63.77 64.13 63.00  81.32 81.58 81.31""",
    "urdu": """
        87.50 87.50 87.57  88.41 88.41 88.40  81.75 81.75 81.66  82.82 82.82 82.85  86.61 86.61 86.64
        65.42 65.42 65.35  64.81 64.81 64.93  69.97 69.97 69.91  78.10 78.10 78.10  82.52 82.52 82.41""",
}
_METRICS = ("ua", "wa", "macro_f1")


def _folds(dataset: str) -> str:
    _, n_folds, n_test, n_trained = _HOW[dataset]
    made = "one division into training and test part" if n_folds == 1 else f"{n_folds} folds of its own"
    if n_test is None or n_trained is None:
        return f"{made}; whether speakers of a test part are trained on was not counted"
    if n_trained == 0:
        return f"{made}; no speaker of a test part is trained on"
    which = f"all {n_test}" if n_trained == n_test else f"{n_trained} of the {n_test}"
    return f"{made}; {which} speakers of a test part are trained on"


def _table(dataset: str) -> ReportedTable:
    numbers = [float(word) / 100 for word in _PRINTED[dataset].split()]
    width = len(_METRICS)
    rows = [tuple(numbers[at : at + width]) for at in range(0, len(numbers), width)]
    return ReportedTable(
        source="EmoBox (Ma et al. 2024), table 4",
        url="https://arxiv.org/abs/2406.07162",
        dataset=dataset,
        n_classes=_HOW[dataset][0],
        folds=_folds(dataset),
        system="last hidden state of the frozen encoder, a layer of 256 on each frame, mean over time, a linear layer",
        metrics=_METRICS,
        rows=dict(zip(_MODELS, rows, strict=True)),
        encoders={name: ours for name, ours in _MODELS.items() if ours},
    )


TABLES = tuple(_table(dataset) for dataset in _PRINTED)
