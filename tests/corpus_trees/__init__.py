"""Small trees in the real layout of each corpus: real file names and label text, generated audio.

``TREES[name](root)`` builds one below ``root`` and returns the folder to read. Traps that real copies
hold (hidden files, nested copies, odd encodings) are part of the trees.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from corpus_trees._acted import (
    aesdd,
    cafe,
    casia,
    cremad,
    emodb,
    emovo,
    esd,
    mesd,
    nemo,
    ravdess,
    savee,
    shemo,
    tess,
    turev,
    urdu,
)
from corpus_trees._iemocap import iemocap, iemocap_block, iemocap_dialogues
from corpus_trees._tables import (
    MSP_IMPROV_CLIPS,
    audformat,
    cmu_mosei,
    demo,
    hume_prosody,
    manifest,
    meld,
    msp_improv,
    msp_improv_block,
    msp_podcast,
    voxceleb1,
)
from corpus_trees._tools import APPLE_DOUBLE, LFS_POINTER, flat, touch, write_text, write_wav

TREES: dict[str, Callable[[Path], Path]] = {
    "aesdd": aesdd,
    "audformat": audformat,
    "cafe": cafe,
    "casia": casia,
    "cmu-mosei": cmu_mosei,
    "cremad": cremad,
    "demo": demo,
    "emodb": emodb,
    "emovo": emovo,
    "esd": esd,
    "hume-prosody": hume_prosody,
    "iemocap": iemocap,
    "manifest": manifest,
    "meld": meld,
    "mesd": mesd,
    "msp-improv": msp_improv,
    "msp-podcast": msp_podcast,
    "nemo": nemo,
    "ravdess": ravdess,
    "savee": savee,
    "shemo": shemo,
    "tess": tess,
    "turev": turev,
    "urdu": urdu,
    "voxceleb1": voxceleb1,
}

__all__ = [
    "APPLE_DOUBLE",
    "LFS_POINTER",
    "MSP_IMPROV_CLIPS",
    "TREES",
    "flat",
    "iemocap_block",
    "iemocap_dialogues",
    "msp_improv_block",
    "touch",
    "write_text",
    "write_wav",
]
