"""audEERING: the how-to of its dimensional model, and the paper of that (Wagner et al., IEEE TPAMI 2023).

Read in the outputs of ``notebook.ipynb`` (github.com/audeering/w2v2-how-to, 22 May 2023); of the paper
(arXiv:2203.07378) its abstract alone.
"""

from __future__ import annotations

from sercache.reported._record import ReportedTable

TABLES = (
    ReportedTable(
        source="audEERING w2v2-how-to, notebook",
        url="https://github.com/audeering/w2v2-how-to",
        dataset="emodb",
        n_classes=7,
        folds="leave-one-speaker-out, predictions of all ten folds pooled; no speaker of a test part is trained on",
        system="support vector machine on one vector a recording, each feature standardised on the training part; "
        "nothing is selected",
        metrics=("ua",),
        rows={
            "wav2vec2-large-robust-12-ft-emotion-msp-dim": (0.9338,),
            "ComParE 2016 functionals": (0.7708,),
        },
        encoders={"wav2vec2-large-robust-12-ft-emotion-msp-dim": "wav2vec2-large-robust-emotion-dim"},
        protocol="leave-one-speaker-out",
    ),
    ReportedTable(
        source="Dawn of the transformer era (Wagner et al. 2023), abstract",
        url="https://arxiv.org/abs/2203.07378",
        dataset="msp-podcast",
        n_classes=None,
        folds="parts of MSP-Podcast; release and test part are not said in the abstract",
        system="variants of wav2vec 2.0 and HuBERT fine-tuned on arousal, dominance and valence; CCC of valence",
        metrics=("ccc",),
        rows={"the best of them": (0.638,)},
        encoders={},
    ),
)
