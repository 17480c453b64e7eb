"""``checkpoint``: a function whose intermediates reverse mode computes anew instead of keeping them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from leptonc import tree
from leptonc.arguments import flag, function, integers, items
from leptonc.calls import closed_over, region
from leptonc.errors import ArgumentError
from leptonc.promotion import is_weak
from leptonc.public import public
from leptonc.signature import argument_names, as_leaf, leaf_type, parameter_names
from leptonc.trace import Tracer, bind, function_name, trace_to_graph, tracing, weakened_as


class checkpoint_policies:
    """What a checkpointed function saves: everything, nothing but its arguments, the results of products of matrices and of
    convolutions, or of products of matrices that have no batch axes, as those with weights. The short names are those of the
    policies' texts, which ``policy`` takes too."""

    everything_saveable = everything = "everything"
    nothing_saveable = nothing = "nothing"
    dots_saveable = checkpoint_dots = dots = "dots"
    dots_with_no_batch_dims_saveable = checkpoint_dots_with_no_batch_dims = "dots_with_no_batch_dims"


POLICIES = ("everything", "nothing", "dots", "dots_with_no_batch_dims")


def checkpoint(fun: Callable[..., Any] | None = None, *, prevent_cse: bool = True, policy: str | None = None,
               static_argnums: int | Sequence[int] = (), static_argnames: str | Sequence[str] = (),
               concrete: bool = False) -> Callable[..., Any]:
    """``fun``, of which reverse mode keeps no more than ``policy`` says (one of ``checkpoint_policies``; None: its arguments alone)
    and computes the rest again when the gradient comes back. Also called ``remat``; ``@checkpoint(policy=...)`` decorates.

    ``prevent_cse=False`` lets the compiler find the two computations equal, and keep the first. ``static_argnums``, positions, and
    ``static_argnames`` are passed as they are, untraced. Results are those of ``fun``. ``concrete`` is False, as in JAX.
    """
    if flag("checkpoint", "concrete", concrete):
        raise ArgumentError("checkpoint: concrete=True is not supported; fix: static_argnums")
    if fun is None:
        return functools.partial(checkpoint, prevent_cse=prevent_cse, policy=policy, static_argnums=static_argnums,
                                 static_argnames=static_argnames)
    function("checkpoint", "fun", fun)
    flag("checkpoint", "prevent_cse", prevent_cse)
    static = integers("checkpoint", "static_argnums", static_argnums)
    by_name = frozenset(items(static_argnames))
    names = parameter_names(fun)
    if unknown := sorted(str(key) for key in by_name if key not in inspect.signature(fun).parameters):
        raise ArgumentError(f"checkpoint of {function_name(fun)}: static_argnames={unknown}, but it takes {', '.join(names)}")
    if policy is not None and policy not in POLICIES:
        raise ArgumentError(f"checkpoint: policy={policy!r:.60} must be one of leptonc.checkpoint_policies: "
                            f"{', '.join(f'{p}_saveable' for p in POLICIES)}")
    name = f"checkpoint of {function_name(fun)}"
    if policy == "everything":
        return fun
    attrs = {"policy": policy or "nothing", "prevent_cse": bool(prevent_cse), "cotangents": 0}

    @public
    @functools.wraps(fun)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if not tracing():
            return fun(*args, **kwargs)
        named = {key: kwargs.pop(key) for key in by_name & kwargs.keys()}
        places = {n for n, key in enumerate(names[:len(args)]) if key in by_name} if by_name else set()
        with_names = functools.wraps(fun)(functools.partial(fun, **named)) if named else fun
        return _emit(with_names, name, (*static, *places), args, kwargs, attrs)

    return checkpointed


remat = checkpoint


def _emit(fun: Callable[..., Any], name: str, static: Sequence[int], args: tuple[Any, ...], kwargs: dict[str, Any],
          attrs: dict[str, Any]) -> Any:
    """The call as a node."""
    for n in static:
        if not -len(args) <= n < len(args):
            raise ArgumentError(f"{name}: static_argnums={tuple(static)}, but it is called with {len(args)} positional arguments")
    fixed = {n % len(args): args[n % len(args)] for n in static}
    given = tuple(None if n in fixed else x for n, x in enumerate(args))
    leaves, treedef = tree.flatten((given, kwargs))
    paths = argument_names(fun, treedef)
    leaves = [x if isinstance(x, Tracer) or is_weak(x) else as_leaf(x, path, name) for x, path in zip(leaves, paths)]
    types = [leaf_type(x, path, name) for x, path in zip(leaves, paths)]

    @functools.wraps(fun)
    def on_leaves(*tracers: Tracer) -> Any:
        whole, named = tree.unflatten(treedef, tracers)
        return fun(*(fixed.get(n, x) for n, x in enumerate(whole)), **named)

    closed = trace_to_graph(on_leaves, types, function_name(fun), paths, [is_weak(x) for x in leaves])
    captured = closed_over(closed)
    if not any(isinstance(x, Tracer) for x in (*leaves, *captured)):
        return fun(*args, **kwargs)
    out = bind("checkpoint_call", *leaves, *captured, regions=(region(closed, captured, len(leaves)),), **attrs)
    return tree.unflatten(closed.out_tree, weakened_as(out, closed.out_weak))
