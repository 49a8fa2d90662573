"""Records of what was asked and what came out: an Experiment names trainings, a Report holds a result."""

from sercache.record._experiment import TRAINING, Experiment, Features, Initial, Job, Labelled, digest_of
from sercache.record._parts import (
    CrossCorpus,
    FoldRecord,
    Prediction,
    Recording,
    Run,
    SharedAudio,
    StartRecord,
    TrainedEncoder,
)
from sercache.record._report import READABLE, SCHEMA, Report
from sercache.record._scores import (
    AGGREGATES,
    HEADLINE,
    METRICS,
    NAMES,
    NUMBER_METRICS,
    Aggregate,
    Interval,
    Score,
    Summary,
    counted,
    score,
)
from sercache.record._target import Answer, Classes, Numbers, Target

__all__ = [
    "AGGREGATES",
    "HEADLINE",
    "METRICS",
    "NAMES",
    "NUMBER_METRICS",
    "READABLE",
    "SCHEMA",
    "TRAINING",
    "Aggregate",
    "Answer",
    "Classes",
    "CrossCorpus",
    "Experiment",
    "Features",
    "FoldRecord",
    "Initial",
    "Interval",
    "Job",
    "Labelled",
    "Numbers",
    "Prediction",
    "Recording",
    "Report",
    "Run",
    "Score",
    "SharedAudio",
    "StartRecord",
    "Summary",
    "Target",
    "TrainedEncoder",
    "counted",
    "digest_of",
    "score",
]
