"""One file per published head. Each defines ``Head``, ``RECIPE``, ``SETUP`` and ``SOURCE`` (see sercache.recipe).

``SETUPS``, by corpus, holds the set-ups of a paper that used more than one. ``OPEN`` names the fields that the paper
does not fix, ``UPDATES`` about how many updates a training of the paper makes; ``BASELINE`` says that there is no
paper. ``VERSION`` is raised with a change that moves the numbers of this head alone (see sercache.record).
"""

if __name__ != "sercache.heads":  # a class of the same head under a second name would be another class
    raise ImportError(
        f"the heads are imported as sercache.heads, got {__name__}; write: import sercache.heads"
    )
