"""One file per published head. Each defines ``Head``, ``RECIPE`` and ``SETUP`` (see sercache.recipe)."""
