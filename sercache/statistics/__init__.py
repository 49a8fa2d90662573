"""What predictions tell, and how far that may be trusted: intervals over speakers, tests of pairs, probabilities.

Of records alone: no features, no training, nothing of torch.
"""

from sercache.statistics.intervals import (
    OF_NUMBERS,
    arrays,
    by_target,
    grouped,
    keys,
    of_differences,
    over_folds,
    over_units,
    over_units_by,
)
from sercache.statistics.listeners import AgainstOthers, against_others
from sercache.statistics.paired import (
    ABROAD,
    PairDifference,
    System,
    measure_of,
    pairs,
    score_of,
    system_of,
    unlike,
)
from sercache.statistics.permutation import LEVEL, SignFlip, holm, sign_flip
from sercache.statistics.probabilities import (
    COVERAGES,
    N_BINS,
    Said,
    aurc,
    bins,
    brier,
    ece,
    is_at_end,
    log_loss,
    said,
    surest,
    temperature,
)

__all__ = [
    "ABROAD",
    "COVERAGES",
    "LEVEL",
    "N_BINS",
    "OF_NUMBERS",
    "AgainstOthers",
    "PairDifference",
    "Said",
    "SignFlip",
    "System",
    "against_others",
    "arrays",
    "aurc",
    "bins",
    "brier",
    "by_target",
    "ece",
    "grouped",
    "holm",
    "is_at_end",
    "keys",
    "log_loss",
    "measure_of",
    "of_differences",
    "over_folds",
    "over_units",
    "over_units_by",
    "pairs",
    "said",
    "score_of",
    "sign_flip",
    "surest",
    "system_of",
    "temperature",
    "unlike",
]
