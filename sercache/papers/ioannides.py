"""Ioannides et al.: attention-guided layer attention and a 2-D CNN over WavLM and HuBERT means."""

from __future__ import annotations

from sercache.papers import AlsoTrain, Printed, Row, Table, Trial

CITATION = "Ioannides et al. 2023, Towards Paralinguistic-Only Speech Representations for End-to-End SER"

_HEAD = "layer-attention"
_MANDARIN = AlsoTrain("esd", "4class", language="zh")


def _others(name: str, accuracy: float) -> Row:
    return Row(name, {"wa": Printed(accuracy)})


def _ours(name: str, accuracy: float, std: float, encoder: str, *also: AlsoTrain) -> Row:
    return Row(name, {"wa": Printed(accuracy, std)}, Trial(_HEAD, encoder, "iemocap", also))


TABLES = {
    "table2": Table(
        title="IEMOCAP, four classes, 5-fold leave-one-session-out: accuracy",
        metrics=("wa",),
        aggregate="folds",
        rows=(
            _others("LightHuBERT-Small", 0.6412),
            _others("HuBERT-Base (SUPERB)", 0.6492),
            _others("LightHuBERT-Stage-1", 0.6625),
            _others("HuBERT-Large (SUPERB)", 0.6762),
            _others("WavLM-Base+", 0.6865),
            _others("WavLM-Large", 0.7062),
            _ours("Attention-Guided-HuBERT-Base", 0.6578, 0.021, "hubert-base"),
            _ours("Attention-Guided-HuBERT-Large", 0.7291, 0.022, "hubert-large"),
            _ours("Attention-Guided-WavLM-Large-v1", 0.7376, 0.019, "wavlm-large"),
            _ours("Attention-Guided-WavLM-Large-v2", 0.7432, 0.019, "wavlm-large", _MANDARIN),
        ),
        notes=(
            "v2 adds all ESD Mandarin utterances of the four classes to each fold's training part",
            "the test session selects nothing: the last of 35 epochs is scored, as the paper has no dev part",
            "the printed parameter totals (4,329,981 and 2,395,645) cannot be reached by the printed "
            "architecture; ours has 4,332,541 and 2,396,549",
        ),
    )
}
