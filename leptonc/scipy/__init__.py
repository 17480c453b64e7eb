"""JAX's ``scipy``: special functions, distributions, factorizations, and arrays read between their elements."""

from leptonc.public import publish, submodules

__all__: list[str] = []

publish(globals(), __all__, later=submodules(__name__, "linalg", "ndimage", "special", "stats"))
