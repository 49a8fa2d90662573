"""The verbs of the command line in Python, with its defaults and its errors. ``import sercache`` offers them lazily.

Each verb makes the option record of its command from ``**settings``: the command's options with ``_`` for ``-``, each
checked by name and type. Names may be objects: an Encoder, a Corpus, a FeatureStore, a Result. ``progress=True`` shows
bars, False nothing, and a ``sercache.progress.Listener`` hears all that the command prints.
"""

from sercache.api.analysis import (
    check,
    compare,
    details,
    draw_map,
    lexical,
    new,
    probe,
    robustness,
    table,
    write_pages,
)
from sercache.api.disk import convert, merge, prune
from sercache.api.sharing import pull, push
from sercache.api.stage_one import doctor, extract, info, load_encoder, read_corpus, transcribe, verify
from sercache.api.stage_two import evaluate, export, predict, reproduce, sweep, train

__all__ = [
    "check",
    "compare",
    "convert",
    "details",
    "doctor",
    "draw_map",
    "evaluate",
    "export",
    "extract",
    "info",
    "lexical",
    "load_encoder",
    "merge",
    "new",
    "predict",
    "probe",
    "prune",
    "pull",
    "push",
    "read_corpus",
    "reproduce",
    "robustness",
    "sweep",
    "table",
    "train",
    "transcribe",
    "verify",
    "write_pages",
]
