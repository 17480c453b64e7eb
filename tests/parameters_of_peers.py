"""Parameters of JAX's and optax's functions that leptonc's do not have, or mean otherwise, each with the reason."""

from __future__ import annotations

NOT_THERE = {
    "out_sharding": "there are no shardings", "sharding": "there are no shardings",
}
"""Of any function."""

_UFUNCS = ("add bitwise_and bitwise_or bitwise_xor logaddexp logaddexp2 logical_and logical_or logical_xor maximum minimum "
           "multiply negative subtract")
MISSING = {
    **{f"numpy.{name}: {what}": "JAX takes None alone" for name in _UFUNCS.split() for what in ("out", "where")},
    "numpy.einsum: out": "JAX takes None alone",
    **{f"numpy.ufunc: {name}": "a fold is made of the function" for name in ("call", "reduce", "accumulate", "at", "reduceat")},
    "lax.all_gather: to": "it is about several devices",
    "nn.dot_product_attention: return_residual": "the logarithms of sums are not kept",
    "random.key: dtype": "keys are u32[2]", "random.wrap_key_data: dtype": "keys are u32[2]",
    "ShapeDtypeStruct: weak_type": "what it stands for is an array", "ShapeDtypeStruct: manual_axis_type": "there are no shardings",
    "ShapeDtypeStruct: is_ref": "there are no references",
    **{f"{name}: reduce_axes": "JAX takes () alone" for name in ("grad", "value_and_grad", "vjp", "linear_transpose")},
    "vmap: sum_match": "it is about several devices",
}
OTHERWISE = {
    "numpy.astype: copy": "NumPy's and the array API's default",
    "numpy.fromfunction: dtype": "the default float dtype, which a user may choose",
    "checkpoint: concrete": "False, as JAX takes it", "remat: concrete": "False, as JAX takes it",
    "optim.scale_by_factored_rms: decay_rate_fn": "None stands for optax's function",
    "numpy.fill_diagonal: inplace": "JAX's default is an error", "numpy.put_along_axis: inplace": "JAX's default is an error",
    "optim.adadelta: learning_rate": "without one optax's updates point up the gradient",
    "optim.adafactor: dtype_momentum": "f32, or a wider dtype of the parameters",
    "optim.MultiSteps: accumulator_dtype": "f32, or a wider dtype of the parameters",
}
