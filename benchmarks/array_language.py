"""Sorts, scatters, sums, matrices and Fourier transforms in f32, and gradients, against NumPy, PyTorch and JAX.

    python benchmarks/array_language.py [--peers PYTHON] [--rounds 5] [--cases sort,fft] [--scale 1] [--json out.json]

Each system runs in a process of its own (PyTorch and JAX in the Python of ``--peers``), all in turn, case by case and round by
round, with as many threads as it takes by itself; what it has compiled it keeps. Prints a Markdown table: median milliseconds of a
call, and how many times leptonc's call fits into the best peer's. Of each case with a derivative there is a second row, for the
gradient of a sum of the results' squares, of which NumPy has none. ``--scale 0.01`` makes arrays small, to see that all of it runs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from statistics import geometric_mean, median
from typing import Any, NamedTuple

import numpy as np
from turns import turn

SYSTEMS = ("leptonc", "numpy", "torch", "jax")
STEPS = 3  # calls in one turn
Function = Callable[..., Any]


class Case(NamedTuple):
    """``operands`` makes arrays, ``functions`` are by system ("jax" for leptonc as well), of a module of each; ``by`` is the place
    of the operand that the gradient is taken of, None where there is none."""

    name: str
    operands: Callable[[np.random.Generator, float], list[np.ndarray]]
    jax: Callable[[Any, Any], Function]
    numpy: Function
    torch: Callable[[Any], Function]
    by: int | None = 0


def _normal(*shape: int, scaled: int = 0) -> Callable[[np.random.Generator, float], list[np.ndarray]]:
    """One f32 array, whose axis ``scaled`` grows with the scale."""
    def make(rng: np.random.Generator, scale: float) -> list[np.ndarray]:
        sizes = [max(int(n * scale), 16) if d == scaled else n for d, n in enumerate(shape)]
        return [rng.standard_normal(sizes, dtype=np.float32)]

    return make


def _square(n: int, batch: int = 0, definite: bool = False, right: bool = False) -> Callable[[np.random.Generator, float],
                                                                                            list[np.ndarray]]:
    """A matrix or a stack, far from singular, and one right-hand side if asked for."""
    def make(rng: np.random.Generator, scale: float) -> list[np.ndarray]:
        size = n if batch else max(int(n * scale), 16)
        lead = (max(int(batch * scale), 2),) if batch else ()
        x = rng.standard_normal((*lead, size, size), dtype=np.float32) / np.float32(np.sqrt(size))
        a = x @ np.swapaxes(x, -1, -2) + np.eye(size, dtype=np.float32) if definite else x + 2 * np.eye(size, dtype=np.float32)
        return [a, rng.standard_normal((*lead, size, 1), dtype=np.float32)] if right else [a]

    return make


def _rows(rng: np.random.Generator, scale: float) -> list[np.ndarray]:
    """A table, places in it, and what is added there."""
    count = max(int(1_000_000 * scale), 16)
    return [np.zeros((10_000, 64), np.float32), rng.integers(0, 10_000, count).astype(np.int32),
            rng.standard_normal((count, 64), dtype=np.float32)]


def _added(x: np.ndarray, places: np.ndarray, rows: np.ndarray) -> np.ndarray:
    out = x.copy()
    np.add.at(out, places, rows)
    return out


def _greatest(x: np.ndarray) -> np.ndarray:
    return np.asarray(-np.sort(np.partition(-x, 9, axis=-1)[..., :10], axis=-1))


def _added_in_torch(torch: Any) -> Function:
    return lambda x, places, rows: x.index_add(0, places, rows)


def cases() -> list[Case]:
    made = [
        Case("sort [4096, 1024]", _normal(4096, 1024), lambda n, x: n.sort, np.sort, lambda t: lambda x: t.sort(x)[0]),
        Case("sort [10^7]", _normal(10_000_000), lambda n, x: n.sort, np.sort, lambda t: lambda x: t.sort(x)[0]),
        Case("top_k(10) [1024, 32000]", _normal(1024, 32000), lambda n, x: lambda v: x.top_k(v, 10)[0], _greatest,
             lambda t: lambda x: t.topk(x, 10)[0]),
        Case("scatter-add of 10^6 rows of 64", _rows, lambda n, x: lambda v, places, rows: v.at[places].add(rows), _added,
             _added_in_torch, 2),
        Case("cumsum [4096, 1024]", _normal(4096, 1024), lambda n, x: lambda v: n.cumsum(v, axis=1), lambda x: np.cumsum(x, 1),
             lambda t: lambda x: t.cumsum(x, 1)),
        Case("cumsum [10^7]", _normal(10_000_000), lambda n, x: n.cumsum, np.cumsum, lambda t: lambda x: t.cumsum(x, 0)),
    ]
    for label, size in (("1024", (1024, 0)), ("4096 of 8x8", (8, 4096))):
        made += [
            Case(f"cholesky {label}", _square(*size, definite=True), lambda n, x: n.linalg.cholesky, np.linalg.cholesky,
                 lambda t: t.linalg.cholesky),
            Case(f"solve {label}", _square(*size, right=True), lambda n, x: n.linalg.solve, np.linalg.solve,
                 lambda t: t.linalg.solve),
            Case(f"qr {label}", _square(*size), lambda n, x: lambda a: tuple(n.linalg.qr(a)), lambda a: tuple(np.linalg.qr(a)),
                 lambda t: lambda a: tuple(t.linalg.qr(a))),
            Case(f"lu {label}", _square(*size), lambda n, x: lambda a: x.linalg.lu(a)[0], _no_lu, lambda t: lambda a:
                 t.linalg.lu_factor(a)[0]),
            Case(f"eigh {label}", _square(*size, definite=True), lambda n, x: lambda a: tuple(n.linalg.eigh(a)),
                 lambda a: tuple(np.linalg.eigh(a)), lambda t: lambda a: tuple(t.linalg.eigh(a)), None),
            Case(f"svd {label}", _square(*size), lambda n, x: lambda a: tuple(n.linalg.svd(a, full_matrices=False)),
                 lambda a: tuple(np.linalg.svd(a, full_matrices=False)),
                 lambda t: lambda a: tuple(t.linalg.svd(a, full_matrices=False)), None),
        ]
    return [
        *made,
        Case("fft [2^20]", _normal(1 << 20), lambda n, x: n.fft.fft, np.fft.fft, lambda t: t.fft.fft),
        Case("fft [1000, 1000]", _normal(1000, 1000), lambda n, x: n.fft.fft, np.fft.fft, lambda t: t.fft.fft),
    ]


# A process of one system


def _sum_of(n: Any, found: Any) -> Any:
    """A number of which each element has a part."""
    results = found if isinstance(found, tuple) else (found,)
    return sum(n.sum(n.real(x) ** 2) for x in results)


def _traced(lib: Any, n: Any, x: Any, case: Case, gradient: bool) -> Function:
    f = case.jax(n, x)
    return lib.jit(lib.grad(lambda *a: _sum_of(n, f(*a)), argnums=case.by) if gradient else f)  # type: ignore[no-any-return]


def _by_leptonc(case: Case, gradient: bool, arrays: list[np.ndarray]) -> Function:
    import leptonc
    from leptonc import lax
    from leptonc import numpy as lnp

    f = _traced(leptonc, lnp, lax, case, gradient)
    return lambda: f(*arrays)


def _by_jax(case: Case, gradient: bool, arrays: list[np.ndarray]) -> Function:
    import jax

    f, given = _traced(jax, jax.numpy, jax.lax, case, gradient), [jax.numpy.asarray(a) for a in arrays]
    return lambda: jax.block_until_ready(f(*given))


def _by_numpy(case: Case, gradient: bool, arrays: list[np.ndarray]) -> Function | None:
    return None if gradient or case.numpy is _no_lu else lambda: case.numpy(*arrays)


def _no_lu(a: np.ndarray) -> np.ndarray:
    raise NotImplementedError("NumPy gives no LU factors")


def _by_torch(case: Case, gradient: bool, arrays: list[np.ndarray]) -> Function:
    import torch

    f, given = case.torch(torch), [torch.from_numpy(a) for a in arrays]
    if not gradient:
        return lambda: f(*given)
    varied = given[case.by or 0].requires_grad_()
    return lambda: torch.autograd.grad(_sum_in_torch(torch, f(*given)), varied)


def _sum_in_torch(torch: Any, found: Any) -> Any:
    results = found if isinstance(found, tuple) else (found,)
    return sum((torch.real(x) ** 2).sum() for x in results)


BY = {"leptonc": _by_leptonc, "numpy": _by_numpy, "torch": _by_torch, "jax": _by_jax}


def work(system: str, scale: float) -> None:
    """Lines "name of a case, whether its gradient" in, seconds of a call out, or null."""
    known = {case.name: case for case in cases()}
    made: dict[str, Function | None] = {}
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        name, gradient = json.loads(line)
        if line not in made:
            made.clear()  # arrays of one case at a time
            made[line] = _prepared(system, known[name], gradient, scale)
        run = made[line]
        print(json.dumps(None if run is None else turn(run, STEPS)), file=answers, flush=True)


def _prepared(system: str, case: Case, gradient: bool, scale: float) -> Function | None:
    try:
        run = BY[system](case, gradient, case.operands(np.random.default_rng(0), scale))
        if run is not None:
            run()
    except Exception as error:  # a system that has not got the function has no time
        print(f"{system}, {case.name}: {error}", file=sys.stderr)
        return None
    return run


# The process that asks


def _started(system: str, python: str, scale: float) -> subprocess.Popen[str]:
    return subprocess.Popen([python, __file__, "--worker", system, "--scale", str(scale)], text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE)


def _asked(worker: subprocess.Popen[str], name: str, gradient: bool) -> float | None:
    assert worker.stdin is not None and worker.stdout is not None
    print(json.dumps([name, gradient]), file=worker.stdin, flush=True)
    answer = worker.stdout.readline()
    return json.loads(answer) if answer else None  # nothing: it is not there


def measured(workers: dict[str, subprocess.Popen[str]], name: str, gradient: bool, rounds: int) -> dict[str, float]:
    """Median seconds by system."""
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for system, worker in workers.items():
            if worker.poll() is None and (found := _asked(worker, name, gradient)) is not None:
                seconds.setdefault(system, []).append(found)
    return {system: median(found) for system, found in seconds.items()}


def _ratio(found: dict[str, float]) -> float | None:
    peers = [v for system, v in found.items() if system != "leptonc"]
    return min(peers) / found["leptonc"] if peers and "leptonc" in found else None


def _line(title: str, found: dict[str, float]) -> str:
    ratio = _ratio(found)
    columns = [f"{found[s] * 1e3:.3g}" if s in found else "" for s in SYSTEMS]
    return f"| {title} | {' | '.join(columns)} | {'' if ratio is None else f'{ratio:.2f}'} |"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", default="", help="parts of names, separated by commas")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--json")
    parser.add_argument("--worker", choices=SYSTEMS)
    options = parser.parse_args(arguments)
    if options.worker:
        work(options.worker, options.scale)
        return 0
    workers = {s: _started(s, options.peers if s in ("torch", "jax") else sys.executable, options.scale) for s in SYSTEMS}
    wanted = options.cases.split(",")
    print(f"| case | {' ms | '.join(SYSTEMS)} ms | best peer / leptonc |\n|{'---|' * (len(SYSTEMS) + 2)}")
    table: dict[str, dict[str, float]] = {}
    for case in cases():
        if not any(part in case.name for part in wanted):
            continue
        for gradient in (False, True) if case.by is not None else (False,):
            title = case.name + (", gradient" if gradient else "")
            table[title] = measured(workers, case.name, gradient, options.rounds)
            print(_line(title, table[title]), flush=True)
    ratios = [r for found in table.values() if (r := _ratio(found)) is not None]
    if ratios:
        print(f"\n{len(ratios)} ratios: median {median(ratios):.2f}, geometric mean {geometric_mean(ratios):.2f}, "
              f"least {min(ratios):.2f}; {sum(r >= 1 for r in ratios)} of at least 1")
    for worker in workers.values():
        assert worker.stdin is not None
        worker.stdin.close()
        worker.wait()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(table, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
