"""SUPERB: Speech processing Universal PERformance Benchmark (Yang et al., Interspeech 2021), emotion recognition.

Read in the data of its web site (github.com/superbbenchmark/superbbenchmark.github.io, ``src/data/public.json`` of 10
April 2022) and, for UniSpeech-SAT, in the picture of table 1 that its authors keep (github.com/microsoft/UniSpeech,
``UniSpeech-SAT``). Folds, dev part and head are those of s3prl (``downstream/emotion``, ``docs/superb.md``).
"""

from __future__ import annotations

from sercache.reported._record import ReportedTable

# By name on the site: its name here, accuracy in per cent.
_SITE: dict[str, tuple[str, float]] = {
    "FBANK": ("", 48.24),
    "PASE+": ("", 57.86),
    "APC": ("", 59.33),
    "VQ-APC": ("", 59.66),
    "NPC": ("", 59.08),
    "Mockingjay": ("", 50.28),
    "TERA": ("", 56.27),
    "modified CPC": ("", 60.96),
    "wav2vec": ("", 59.79),
    "vq-wav2vec": ("", 58.24),
    "wav2vec 2.0 Base": ("wav2vec2-base", 63.43),
    "wav2vec 2.0 Large": ("wav2vec2-large-lv60", 65.64),
    "HuBERT Base": ("hubert-base", 64.92),
    "HuBERT Large": ("hubert-large", 67.62),
    "DeCoAR 2.0": ("", 62.47),
    "DistilHuBERT": ("distilhubert", 63.02),
    "FaST-VGS+": ("", 62.71),
    "WavLM Base": ("wavlm-base", 65.94),
    "WavLM Base+": ("wavlm-base-plus", 68.65),
    "WavLM Large": ("wavlm-large", 70.62),
}
_SAT: dict[str, tuple[str, float]] = {
    "UniSpeech-SAT Base": ("unispeech-sat-base", 66.04),
    "UniSpeech-SAT Base+": ("unispeech-sat-base-plus", 68.48),
    "UniSpeech-SAT Large": ("unispeech-sat-large", 70.68),
}


def _table(source: str, url: str, rows: dict[str, tuple[str, float]]) -> ReportedTable:
    return ReportedTable(
        source=source,
        url=url,
        dataset="iemocap",
        n_classes=4,
        folds="leave-one-session-out, mean over five folds; no speaker of a test part is trained on, but the dev part "
        "is a fifth of the training utterances drawn at random, so that it shares their speakers",
        system="weighted sum of all states of the frozen encoder, a layer of 256 on each frame, mean over time, a "
        "linear layer; epoch by dev accuracy; the learning rate is free for each encoder",
        metrics=("wa",),
        rows={name: (value / 100,) for name, (_, value) in rows.items()},
        encoders={name: ours for name, (ours, _) in rows.items() if ours},
        protocol="leave-one-session-out",
    )


TABLES = (
    _table(
        "SUPERB leaderboard (Yang et al. 2021), emotion recognition", "https://superbbenchmark.org", _SITE
    ),
    _table("UniSpeech-SAT (Chen et al. 2021), table 1", "https://github.com/microsoft/UniSpeech", _SAT),
)
