"""Calls of every public function with arguments drawn from a pool: ``python -m tests.random_calls --count N --seed S``.

Whatever is raised that is no LeptonError (or MemoryError) is printed with the call that led to it; so is an error that names no
line, and what is accepted traced and not op by op, or the other way round. The exit code is 1 if there were any.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import warnings
from collections import Counter
from types import FunctionType
from typing import Any

import numpy as np
import numpy.ma

import leptonc
from leptonc import debug, lax, nn, optim, random, scipy, tree, tree_util
from leptonc import numpy as lnp
from leptonc.errors import LeptonError, RangeError, TracerError

F = np.float32
Types = list[tuple[tuple[int, ...], str]]
POOL: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    2,
    -1,
    3,
    7,
    2**70,
    1.5,
    -0.5,
    float("nan"),
    float("inf"),
    1j,
    "text",
    "",
    "f4",
    "i32",
    "float16",
    "SAME",
    "VALID",
    "ij,jk->ik",
    b"b",
    (),
    (0,),
    (1,),
    (0, 1),
    (1, 0),
    (0, 0),
    (2, 3),
    (-1, 2),
    (1.5,),
    ("a",),
    (None,),
    [1, 2],
    [1, [2]],
    {},
    {"a": 1},
    {1: 1, "a": 2},
    set(),
    object(),
    lambda *a: a[0],
    slice(1),
    range(3),
    np.float32,
    np.int16,
    object,
    np.ones((2, 3), F),
    np.ones((3, 2)),
    np.ones(3, F),
    np.zeros(0),
    np.ones((2, 0)),
    np.array(1),
    np.array(2.5),
    np.arange(3),
    np.array([True, False]),
    np.ones((2, 6, 6, 4), F),
    np.ones((3, 3, 4, 8), F),
    np.ones((2, 3), "c8"),
    np.array(["a"]),
    np.array([None]),
    np.ones(2, ">f4"),
    np.ones((1, 2, 3, 4, 5)),
    np.array([1, 5], np.uint8),
    np.ma.array([1.0, 2.0], mask=[True, False]),
    np.datetime64("2020-01-01"),
    random.key(0),
    leptonc.ShapeDtypeStruct((2,), "f4"),
    ((0, 0), (1, 1)),
    ((0, 0, 0), (1, 1, 0)),
    (((1,), (0,)), ((), ())),
    ("NHWC", "HWIO", "NHWC"),
    optim.sgd(0.1),
]
POOL_FUNCTION = next(f for f in POOL if isinstance(f, FunctionType)).__code__.co_firstlineno
MODES = ("traced", "eager", "plain")
SKIPPED = {"disable_jit", "set_num_threads", "explain_recompiles", "set_printoptions"}  # they change the process
FUNCTIONS = {"f", "func", "function", "callback", "default", "inner_factory"}  # parameters that may be called
WRITING = {"leptonc.numpy.save", "leptonc.numpy.savez"}  # files, by any name
MODULES = (leptonc, lnp, lnp.fft, lnp.linalg, lax, lax.linalg, nn, nn.initializers, optim, random, tree, tree_util, debug,
           scipy.special, scipy.stats)
READING = (lnp.load, lnp.fromfile, nn.load)


def functions() -> dict[str, FunctionType]:
    found = {}
    for module in MODULES:
        for name in module.__all__:
            value = getattr(module, name)
            lasting = name in SKIPPED or name.startswith("register") or f"{module.__name__}.{name}" in WRITING
            if isinstance(value, FunctionType) and not lasting:
                found[f"{module.__name__}.{name}"] = value
    for name in METHODS:
        found[f"x.{name}"] = method(name)
    return found


def method(name: str) -> FunctionType:
    def call(x: Any, *args: Any) -> Any:
        return getattr(lnp.asarray(x), name)(*args)

    return call


METHODS = (
    "sum",
    "mean",
    "max",
    "argmax",
    "reshape",
    "transpose",
    "astype",
    "repeat",
    "take",
    "clip",
    "round",
    "squeeze",
    "swapaxes",
    "dot",
    "cumsum",
    "__getitem__",
    "__add__",
    "__mul__",
    "__matmul__",
    "__pow__",
    "__lt__",
    "__eq__",
    "__rsub__",
    "__and__",
    "__floordiv__",
)


def random_arguments(rng: np.random.Generator, function: FunctionType) -> tuple[list[Any], dict[str, Any]]:
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
    required = [p for p in parameters if p.default is p.empty]
    optional = [p for p in parameters if p.default is not p.empty]

    def draw(name: str) -> Any:
        """A function that is given is a Python one: others have no frame that would tell their errors from leptonc's."""
        found = POOL[rng.integers(len(POOL))]
        wanted = (type, FunctionType) if name == "is_leaf" else type if name in FUNCTIONS else ()
        return draw(name) if isinstance(found, wanted) else found

    args = [draw(p.name) for p in required for _ in range(rng.integers(1, 3) if p.kind is p.VAR_POSITIONAL else 1)]
    kwargs = {p.name: draw(p.name) for p in optional if rng.random() < 0.4}
    return args, kwargs


def run(function: FunctionType, args: list[Any], kwargs: dict[str, Any], mode: str) -> Types:
    """Shapes and dtypes of the result of the call as it is, or with its arrays as arguments of a function that is traced, or run op
    by op."""
    places = [n for n, x in enumerate(args) if type(x) is np.ndarray and x.dtype.kind in "biuf" and x.dtype.isnative]
    types: Types = []

    def call(*arrays: Any) -> None:
        given = dict(zip(places, arrays))
        out = function(*[given.get(n, x) for n, x in enumerate(args)], **kwargs)
        types.extend((x.shape, str(x.dtype)) for x in tree.leaves(out) if isinstance(x, leptonc.Array))

    arrays = [args[n] for n in places]
    if mode == "plain":
        call(*arrays)
    elif mode == "traced":
        leptonc.make_graph(call)(*arrays)
    else:
        with leptonc.disable_jit():
            leptonc.jit(call)(*arrays)
    return types


def outcome(function: FunctionType, args: list[Any], kwargs: dict[str, Any], mode: str) -> tuple[Any, str]:
    """What a call gives (types, or an error), and what is wrong with it, or nothing. The user's functions may raise anything."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return run(function, args, kwargs, mode), ""
    except LeptonError as error:
        return error, "" if error.line is not None and error.line.file == __file__ else f"no line: {error!r}"
    except MemoryError as error:
        return error, ""
    except FileNotFoundError as error:  # there is no file of a name that is drawn
        return error, "" if function in READING else f"{type(error).__name__}: {error}"
    except Exception as error:
        inner = error.__traceback__
        while inner is not None and inner.tb_next is not None:
            inner = inner.tb_next
        own = inner is not None and inner.tb_frame.f_code.co_filename == __file__ and inner.tb_lineno == POOL_FUNCTION
        return error, "" if own else f"{type(error).__name__}: {str(error)[:100]}"


def disagreement(traced: Any, eager: Any) -> str:
    """What is accepted compiled must be accepted op by op, with the same types, and the other way round: but for what
    needs elements, and for indices and labels that are known."""
    if isinstance(traced, TracerError | MemoryError) or isinstance(eager, RangeError | MemoryError):
        return ""
    if isinstance(traced, list) and isinstance(eager, list):
        return "" if traced == eager else f"traced gives {traced}, eager {eager}"
    if isinstance(traced, Exception) and isinstance(eager, Exception):
        return ""
    return f"traced: {str(traced)[:100]}, eager: {str(eager)[:100]}"


def campaign(count: int, seed: int) -> tuple[Counter[str], Counter[str]]:
    """Faults by kind, printed as they are found, and what the calls came to."""
    rng, faults, results = np.random.default_rng(seed), Counter[str](), Counter[str]()
    table = functions()
    names = sorted(table)
    for number in range(count):
        name = names[number % len(names)]
        args, kwargs = random_arguments(rng, table[name])
        outcomes = {mode: outcome(table[name], args, kwargs, mode) for mode in MODES[: 2 if name.startswith("x.") else 3]}
        results.update("accepted" if isinstance(result, list) else type(result).__name__ for result, _ in outcomes.values())
        differs = disagreement(outcomes["traced"][0], outcomes["eager"][0])
        for found in filter(None, [*(f"[{mode}] {found}" for mode, (_, found) in outcomes.items() if found), differs]):
            faults[f"{name}: {found}"] += 1
            if faults[f"{name}: {found}"] == 1:
                print(f"{name}(*{args!r:.120}, **{kwargs!r:.80}): {found}")
    return faults, results


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faults, results = campaign(options.count, options.seed)
    print(f"{options.count} calls of {len(functions())} functions, seed {options.seed}: {dict(results.most_common())}")
    print(f"{sum(faults.values())} faults of {len(faults)} kinds")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
