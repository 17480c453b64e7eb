"""leptonc: a static computation-graph compiler with a JIT that trains neural networks on CPUs."""

from leptonc import config, ir, lax, nn, numpy, ops, optim, random, segments, tree
from leptonc.checkpoint import checkpoint, checkpoint_name, checkpoint_policies, remat
from leptonc.closures import closure_convert, custom_gradient
from leptonc.config import num_threads, set_num_threads
from leptonc.custom import custom_jvp, custom_vjp
from leptonc.errors import (
    ArgumentError,
    CompileError,
    DonationError,
    DtypeError,
    IRError,
    LeptonError,
    MissingNameError,
    RangeError,
    ShapeError,
    TracerError,
    TreeError,
    UnboundAxisError,
)
from leptonc.forward import jvp, linear_transpose, linearize
from leptonc.freeze import Frozen, freeze
from leptonc.host import block_until_ready, device_get, device_put, io_callback, pure_callback
from leptonc.jacobians import hessian, jacfwd, jacobian, jacrev
from leptonc.jit import explain_recompiles, jit
from leptonc.notices import LeptonWarning
from leptonc.public import publish as _publish
from leptonc.public import submodules as _submodules
from leptonc.scopes import named_call, named_scope
from leptonc.transforms import (
    Array,
    ShapeDtypeStruct,
    disable_jit,
    eval_shape,
    grad,
    make_graph,
    value_and_grad,
    vjp,
)
from leptonc.updates import IndexedUpdate as _IndexedUpdate  # noqa: F401  it makes x.at
from leptonc.vmap import vmap

for _name in segments.__all__:  # beside the ops themselves, for that is where JAX has them
    setattr(ops, _name, getattr(segments, _name))

__version__ = "0.1.0"

__all__ = [
    "jit", "freeze", "Frozen", "grad", "value_and_grad", "vjp", "jvp", "linearize", "linear_transpose", "jacfwd", "jacrev",
    "jacobian", "hessian", "vmap", "custom_vjp", "custom_jvp", "custom_gradient", "closure_convert", "checkpoint", "remat",
    "checkpoint_name", "checkpoint_policies", "named_scope", "named_call", "make_graph", "eval_shape", "ShapeDtypeStruct",
    "disable_jit", "Array", "explain_recompiles", "num_threads", "set_num_threads", "block_until_ready", "device_get",
    "device_put", "io_callback", "pure_callback",
    "config", "ir", "lax", "nn", "numpy", "ops", "optim", "random", "segments", "tree",
    "LeptonError", "ArgumentError", "ShapeError", "RangeError", "MissingNameError", "DtypeError",
    "TracerError", "IRError", "TreeError", "DonationError", "CompileError", "UnboundAxisError", "LeptonWarning",
]

_publish(globals(), __all__, later=_submodules(
    __name__, "callbacks", "data", "debug", "flatten_util", "keras", "onnx", "plot", "profile", "scipy", "tree_util"))
