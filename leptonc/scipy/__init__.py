"""JAX's ``scipy``: special functions, distributions and factorizations."""

from leptonc.public import publish, submodules

__all__: list[str] = []

publish(globals(), __all__, later=submodules(__name__, "linalg", "special", "stats"))
