"""Evaluation: one head, one cache, all folds and seeds of a protocol, as a Report."""

from sercache.evaluation.cross_corpus import evaluate_cross_corpus
from sercache.evaluation.material import Material, gather
from sercache.evaluation.method import Data, Extra, How, Method
from sercache.evaluation.prepare import Prepared, check, prepare
from sercache.evaluation.run import Evaluated, Weights, evaluate
from sercache.evaluation.trainings import Progress

__all__ = [
    "Data",
    "Evaluated",
    "Extra",
    "How",
    "Material",
    "Method",
    "Prepared",
    "Progress",
    "Weights",
    "check",
    "evaluate",
    "evaluate_cross_corpus",
    "gather",
    "prepare",
]
