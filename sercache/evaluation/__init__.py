"""Evaluation: one head, one cache, all folds and seeds of a protocol, as a Report."""

from sercache.evaluation.elsewhere import evaluate_elsewhere
from sercache.evaluation.material import Material, gather
from sercache.evaluation.method import Data, Extra, How, Method
from sercache.evaluation.run import Evaluated, Prepared, Weights, check, evaluate, prepare
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
    "evaluate_elsewhere",
    "gather",
    "prepare",
]
