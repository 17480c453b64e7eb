"""``Module``: a network as a frozen dataclass whose fields are parameters, sub-modules and static values, a tree through and
through.

A module is made by its constructor, which leaves ``Parameter`` specifications where arrays will stand, and ``init(key)`` draws
them all. Running statistics are no fields: a ``StateIndex`` names them, and a ``State`` has their values, which goes into a call
and comes out of it.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar, dataclass_transform

import numpy as np

from leptonc import random, tree
from leptonc.arguments import flag, integer
from leptonc.arguments import shape as shape_of
from leptonc.containers import LEAF, Attributes, Field, register_with_attributes
from leptonc.errors import ArgumentError, MissingNameError, TreeError, describe, near_names
from leptonc.memory import placed
from leptonc.promotion import numpy_dtype
from leptonc.public import hide_own_frames, public, public_methods
from leptonc.tracer import Tracer

M = TypeVar("M", bound="Module")
OWN = "leptonc.nn."  # where modules are whose methods users meet at a border, as they meet functions


@public
def static(*, default: Any = dataclasses.MISSING, default_factory: Any = dataclasses.MISSING, kw_only: bool = False) -> Any:
    """A field that belongs to the structure: hashable, compiled for by its value. Options are those of dataclasses.field."""
    given = {"default": default, "default_factory": default_factory}
    known: Any = {name: value for name, value in given.items() if value is not dataclasses.MISSING}
    if len(known) == 2:
        raise ArgumentError("static: takes default or default_factory, not both")
    return dataclasses.field(metadata={"static": True}, kw_only=flag("static", "kw_only", kw_only), **known)


class Parameter:
    """An array to be: a shape, a dtype and ``initializer(key, shape, dtype)``. ``Module.init`` draws it."""

    def __init__(self, shape: Sequence[int], initializer: Callable[..., Any], dtype: Any = np.float32):
        self.shape = shape_of("Parameter", shape)
        self.dtype = numpy_dtype(dtype, "Parameter")
        if not callable(initializer):
            raise ArgumentError(f"Parameter: initializer={describe(initializer)} must be a function of key, shape and dtype")
        self.initializer = initializer

    def draw(self, key: Any) -> Any:
        return self.initializer(key, self.shape, self.dtype)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise ArgumentError(f"a parameter {describe(self)} has no value yet; fix: model = model.init(leptonc.random.key(0))")

    def __repr__(self) -> str:
        return f"Parameter({describe(self)})"


class StateIndex:
    """What a module remembers from call to call beside its parameters: ``fill`` in every element at first.

    ``name`` is its place in the outermost module, such as ``blocks.0.norm.mean``.
    """

    __slots__ = ("dtype", "fill", "name", "shape")

    def __init__(self, shape: Sequence[int], fill: float = 0.0, dtype: Any = np.float32, name: str = ""):
        self.shape = shape_of("StateIndex", shape)
        self.fill = float(fill)
        self.dtype = numpy_dtype(dtype, "StateIndex")
        self.name = name

    def initial(self) -> np.ndarray:
        return placed(np.full(self.shape, self.fill, self.dtype))

    def at(self, name: str) -> StateIndex:
        return StateIndex(self.shape, self.fill, self.dtype, name)

    def _key(self) -> tuple[Any, ...]:
        return self.name, self.shape, self.fill, self.dtype

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StateIndex) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"StateIndex({self.name or describe(self)})"


class State:
    """The running statistics of a module, by name; a tree. Immutable: ``set`` returns another."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, Any]):
        self._values = dict(values)

    def get(self, index: StateIndex) -> Any:
        """The value of an index. Raises MissingNameError if it is not of this state's module."""
        if not isinstance(index, StateIndex) or index.name not in self._values:
            name = getattr(index, "name", index)
            raise MissingNameError(
                f"state: there is no {name!r}, but {', '.join(self._values) or 'nothing'}; "
                "fix: state = model.state() of the module that is called"
            )
        return self._values[index.name]

    def set(self, index: StateIndex, value: Any) -> State:
        """This state with another value of an index."""
        self.get(index)
        return State({**self._values, index.name: value})

    def named(self) -> dict[str, Any]:
        return dict(self._values)

    def __repr__(self) -> str:
        return f"State({', '.join(f'{name}={_shown(value)}' for name, value in self._values.items())})"


tree.register(
    State,
    lambda state: (state._values.values(), tuple(state._values)),
    lambda names, values: State(dict(zip(names, values))),
    lambda names: [f".{name}" for name in names],
)


class _Layout:
    """The structure of a module without its children. Decided when it is made, and kept by all that is mapped from it."""

    __slots__ = ("_hash", "alone", "fields", "names")

    def __init__(self, fields: tuple[Field, ...]):
        self.fields = fields
        self._hash: int | None = None
        # of the fields that are one child each, if there are no others: most modules are so, and are taken apart at each call
        self.alone = ([field.name for field in fields if field.leaves[0] is None]
                      if all(field.structure.is_leaf for field in fields) else None)
        self.names = [
            path for field in fields for path, leaf in zip(field.structure.paths(f".{field.name}"), field.leaves) if leaf is None
        ]

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, _Layout) and self.fields == other.fields)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self.fields)
        return self._hash

    def __repr__(self) -> str:
        static = [(field.name, leaf[1]) for field in self.fields for leaf in field.leaves if leaf is not None]
        return ", ".join(f"{name}={_shown(value)}" for name, value in static)


def _is_module(x: Any) -> bool:
    return isinstance(x, Module)


def _is_static(x: Any) -> bool:
    """Whether a value belongs to the structure without being told: a number that counts, a word, a function, a dtype."""
    if isinstance(x, Module | Parameter | Tracer | np.ndarray | np.generic):
        return isinstance(x, np.bool_)
    return isinstance(x, str | bytes | int | np.dtype | StateIndex) or callable(x)


def _layout(module: Module) -> _Layout:
    return _Layout(tuple(_field_layout(module, field) for field in dataclasses.fields(module)))


def _field_layout(module: Module, field: Any) -> Field:
    value = getattr(module, field.name)
    if field.metadata.get("static"):
        return Field(field.name, LEAF, (_hashable(module, field.name, value),))
    leaves, structure = tree.flatten(value, _is_module)
    return Field(field.name, structure, tuple(_hashable(module, field.name, x) if _is_static(x) else None for x in leaves))


def _hashable(module: Module, name: str, value: Any) -> tuple[type, Hashable]:
    try:
        hash(value)
    except TypeError:
        raise TreeError(
            f"{type(module).__name__}: its static field {name} holds {describe(value)}, which has no hash; fix: a tuple "
            "for a list, no static() for arrays"
        ) from None
    return type(value), value


def _flatten(module: Module) -> tuple[list[Any], _Layout]:
    layout = module._layout
    if layout.alone is not None:
        return [getattr(module, name) for name in layout.alone], layout
    children: list[Any] = []
    for name, structure, leaves in layout.fields:
        if structure.is_leaf:
            children += [getattr(module, name)] * (leaves[0] is None)
        else:
            found = tree.flatten_up_to(structure, getattr(module, name))
            children += [x for x, leaf in zip(found, leaves) if leaf is None]
    return children, layout


def _unflattener(cls: type[M]) -> Callable[[_Layout, tuple[Any, ...]], M]:
    def unflatten(layout: _Layout, children: tuple[Any, ...]) -> M:
        module, rest = object.__new__(cls), iter(children)
        for name, structure, leaves in layout.fields:
            whole = [next(rest) if leaf is None else leaf[1] for leaf in leaves]
            object.__setattr__(module, name, whole[0] if structure.is_leaf else tree.unflatten(structure, whole))
        object.__setattr__(module, "_layout", layout)
        return module

    return unflatten


ATTRIBUTES = Attributes("_layout", lambda layout: layout.fields)


@dataclass_transform(kw_only_default=False, eq_default=False, field_specifiers=(static, dataclasses.field))
class _ModuleClass(type):
    """Makes each subclass of Module a dataclass and a container, and each instance immutable once it is made."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:
        cls: Any = super().__new__(mcs, name, bases, namespace)
        cls._writes_init = "__init__" in namespace or any(getattr(base, "_writes_init", False) for base in bases)
        if cls.__module__.startswith(OWN):
            public_methods(cls)
        dataclasses.dataclass(eq=False, repr=False, init=not cls._writes_init)(cls)
        register_with_attributes(cls, _flatten, _unflattener(cls), lambda layout: layout.names, ATTRIBUTES)
        return cls

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        try:  # as ``public`` does
            return _made(cls, args, kwargs)
        except Exception as error:
            hide_own_frames(error)
            raise


def _made(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    _check_call(cls, args, kwargs)
    module = type.__call__(cls, *args, **kwargs)
    missing = [field.name for field in dataclasses.fields(module) if not hasattr(module, field.name)]
    if missing:
        raise ArgumentError(f"{cls.__name__}: its __init__ did not set {', '.join(missing)}; fix: self.{missing[0]} = ...")
    for name, value in _with_names(module, "").items():
        object.__setattr__(module, name, value)
    object.__setattr__(module, "_layout", _layout(module))
    return module


def _check_call(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    signature = _signature(cls)
    try:
        signature.bind(None, *args, **kwargs)
    except TypeError as error:
        known = list(signature.parameters)[1:]
        unknown = [key for key in kwargs if key not in known]
        hint = (near_names(unknown[0], known) if unknown else "") or f"it takes ({', '.join(known)})"
        raise ArgumentError(f"{cls.__name__}: {error}; {hint}") from None


def _signature(cls: Any) -> inspect.Signature:
    """Of its constructor; kept, as finding it takes longer than all else about making a module."""
    known = cls.__dict__.get("_signature_of")
    if known is None or known[0] is not cls.__init__:
        known = cls._signature_of = cls.__init__, inspect.signature(cls.__init__)
    found: inspect.Signature = known[1]
    return found


def _with_names(module: Module, place: str) -> dict[str, Any]:
    """The fields of a module in which state is named by its place."""
    return {
        field.name: _placed(getattr(module, field.name), f"{place}{field.name}")
        for field in dataclasses.fields(module)
        if not field.metadata.get("static") or isinstance(getattr(module, field.name), StateIndex)
    }


def _placed(value: Any, place: str) -> Any:
    if isinstance(value, StateIndex):
        return value.at(place)
    if isinstance(value, Module):
        return value.replace_unnamed(_with_names(value, f"{place}.")) if value.is_stateful else value
    leaves, structure = tree.flatten(value, _is_module)
    if not any(isinstance(leaf, Module | StateIndex) for leaf in leaves) or structure.is_leaf:
        return value
    return tree.unflatten(structure, [_placed(leaf, dotted(path)) for leaf, path in zip(leaves, structure.paths(place))])


def dotted(path: str) -> str:
    """``encoder[0].kernel`` or ``params['w']`` as ``encoder.0.kernel`` and ``params.w``."""
    return path.replace("['", ".").replace("']", "").replace("[", ".").replace("]", "").lstrip(".")


class Module(metaclass=_ModuleClass):
    """Base of networks: annotate fields, and say in ``__call__`` what it computes.

        class MLP(nn.Module):
            hidden: nn.Linear
            out: nn.Linear
            activation: Callable = nn.relu

            def __call__(self, x):
                return self.out(self.activation(self.hidden(x)))

        model = MLP(nn.Linear(784, 256), nn.Linear(256, 10)).init(leptonc.random.key(0))

    A subclass is a frozen dataclass; its ``__init__`` may be written by hand. Fields are arrays, modules, containers of them
    (lists, tuples, dicts) and static values: what ``static()`` says, and strings, ints, bools, functions and dtypes without
    being told. Everything else is a tree's leaf: ``jit``, ``grad``, ``leptonc.tree.map``, optimizers, ``donate_argnums`` and
    ``freeze`` take modules as they take dicts of arrays. What a value is, is decided when the module is made. A float is a
    leaf, and so differentiated: declare constants ``static()``.
    """

    _layout: ClassVar[Any]  # set when the module is made; from then on it is immutable

    def __setattr__(self, name: str, value: Any) -> None:
        if "_layout" in self.__dict__:
            raise ArgumentError(
                f"{type(self).__name__}: modules are immutable, so {name} cannot be set; fix: model = model.replace({name}=...)"
            )
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise ArgumentError(f"{type(self).__name__}: modules are immutable, so {name} cannot be deleted")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_layout"}

    def __setstate__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)
        object.__setattr__(self, "_layout", _layout(self))

    def __repr__(self) -> str:
        fields = (f"{field.name}={_shown(getattr(self, field.name))}" for field in dataclasses.fields(self))
        return f"{type(self).__name__}({', '.join(fields)})"

    def init(self: M, key: Any) -> M:
        """This module with every ``Parameter`` drawn: ``key`` is of ``leptonc.random.key``, or an int seed. Arrays stay."""
        leaves, structure = tree.flatten(self)
        places = [n for n, leaf in enumerate(leaves) if isinstance(leaf, Parameter)]
        keys = random.split(as_key("init", key), len(places))
        for place, single in zip(places, keys):
            leaves[place] = leaves[place].draw(single)
        made: M = tree.unflatten(structure, leaves)
        return made

    def state(self) -> State:
        """The running statistics that the module starts with, a State; empty where it has none."""
        return State({index.name: index.initial() for index in state_indices(self)})

    @property
    def is_stateful(self) -> bool:
        """Whether a call takes a State and returns another beside its result."""
        return any(True for _ in state_indices(self))

    def replace(self: M, **fields: Any) -> M:
        """This module with other values of some fields. Raises ArgumentError for names that are no fields."""
        module = self.replace_unnamed(fields)
        return module.replace_unnamed(_with_names(module, ""))

    def replace_unnamed(self: M, fields: dict[str, Any]) -> M:
        """As ``replace``; state keeps its names."""
        known = [field.name for field in dataclasses.fields(self)]
        for name in fields:
            if name not in known:
                hint = near_names(name, known) or f"there are {', '.join(known)}"
                raise ArgumentError(f"{type(self).__name__}.replace: there is no field {name}; {hint}")
        module: M = object.__new__(type(self))
        for name in known:
            object.__setattr__(module, name, fields.get(name, getattr(self, name)))
        object.__setattr__(module, "_layout", _layout(module))
        return module

    def named_parameters(self) -> dict[str, Any]:
        """The leaves by flat names, such as ``encoder.0.kernel``, in the tree's order."""
        return {dotted(path): leaf for path, leaf in tree.flatten_with_names(self)[0]}


def as_key(name: str, key: Any) -> Any:
    """A random key, of an int seed where one is given."""
    return key if isinstance(key, Tracer | np.ndarray) and key.shape else random.key(integer(name, "key", key))


def state_indices(module: Any) -> Iterator[StateIndex]:
    """What a tree's modules remember, in its order."""
    for leaf in tree.leaves(module, _is_module):
        if isinstance(leaf, Module):
            for field in dataclasses.fields(leaf):
                value = getattr(leaf, field.name)
                if isinstance(value, StateIndex):
                    yield value
                elif not field.metadata.get("static"):
                    yield from state_indices(value)
        elif isinstance(leaf, StateIndex):
            yield leaf


@public
def inference_mode(model: Any, value: bool = True) -> Any:
    """A module, or a tree of them, with every field ``inference`` (of BatchNorm, Dropout ...) set;
    ``equinox.nn.inference_mode``."""
    return _with_inference(model, flag("inference_mode", "value", value))


def _with_inference(whole: Any, value: bool) -> Any:
    if not isinstance(whole, Module):
        leaves, structure = tree.flatten(whole, _is_module)
        return tree.unflatten(structure, [_with_inference(x, value) if _is_module(x) else x for x in leaves])
    fields = {}
    for field in dataclasses.fields(whole):
        now = getattr(whole, field.name)
        if field.name == "inference":
            fields[field.name] = value
        elif not field.metadata.get("static"):
            fields[field.name] = _with_inference(now, value)
    return whole.replace_unnamed(fields)


@public
def partition(whole: Any, wanted: Callable[[Any], Any] | Any) -> tuple[Any, Any]:
    """Two trees like ``whole``: of the leaves of which ``wanted(leaf)`` holds (or a tree of bools does), and of the others;
    None where the other has one. As ``equinox.partition``: differentiate the first, close over the second."""
    leaves, structure = tree.flatten(whole)
    is_function = callable(wanted) and not isinstance(wanted, Module | type)
    found = [wanted(leaf) for leaf in leaves] if is_function else tree.flatten_up_to(structure, wanted)
    chosen = [flag("partition", "wanted", take) for take in found]
    return (
        tree.unflatten(structure, [x if take else None for x, take in zip(leaves, chosen)]),
        tree.unflatten(structure, [None if take else x for x, take in zip(leaves, chosen)]),
    )


@public
def combine(*trees: Any) -> Any:
    """The tree of what is not None in trees of one structure, the first such leaf at each place; ``equinox.combine``."""
    if not trees:
        raise ArgumentError("combine: wants at least one tree")
    return tree.map(lambda *found: next((x for x in found if x is not None), None), *trees, is_leaf=lambda x: x is None)


def _shown(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return describe(value)
    if isinstance(value, tuple) and type(value) is tuple:
        return f"({', '.join(map(_shown, value))}{',' * (len(value) == 1)})"
    if type(value) is list:
        return f"[{', '.join(map(_shown, value))}]"
    if type(value) is dict:
        return "{" + ", ".join(f"{name!r}: {_shown(item)}" for name, item in value.items()) + "}"
    return getattr(value, "__name__", None) or repr(value)
