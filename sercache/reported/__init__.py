"""Numbers that others report, with where they stand and how they were found, to be shown beside a run.

They are never rows of a table of ours: protocols differ in folds, classes, heads and what selects, and a table says by
its form that its rows can be compared. One file for each source; ``tables_of`` gives what all of them say of a corpus.
"""

from sercache.reported._record import ReportedTable
from sercache.reported.emobox import TABLES as EMOBOX
from sercache.reported.sources import corpora, tables_of

__all__ = ["EMOBOX", "ReportedTable", "corpora", "tables_of"]
