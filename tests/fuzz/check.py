"""Running a program in many ways, all of which must give what its graph says.

Compiled (arguments between guard pages) and op by op; on 1, 2 and 3 threads, the same bits; the kernels interpreted; with a pass
left out; for another target; in two pieces compiled apart; natively scanned or frozen; from the disk cache.
"""

from __future__ import annotations

import functools
import os
import random
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np

import leptonc
from leptonc import driver, lax, tree
from leptonc.errors import LeptonError
from leptonc.ir.interpret import run_program
from leptonc.target import TARGETS, host_target
from tests.fuzz import jaxpeer
from tests.fuzz.guarded import guarded
from tests.fuzz.program import SCALAR, Input, Program, build, definition
from tests.fuzz.rounding import BITS, CONVOLUTIONS, RATIO, Expected, Run, written_out
from tests.fuzz.rounding_complex import reals

REQUIRED = ("split-complex", "expand", "donate", "plan-memory")
OPTIONAL = tuple(dict.fromkeys(p.name for p in (*driver.GRAPH_PASSES, *driver.PROGRAM_PASSES)
                               if p.name not in REQUIRED))
BEYOND_NUMPY = re.compile(r"\b(lax|nn|random|optim|leptonc)\.|\.at\[|astype|asarray\(|mean_squared|empty|partition|polyint|"
                          r"gradient|linalg\.(eigh|svd|qr)\(")  # vectors have signs of their own
OF_SOME = re.compile(r"nan(percentile|quantile)")  # of no elements in other shapes
TO_INTS = re.compile(r"dtype=np\.u?int")  # of floats that are no such ints
OF_FINITE = re.compile(r"quantile|percentile|einsum")  # NumPy makes NaN of infinities and 0, groups products otherwise
KINKS = re.compile(r"unique|1d\(|stop_gradient|astype|asarray\(|floor|ceil|trunc|rint|round|sign|//|mod\(|%|"
                   r"v\d+_2 = nn\.batch_norm")  # no derivative to compare with; running statistics are constants
INTERPRETED = 200_000  # points of all kernels that the interpreter is given


@dataclass(frozen=True)
class Fault:
    """``way``: which comparison failed; ``text``: how."""

    way: str
    text: str

    @property
    def kind(self) -> str:
        """Two faults of one kind are the same while a program is reduced."""
        head = self.text.split(":")[0]
        return f"{self.way}/{head if 'Error' in head else ''}"


@contextmanager
def pipeline(observe: Callable[..., Any] | None = None, disable: Sequence[str] = (), limit: int | None = None) -> Iterator[None]:
    """Inside, everything that is compiled is compiled so."""
    plain = driver._manager

    def manager(passes: Any, options: Any, skipped: int = 0) -> Any:
        return plain(passes, replace(options, observe=observe, disable=options.disable | set(disable), bisect_limit=limit), skipped)

    with mock.patch.object(driver, "_manager", manager):
        yield


@contextmanager
def environment(**settings: str) -> Iterator[None]:
    with mock.patch.dict(os.environ, settings):
        yield


def leaves_of(out: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in tree.leaves(out)]


def result_of(program: Program, place: Callable[[np.ndarray], np.ndarray] = np.array) -> list[np.ndarray]:
    """What the compiled program gives, copied."""
    made = build(program, place)
    with np.errstate(all="ignore"):
        return [np.array(leaf) for leaf in leaves_of(made.call(*made.args))]


class _Numpy:
    """NumPy where it says the same as leptonc.numpy: equal elements keep their order, quantiles of ints and sums of weights are
    floats, places along axes have the dtype of the places in all, what NumPy makes f64 of any float stays as narrow as it was, and
    the spacing of f16 is that of the number's size, with its sign, as that of f32 and f64 is; products of polynomials keep zeros
    that they begin with."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        if name == "argsort":
            return functools.partial(found, stable=True)
        if name == "histogram":
            return _weights_as_floats(found)
        if name == "unravel_index":
            return _of_dtype(found)
        if name == "spacing":
            return lambda x: np.where(np.signbit(x) & (x != 0), -1, 1).astype(found(x).dtype) * found(np.abs(x))
        if name == "polymul":
            return lambda x, y: np.convolve(x, y) if x.size and y.size else found(x, y)
        if name in ("hypot", "trapezoid"):
            return _of_wide_ints(found)
        if name in ("put_along_axis", "fill_diagonal"):
            return _giving_the_array(found)
        if name in ("interp", "vander", "cov", "corrcoef", "float_power", "polyder", "polyint"):
            return _as_narrow(found)
        return _in_floats(found) if name.endswith(("quantile", "percentile")) else found


def _giving_the_array(function: Callable[..., None]) -> Callable[..., Any]:
    """Of a function that writes into its first argument: what it wrote, into a copy."""
    def call(x: Any, *args: Any, **options: Any) -> Any:
        written = np.array(x)
        function(written, *args, **options)
        return written

    return call


def _of_dtype(f: Any) -> Any:
    def found(places: Any, *args: Any, **kwargs: Any) -> Any:
        return tuple(x.astype(places.dtype) for x in f(places, *args, **kwargs))

    return found


def _of_wide_ints(f: Any) -> Any:
    """f64 of any ints, where NumPy makes f16 of those of 8 bits, and lets differences of unsigned ones wrap around."""
    return lambda *args, **options: f(
        *(x.astype(np.int64) if getattr(x, "dtype", np.dtype(bool)).kind in "iu" else x for x in args), **options)


def _weights_as_floats(f: Any) -> Any:
    def found(*args: Any, **kwargs: Any) -> Any:
        counts, edges = f(*args, **kwargs)
        whole = kwargs.get("weights") is not None and counts.dtype.kind in "biu"
        return counts.astype(np.float64) if whole else counts, edges

    return found


def _as_narrow(f: Any) -> Any:
    def found(x: Any, *args: Any, **kwargs: Any) -> Any:
        out = f(x, *args, **kwargs)
        kinds = [a.dtype for a in (x, *args) if isinstance(a, np.ndarray)]
        return out.astype(np.result_type(*kinds)) if all(kind.kind in "fc" for kind in kinds) else out

    return found


def _in_floats(f: Any) -> Any:
    def found(*args: Any, **kwargs: Any) -> Any:
        out = f(*args, **kwargs)
        if out.dtype.kind in "biu":
            return out.astype(np.float64)
        return out.astype(args[0].dtype) if isinstance(args[1], list) and args[0].dtype.kind == "f" else out

    return found


@dataclass
class Checker:
    """One program with what is expected of it."""

    program: Program
    seed: int = 0

    def __post_init__(self) -> None:
        made = build(self.program)
        self.traced = made.call.trace(*made.args)
        self.expected = Expected(self.traced.graph, [np.array(leaf) for leaf in tree.leaves(made.args)], self.seed)

    # Each way returns what is wrong, or None

    def compiled(self) -> str | None:
        self.results = result_of(self.program, guarded)
        return self.expected.check(self.results)

    def eager(self) -> str | None:
        made = build(self.program)
        with leptonc.disable_jit(), np.errstate(all="ignore"):
            return self.expected.check(leaves_of(made.call(*made.args)))

    def threads(self) -> str | None:
        """The same bits on any number of threads."""
        found = []
        made = build(self.program)
        whole = tree.map(np.array, made.args)
        try:
            for count in (1, 2, 3):
                leptonc.set_num_threads(count)
                found.append([np.array(leaf) for leaf in leaves_of(made.call(*tree.map(guarded, whole)))])
        finally:
            leptonc.set_num_threads(None)
        for count, results in zip((2, 3), found[1:]):
            for n, (a, b) in enumerate(zip(found[0], results, strict=True)):
                if a.tobytes() != b.tobytes():
                    return f"result {n} differs between 1 and {count} threads"
        return self.expected.check(found[2])

    def interpreted(self) -> str | None:
        """The kernels after all passes, in plain NumPy."""
        program = driver.lower(driver.optimize(self.traced.graph), self.traced.interface.aliases(self.traced.graph))
        if sum(_points(call.kernel) for call in program.calls) > INTERPRETED:
            return None
        with np.errstate(all="ignore"):
            return self.expected.check(run_program(program, [np.array(a) for a in self.expected.arrays]))

    def without(self, name: str) -> str | None:
        with pipeline(disable=[name]):
            return self.expected.check(result_of(self.program))

    def target(self, name: str) -> str | None:
        with environment(LEPTONC_TARGET=name):
            return self.expected.check(result_of(self.program, guarded))

    def apart(self) -> str | None:
        """The first steps compiled as one function, the rest as another."""
        program, half = self.program, len(self.program.steps) // 2
        if program.mode != "forward" or not half or any("random." in s.form for s in program.steps):
            return None
        first = [n for s in program.steps[:half] for n in s.names]
        names = tuple(first)
        values = result_of(replace(program, steps=program.steps[:half], outputs=names, donated=()))
        made = tuple(Input(n, v.shape, _code(v.dtype), "given", 0) for n, v in zip(names, values, strict=True))
        rest = replace(program, steps=program.steps[half:], inputs=(*program.inputs, *made), donated=())
        given = dict(zip(names, values, strict=True))
        built = build(replace(rest, inputs=tuple(replace(i, recipe="zeros") if i.name in given else i for i in rest.inputs)))
        args = [given.get(i.name, a) for i, a in zip(rest.inputs, built.args, strict=True)]
        return self.expected.check(leaves_of(built.call(*args)))

    def native(self) -> str | None:
        """A scan that is not written out; a function with its first argument frozen."""
        made = build(self.program)
        if self.program.mode == "scan":
            return self.expected.check(leaves_of(lax.scan(lambda c, x: made.f(c, x), *made.args)))
        if self.program.mode == "forward" and len(made.args) > 1 and not self.program.donated:
            frozen = leptonc.freeze(made.f, made.args[0])
            return self.expected.check(leaves_of(frozen(*made.args[1:])))
        return None

    def looped(self) -> str | None:
        """Under vmap, one example after the other, op by op: compiled alone, one may be computed by another algorithm."""
        program = self.program
        if program.mode not in ("vmap", "vmap_grad") or program.around != "y":
            return None
        made = build(program)
        names = [i.name for i in program.inputs]
        wrt = tuple(names.index(n) for n in program.wrt)
        f = made.f if program.mode == "vmap" else leptonc.value_and_grad(made.f, argnums=wrt)
        mapped = [dict(program.axes).get(name) is not None for name in names]
        turned = [np.roll(a.ravel(), -1).reshape(a.shape) if flag else a for a, flag in zip(made.args, mapped)]
        single = leptonc.jit(f)
        with leptonc.disable_jit(), np.errstate(all="ignore"):
            rows = [leaves_of(single(*args)) for args in (made.args, turned)]
        return self.expected.check([np.stack(leaves) for leaves in zip(*rows, strict=True)])

    def again(self) -> str | None:
        """Called twice, the second time by the short way, with arrays that lie elsewhere: the same bits."""
        made = build(self.program)
        copies = tree.map(guarded, made.args)
        first = [np.array(leaf) for leaf in leaves_of(made.call(*made.args))]
        second = leaves_of(made.call(*copies))
        for n, (a, b) in enumerate(zip(first, second, strict=True)):
            if a.tobytes() != b.tobytes():
                return f"result {n} differs between two calls"
        return None

    def cached(self) -> str | None:
        """Code from the disk: the bits of the code that was put there."""
        with tempfile.TemporaryDirectory() as folder, environment(LEPTONC_CACHE="1", LEPTONC_CACHE_DIR=folder):
            first, second = result_of(self.program), result_of(self.program)
        for n, (a, b) in enumerate(zip(first, second, strict=True)):
            if a.tobytes() != b.tobytes():
                return f"result {n} differs when its code comes from the cache"
        return self.expected.check(second)

    def numpy(self) -> str | None:
        """NumPy itself in the place of leptonc.numpy, where a program has nothing else, and NumPy takes it."""
        text = definition(self.program)
        if self.program.mode != "forward" or BEYOND_NUMPY.search(text) or self._reads_otherwise(text) or self._sums_narrowly():
            return None
        space: dict[str, Any] = {"np": np, "lnp": _Numpy()}
        exec(compile(text, "<program>", "exec"), space)
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                out = space["f"](*(np.array(a) for a in build(self.program).args))
        except (IndexError, TypeError, ValueError, AttributeError, ArithmeticError):
            return None
        found, base = leaves_of(out), self.expected.base
        if [a.shape for a in found] == [a.shape for a in base]:
            found = [_without_dust(a, b) for a, b in zip(found, base, strict=True)]
            if "linalg" in text:  # zeros of LAPACK's have signs of their own
                found = [np.where((a == 0) & (b == 0), b, a).astype(a.dtype) for a, b in zip(found, base, strict=True)]
        return self.expected.check(found)

    def _reads_otherwise(self, text: str) -> bool:
        """Whether NumPy means something else by a program, on these arrays."""
        arrays = self.expected.arrays
        return ((bool(OF_FINITE.search(text)) and not all(np.isfinite(a).all() for a in arrays))
                or (bool(TO_INTS.search(text)) and any(a.dtype.kind in "fc" for a in arrays))
                or (bool(OF_SOME.search(text)) and not all(a.size for a in arrays)))

    def _sums_narrowly(self) -> bool:
        """Whether floats of 16 bits are summed up one by one: others round each sum, leptonc the last."""
        nodes = self.expected.graph.nodes
        return any(node.op == "cumsum" and node.types[0].dtype.is_float and node.types[0].dtype.itemsize < 4 for node in nodes)

    def differences(self) -> str | None:
        """The gradient along a random direction against central differences in f64, where they agree among themselves; numbers
        below the normal ones of their dtype are too few for differences."""
        program, base = self.program, self.expected.base
        smooth = all(i.recipe == "normal" for i in program.inputs if i.dtype[0] in "fc") and not KINKS.search(definition(program))
        if program.mode not in ("grad", "second") or not smooth or any(n.op in BITS for n in self.expected.graph.nodes):
            return None
        rng = np.random.default_rng(self.seed)
        names = [i.name for i in program.inputs]
        ways = {names.index(name): _direction(rng, base[1 + k]) for k, name in enumerate(program.wrt)}
        parts = [np.real(base[1 + k] * ways[names.index(name)]) for k, name in enumerate(program.wrt)]
        analytic = sum(float(np.sum(part)) for part in parts)
        slopes = [self._slope(ways, h) for h in (1e-4, 5e-5, 2.5e-5)]
        size = sum(float(np.sum(np.abs(part))) for part in parts)
        scale = abs(analytic) + 1e-3 * size + 1e-6 * (1 + abs(float(base[0])))
        if not np.isfinite([analytic, *slopes]).all() or max(slopes) - min(slopes) > 1e-4 * scale:
            return None
        roundoff = max(float(np.finfo(t.dtype.real.numpy).eps) for t in self.expected.graph.types.values() if t.dtype.is_inexact)
        wrong = abs(slopes[-1] - analytic) > 2e-3 * scale + 4 * roundoff * size  # a factor of all parts is rounded, too
        return f"the derivative along a direction is {analytic!r}, by differences {slopes!r}" if wrong else None

    def jax(self) -> str | None:
        """JAX's results and gradients, where it is installed; of other dtypes they may be. Products of matrices add up from 0.0
        here, and are -0.0 there where one product is all: signs of zeros that follow are not compared, nor those of gradients,
        remainders, the lesser of two zeros and reductions over no axis."""
        if self.expected.by_zero:
            return None
        found = jaxpeer.run(self.program, self.expected.arrays)
        kinds = [t.dtype.numpy for t in self.traced.graph.output_types]
        narrower = found is not None and any(a.dtype.itemsize < k.itemsize for a, k in zip(found, kinds, strict=True))
        mixed = jaxpeer.mixed(self.program)
        if found is None or narrower or (mixed and [a.dtype for a in found] != kinds) or self._sums_narrowly():
            return None
        results = [a.astype(k) for a, k in zip(found, kinds, strict=True)]
        sums = any(node.op in CONVOLUTIONS | {"dot_general"} for node in self.expected.graph.nodes)
        if self.program.mode != "forward" or sums or jaxpeer.EXTREMES.search(definition(self.program)):
            pairs = zip(results, self.expected.base, strict=True)
            results = [a if a.dtype.kind == "c" else np.where((a == 0) & (b == 0), b, a).astype(a.dtype) for a, b in pairs]
        if jaxpeer.MEANS.search(definition(self.program)):
            results = [_without_last_digit(a, b) for a, b in zip(results, self.expected.base, strict=True)]
        if self.program.mode != "forward":
            results = [_where_finite(a, b) for a, b in zip(results, self.expected.base, strict=True)]
        results = [_with_signs_of_zeros(_without_dust(a, b), b) for a, b in zip(results, self.expected.base, strict=True)]
        return self.expected.check(results, jaxpeer.SLACK)

    def _slope(self, ways: dict[int, np.ndarray], h: float) -> float:
        values = []
        for sign in (1, -1):
            moved = [a + sign * h * ways[n] if n in ways else a for n, a in enumerate(self.expected.arrays)]
            run = Run(written_out(self.traced.graph, moved), None)
            value = float(run(moved)[0])
            values.append(np.nan if run.subnormal else value)
        return (values[0] - values[1]) / (2 * h)

    def run(self, way: str) -> Fault | None:
        """``way``: compiled, eager, threads, interpreted, apart, native, looped, again, cached, numpy, differences,
        jax, without NAME, target NAME."""
        name, _, option = way.partition(" ")
        method = getattr(self, name)
        try:
            text = method(option) if option else method()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            text = error_text(error)
        return None if text is None else Fault(way, text)


def _where_finite(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """JAX multiplies slopes by masks, which makes NaN of 0 times NaN and of 0 times infinity, where leptonc selects."""
    return np.where(np.isnan(found), expected, found).astype(found.dtype)


def _without_last_digit(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Without an error of one unit in the last place."""
    if found.dtype.kind not in "fc":
        return found
    with np.errstate(all="ignore"):
        near = np.abs(found - expected) <= np.finfo(found.dtype).eps * np.abs(expected)
    return np.where(near, expected, found).astype(found.dtype)


def _without_dust(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Without roundoff of the whole in a part that is small: what complex functions by way of angles and norms leave there."""
    if found.dtype.kind != "c":
        return found
    parts, wanted, size = reals(found), reals(expected), np.finfo(found.dtype).eps * RATIO * np.abs(found)[..., None]
    with np.errstate(all="ignore"):
        near = np.abs(parts - wanted) <= size
    return np.where(near, wanted, parts).astype(parts.dtype).view(found.dtype)[..., 0]


def _with_signs_of_zeros(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """With zeros as they are expected: a sum of -0.0 alone is -0.0 in JAX."""
    return np.where((found == 0) & (expected == 0), expected, found).astype(found.dtype) if found.dtype.kind == "f" else found


def _direction(rng: np.random.Generator, like: np.ndarray) -> np.ndarray:
    """A change of x; a real function f's, by JAX's gradient df/dx - i df/dy, is the real part of their product."""
    way = rng.standard_normal(like.shape)
    return way + 1j * rng.standard_normal(like.shape) if like.dtype.kind == "c" else way


def error_text(error: BaseException) -> str:
    import traceback

    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/leptonc/" in f.filename]
    where = f" in {frames[-1].filename.rsplit('/leptonc/')[-1]}:{frames[-1].name}" if frames else ""
    return f"{type(error).__name__}{where}: {str(error)[:300]}"


def _code(dtype: np.dtype) -> str:
    return "?" if dtype.kind == "b" else dtype.str[1:]


def _points(kernel: Any) -> int:
    total = 0
    for stage in kernel.stages:
        count = 1
        for axis in (*kernel.outer, *stage.axes):
            count *= axis.extent
        total += count
    return total


def other_targets() -> list[str]:
    """What runs here and is not the default."""
    order = list(TARGETS)
    host = host_target().name
    return order[:order.index(host)] if host in order else []


def ways(seed: int, thorough: bool = False) -> list[str]:
    """The comparisons for a program: machine code and op by op always, of the others some."""
    rng = random.Random(seed)
    extra = ["threads", "interpreted", "apart", "native", "looped", "again", "cached", "numpy", "differences",
             *(["jax"] if jaxpeer.available() else []),
             *(f"target {name}" for name in other_targets()), *(f"without {name}" for name in OPTIONAL)]
    if thorough:
        return ["compiled", "eager", *extra]
    often = ("threads", "interpreted", "native", "apart", "again", "differences")
    some = ["numpy", "looped", *(w for w in often if rng.random() < 0.2)]
    some += ["jax"] if jaxpeer.available() and rng.random() < 0.5 else []
    some += ["cached"] if rng.random() < 0.04 else []
    if rng.random() < 0.15:
        some.append(f"target {rng.choice(other_targets())}" if other_targets() else "threads")
    if rng.random() < 0.3:
        some.append(f"without {rng.choice(OPTIONAL)}")
    return ["compiled", "eager", *some]


def fault_of(program: Program, way: str, seed: int = 0) -> Fault | None:
    """The fault of a program in one way; None if it is right, or no program."""
    try:
        checker = Checker(program, seed)
    except (LeptonError, ValueError, TypeError, IndexError, NameError, ZeroDivisionError, KeyError, AttributeError):
        return None
    if any(i.name == "" for i in program.inputs) or (program.mode in SCALAR and not program.wrt):
        return None
    return checker.run(way)


def first_wrong_pass(program: Program, way: str = "compiled", seed: int = 0) -> str:
    """The pass with which it goes wrong, found by running ever more of the pipeline; or what it is not."""
    names = driver.pipeline_names()
    required = {n for n, p in enumerate(names) if p in REQUIRED}
    checker = Checker(program, seed)
    if way.startswith("target "):
        return "for that target"

    def wrong(limit: int) -> bool:
        off = {n for n in range(limit, len(names))} - required
        try:
            with positions_off(off):
                return checker.expected.check(result_of(program)) is not None
        except Exception:
            return True

    try:
        if wrong(0):
            return "wrong without any pass: lowering or code generation"
        low, high = 0, len(names)
        if not wrong(high):
            return "not wrong by passes"
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if wrong(middle) else (middle, high)
        return names[high - 1]
    except Exception as error:
        return f"not found: {error_text(error)}"


@contextmanager
def positions_off(off: set[int]) -> Iterator[None]:
    """Inside, the passes at these positions of the pipeline are left out."""
    count = len(driver.GRAPH_PASSES)
    graph = tuple(p for n, p in enumerate(driver.GRAPH_PASSES) if n not in off)
    program = tuple(p for n, p in enumerate(driver.PROGRAM_PASSES) if n + count not in off)
    with mock.patch.object(driver, "GRAPH_PASSES", graph), mock.patch.object(driver, "PROGRAM_PASSES", program):
        yield
