"""sercache: run a frozen speech encoder once, train any number of emotion heads from the cache.

Importing this package has no effects and loads neither torch nor transformers.
"""

__version__ = "0.1.0"
