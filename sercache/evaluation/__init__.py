"""Evaluation: one head, one cache, all folds and seeds of a protocol, as a Report."""

from sercache.evaluation.conditions import under_condition
from sercache.evaluation.counter import Progress
from sercache.evaluation.cross_corpus import evaluate_cross_corpus, normalised, read_scalings
from sercache.evaluation.describe import setup_of, slurm_array, with_scope
from sercache.evaluation.forecast import NOTHING_LEFT, Forecast, Several, within
from sercache.evaluation.kept import (
    cross_corpus_differs,
    differs,
    differs_in_code,
    experiment_differs_in_code,
)
from sercache.evaluation.lexical import transcripts
from sercache.evaluation.material import Material, fold_views, gather
from sercache.evaluation.method import Data, Extra, How, Method
from sercache.evaluation.partial import CLAIMS, keep_trainings, settle, tidy
from sercache.evaluation.parts import as_trained, cross_corpus_task, read_truth
from sercache.evaluation.prepare import Prepared, check, prepare
from sercache.evaluation.published import Difference, differences
from sercache.evaluation.risked import MOST, looking_ahead
from sercache.evaluation.run import Evaluated, Weights, assemble, evaluate, say_reading
from sercache.evaluation.scores import mean_of_clips, merge_clips
from sercache.evaluation.shared import at_work, fill, n_others
from sercache.evaluation.sound import audio_of
from sercache.evaluation.trained_encoders import training_of
from sercache.evaluation.trainings import forecast
from sercache.evaluation.unfinished import Unfinished, undone, unfinished

__all__ = [
    "CLAIMS",
    "MOST",
    "NOTHING_LEFT",
    "Data",
    "Difference",
    "Evaluated",
    "Extra",
    "Forecast",
    "How",
    "Material",
    "Method",
    "Prepared",
    "Progress",
    "Several",
    "Unfinished",
    "Weights",
    "as_trained",
    "assemble",
    "at_work",
    "audio_of",
    "check",
    "cross_corpus_differs",
    "cross_corpus_task",
    "differences",
    "differs",
    "differs_in_code",
    "evaluate",
    "evaluate_cross_corpus",
    "experiment_differs_in_code",
    "fill",
    "fold_views",
    "forecast",
    "gather",
    "keep_trainings",
    "looking_ahead",
    "mean_of_clips",
    "merge_clips",
    "n_others",
    "normalised",
    "prepare",
    "read_scalings",
    "read_truth",
    "say_reading",
    "settle",
    "setup_of",
    "slurm_array",
    "tidy",
    "training_of",
    "transcripts",
    "under_condition",
    "undone",
    "unfinished",
    "with_scope",
    "within",
]
