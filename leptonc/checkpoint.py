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
from leptonc.ir.policies import NAMED, Policy
from leptonc.promotion import is_weak
from leptonc.public import public
from leptonc.signature import argument_names, as_leaf, leaf_type, parameter_names
from leptonc.trace import Tracer, bind, function_name, trace_to_graph, tracing, weakened_as


def checkpoint_name(x: Any, name: str) -> Any:
    """``x``, a tree of arrays, under a name by which a policy of ``checkpoint`` may save it. Else it is the identity.
    Raises ArgumentError for a name that is no string."""
    _names("checkpoint_name", (name,))
    return tree.map(lambda leaf: bind(NAMED, leaf, label=name) if isinstance(leaf, Tracer) else leaf, x)


class checkpoint_policies:
    """What a checkpointed function saves: everything, nothing but its arguments, the results of products of matrices and of
    convolutions, or of products of matrices that have no batch axes, as those with weights. The short names are those of the
    policies' texts, which ``policy`` takes too. The functions make policies of names that ``checkpoint_name`` gave. There is one
    memory: what JAX moves to the host is saved."""

    everything_saveable = everything = "everything"
    nothing_saveable = nothing = "nothing"
    dots_saveable = checkpoint_dots = dots = "dots"
    dots_with_no_batch_dims_saveable = checkpoint_dots_with_no_batch_dims = "dots_with_no_batch_dims"

    @staticmethod
    def save_only_these_names(*names_which_can_be_saved: str) -> Policy:
        """What has one of these names."""
        return ("only", *_names("save_only_these_names", names_which_can_be_saved))

    @staticmethod
    def save_any_names_but_these(*names_not_to_save: str) -> Policy:
        """What has a name, but for these."""
        return ("names_but", *_names("save_any_names_but_these", names_not_to_save))

    @staticmethod
    def save_anything_except_these_names(*names_not_to_save: str) -> Policy:
        """All but what has one of these names: that is computed again, from what it is made of."""
        return ("all_but", *_names("save_anything_except_these_names", names_not_to_save))

    @staticmethod
    def save_from_both_policies(policy_1: Policy, policy_2: Policy) -> Policy:
        """What one of two policies saves."""
        both = tuple(_policy("save_from_both_policies", what, p) for what, p in (("policy_1", policy_1), ("policy_2", policy_2)))
        return "everything" if "everything" in both else ("either", *both)

    @staticmethod
    def save_and_offload_only_these_names(*, names_which_can_be_saved: Sequence[str], names_which_can_be_offloaded: Sequence[str],
                                          offload_src: str, offload_dst: str) -> Policy:
        """What has one of these names."""
        both = (*names_which_can_be_saved, *names_which_can_be_offloaded)
        return ("only", *_names("save_and_offload_only_these_names", both))

    @staticmethod
    def offload_dot_with_no_batch_dims(offload_src: str, offload_dst: str) -> Policy:
        """Products of matrices that have no batch axes."""
        return "dots_with_no_batch_dims"


POLICIES = ("everything", "nothing", "dots", "dots_with_no_batch_dims")
BY_NAMES = ("only", "names_but", "all_but")


def _names(caller: str, names: Sequence[Any]) -> tuple[str, ...]:
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise ArgumentError(f"{caller}: the name {wrong[0]!r:.60} must be a string")
    return tuple(names)


def _policy(caller: str, what: str, policy: Any) -> Policy:
    """The policy, known to be one. Raises ArgumentError."""
    named = isinstance(policy, tuple) and policy[:1] in [(kind,) for kind in (*BY_NAMES, "either")]
    if not named and policy not in POLICIES:
        raise ArgumentError(f"{caller}: {what}={policy!r:.60} must be one of leptonc.checkpoint_policies: "
                            f"{', '.join(f'{p}_saveable' for p in POLICIES)}, or made by one of its functions, as "
                            "save_only_these_names('attention')")
    found: Policy = policy
    return found


def checkpoint(fun: Callable[..., Any] | None = None, *, prevent_cse: bool = True, policy: Policy | None = None,
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
    policy = _policy("checkpoint", "policy", "nothing" if policy is None else policy)
    name = f"checkpoint of {function_name(fun)}"
    if policy == "everything":
        return fun
    attrs = {"policy": policy, "prevent_cse": bool(prevent_cse), "cotangents": 0}

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
