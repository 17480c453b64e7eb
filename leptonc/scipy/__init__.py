"""JAX's ``scipy``: special functions and distributions."""

from leptonc.public import publish, submodules

__all__: list[str] = []

publish(globals(), __all__, later=submodules(__name__, "special", "stats"))
