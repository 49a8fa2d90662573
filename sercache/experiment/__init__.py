"""The application: extract, train, test on other corpora, sweep, probe; finding stores, resuming.

A module is a verb: ``run`` does it, ``<Verb>Options`` say how. They are imported one by one: each loads what it needs.
"""

from sercache.experiment.options import Count, filled

__all__ = ["Count", "filled"]
