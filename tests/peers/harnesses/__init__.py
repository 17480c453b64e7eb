"""JAX's op harnesses, run in leptonc: what JAX traces of each is run again, primitive by primitive, by ``leptonc.lax``."""
