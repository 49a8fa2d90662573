"""What papers did, made whole from the files of heads and papers, and which of it a run did in another way."""

from sercache.published.head import (
    LOOK_EPOCHS,
    described_options,
    first_seeds,
    glanced,
    head_defaults,
    head_options,
    of_variant,
    published_of,
    published_setup,
    seeds_asked,
)
from sercache.published.text_and_code import text_and_code
from sercache.published.trial import TrialPlan, plan

__all__ = [
    "LOOK_EPOCHS",
    "TrialPlan",
    "described_options",
    "first_seeds",
    "glanced",
    "head_defaults",
    "head_options",
    "of_variant",
    "plan",
    "published_of",
    "published_setup",
    "seeds_asked",
    "text_and_code",
]
