"""Stage one: a corpus through a frozen encoder into a feature store.

``make_plan`` checks everything that can be checked and says what will be done; ``extract`` does it.
"""

from sercache.extraction.compute import device_of
from sercache.extraction.device_workers import DeviceWorker, start_workers
from sercache.extraction.notes import (
    is_finished,
    is_half_repaired,
    mark_begun,
    mark_finished,
    record_skips,
    record_training,
    repairing,
    skips,
    training_record,
)
from sercache.extraction.pieces import Piece
from sercache.extraction.plan import Plan, PlanPart, batch_digest, feature_spec, free_bytes, make_plan
from sercache.extraction.run import Extraction, extract, real_time_factor, threads
from sercache.extraction.sharing import LeftOut
from sercache.extraction.splits import FOLDER as SPLITS
from sercache.extraction.together import extract_together

__all__ = [
    "SPLITS",
    "DeviceWorker",
    "Extraction",
    "LeftOut",
    "Piece",
    "Plan",
    "PlanPart",
    "batch_digest",
    "device_of",
    "extract",
    "extract_together",
    "feature_spec",
    "free_bytes",
    "is_finished",
    "is_half_repaired",
    "make_plan",
    "mark_begun",
    "mark_finished",
    "real_time_factor",
    "record_skips",
    "record_training",
    "repairing",
    "skips",
    "start_workers",
    "threads",
    "training_record",
]
