"""What predictions tell, and how far that may be trusted: intervals over speakers, tests of pairs.

Of records alone: no features, no training, nothing of torch.
"""

from sercache.statistics.intervals import (
    OF_NUMBERS,
    arrays,
    by_target,
    grouped,
    keys,
    over_folds,
    over_units,
)
from sercache.statistics.paired import ABROAD, PairDifference, System, pairs, score_of, system_of, unlike
from sercache.statistics.permutation import LEVEL, SignFlip, holm, sign_flip

__all__ = [
    "ABROAD",
    "LEVEL",
    "OF_NUMBERS",
    "PairDifference",
    "SignFlip",
    "System",
    "arrays",
    "by_target",
    "grouped",
    "holm",
    "keys",
    "over_folds",
    "over_units",
    "pairs",
    "score_of",
    "sign_flip",
    "system_of",
    "unlike",
]
