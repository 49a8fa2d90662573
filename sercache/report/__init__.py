"""Tables and plots, drawn from a Report, never from memory."""

from sercache.report.beside import own_scores, reported_table
from sercache.report.comparison import Compared, ComparedRow
from sercache.report.conditions import UnderCondition, conditions_figure, conditions_table
from sercache.report.epochs import LiveEpochs, remove_live, write_epochs
from sercache.report.extras import PageExtras, VectorPlaces
from sercache.report.passes import passes_saved
from sercache.report.render import Cell, Format, Reference, ReportTable, html
from sercache.report.utterances import UtteranceRow, listed_rows, utterance_rows

__all__ = [
    "Cell",
    "Compared",
    "ComparedRow",
    "Format",
    "LiveEpochs",
    "PageExtras",
    "Reference",
    "ReportTable",
    "UnderCondition",
    "UtteranceRow",
    "VectorPlaces",
    "conditions_figure",
    "conditions_table",
    "html",
    "listed_rows",
    "own_scores",
    "passes_saved",
    "remove_live",
    "reported_table",
    "utterance_rows",
    "write_epochs",
]
