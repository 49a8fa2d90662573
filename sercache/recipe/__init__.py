"""How a head is trained (Recipe) and what it was published with (Setup)."""

from sercache.recipe._recipe import Recipe, override, read_value
from sercache.recipe._setup import Published, Setup, inputs

__all__ = ["Published", "Recipe", "Setup", "inputs", "override", "read_value"]
