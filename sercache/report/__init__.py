"""Tables and plots, drawn from a Report, never from memory."""

from sercache.report.comparison import Compared, ComparedRow
from sercache.report.epochs import LiveEpochs, check_tensorboard, remove_live, write_epochs, write_tensorboard
from sercache.report.passes import passes_saved
from sercache.report.render import Cell, Format, Reference, ReportTable, html

__all__ = [
    "Cell",
    "Compared",
    "ComparedRow",
    "Format",
    "LiveEpochs",
    "Reference",
    "ReportTable",
    "check_tensorboard",
    "html",
    "passes_saved",
    "remove_live",
    "write_epochs",
    "write_tensorboard",
]
