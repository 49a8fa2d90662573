"""X-ARES: eXtensive Audio Representation and Evaluation Suite (Zhang et al., Interspeech 2025, arXiv:2505.16369).

Read in the README of its authors (github.com/jimbozhang/xares, 2 September 2025); checkpoints, folds and what selects
in ``example/``, ``src/tasks/`` and ``src/xares/task.py`` there.
"""

from __future__ import annotations

from sercache.reported._record import ReportedTable

_MODELS = {
    "dasheng base": "",
    "wav2vec2 (large, 100k VoxPopuli)": "",
    "whisper base": "whisper-base",
    "data2vec base": "data2vec-audio-base",
}
_CREMAD = "one division of its own into training, dev and test part; which speakers they share is not said"
_RAVDESS = "four folds of its own; which speakers a test part shares with training is not said"
_LINEAR = "a linear layer on the mean over time of the frozen encoder's output; epoch by {}"
_NEIGHBOURS = "nearest neighbours of the mean over time of the frozen encoder's output, nothing is trained"
_ON_TEST = "accuracy on the test part itself"
# Corpus, classes, folds, system, accuracies in the order of the models.
_PRINTED = (
    ("cremad", 6, _CREMAD, _LINEAR.format("dev accuracy"), (0.767, 0.541, 0.572, 0.523)),
    ("cremad", 6, _CREMAD, _NEIGHBOURS, (0.380, 0.221, 0.372, 0.351)),
    ("ravdess", 8, _RAVDESS, _LINEAR.format(_ON_TEST), (0.749, 0.442, 0.459, 0.467)),
    ("ravdess", 8, _RAVDESS, _NEIGHBOURS, (0.408, 0.169, 0.296, 0.313)),
)

TABLES = tuple(
    ReportedTable(
        source=f"X-ARES (Zhang et al. 2025), {'kNN' if system is _NEIGHBOURS else 'MLP'} result",
        url="https://github.com/jimbozhang/xares",
        dataset=dataset,
        n_classes=n_classes,
        folds=folds,
        system=system,
        metrics=("wa",),
        rows={name: (value,) for name, value in zip(_MODELS, printed, strict=True)},
        encoders={name: ours for name, ours in _MODELS.items() if ours},
    )
    for dataset, n_classes, folds, system, printed in _PRINTED
)
