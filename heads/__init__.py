"""One file per published head. Each defines ``Head``, ``RECIPE``, ``SETUP`` and ``SOURCE`` (see sercache.recipe).

``SETUPS``, by corpus, holds the set-ups of a paper that used more than one.
"""
