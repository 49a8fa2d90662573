"""What papers did, made whole from the files of heads and papers, and which of it a run did in another way."""

from sercache.published.head import (
    first_seeds,
    head_defaults,
    head_options,
    published_of,
    published_setup,
    seeds_asked,
)
from sercache.published.trial import TrialPlan, plan

__all__ = [
    "TrialPlan",
    "first_seeds",
    "head_defaults",
    "head_options",
    "plan",
    "published_of",
    "published_setup",
    "seeds_asked",
]
