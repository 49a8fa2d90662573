"""Stage one: a corpus through a frozen encoder into a feature store.

``make_plan`` checks everything that can be checked and says what will be done; ``extract`` does it.
"""

from sercache.extraction.notes import is_finished, mark_finished, record_skips, skips
from sercache.extraction.plan import Piece, Plan, feature_spec, make_plan
from sercache.extraction.run import Extraction, extract, real_time_factor

__all__ = [
    "Extraction",
    "Piece",
    "Plan",
    "extract",
    "feature_spec",
    "is_finished",
    "make_plan",
    "mark_finished",
    "real_time_factor",
    "record_skips",
    "skips",
]
