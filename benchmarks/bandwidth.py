"""Elementwise chains and reductions over arrays larger than any cache, in f32: ``python benchmarks/bandwidth.py [rounds]``.

Prints a Markdown table: GB/s of what has to be read and written, the share of the copy rate measured in the same run, and how many
times faster than NumPy and, where it is installed, PyTorch (eager), each in its best round. Unset OPENBLAS_CORETYPE and
OPENBLAS_L2_SIZE first.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from turns import turn

import leptonc
from leptonc import nn
from leptonc import numpy as lnp
from leptonc.profile.machine import copy_gbs

ROWS, COLUMNS = 4096, 8192
STEPS = 3  # calls in one turn


class Case(NamedTuple):
    """``moved``: how many arrays of the operands' size are read and written; ``result``: whether there is one of that size, whose
    memory is kept from call to call where the system has a way to say so."""

    name: str
    ours: Callable[..., Any]
    numpy: Callable[..., Any]
    torch: Callable[..., Any]
    operands: int
    result: bool

    @property
    def moved(self) -> int:
        return self.operands + self.result


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def _normalized(np_: Any, x: Any, axis: dict[str, Any]) -> Any:
    centred = x - x.mean(**axis)
    return centred / np_.sqrt((centred * centred).mean(**axis) + 1e-5)


NUMPY_ROWS, TORCH_ROWS = {"axis": 1, "keepdims": True}, {"dim": 1, "keepdim": True}


def cases() -> list[Case]:
    torch = __import__("torch") if importlib.util.find_spec("torch") else None
    return [
        Case("x * a + y", lambda x, y: x * 2.5 + y, lambda x, y: x * np.float32(2.5) + y, lambda x, y: x * 2.5 + y, 2, True),
        Case("tanh(x)", lnp.tanh, np.tanh, lambda x: x.tanh(), 1, True),
        Case("exp(-x * x) * y", lambda x, y: lnp.exp(-x * x) * y, lambda x, y: np.exp(-x * x) * y,
             lambda x, y: (-x * x).exp() * y, 2, True),
        Case("sum of all", lambda x: x.sum(), lambda x: x.sum(), lambda x: x.sum(), 1, False),
        Case("max along rows", lambda x: x.max(axis=1), lambda x: x.max(1), lambda x: x.amax(1), 1, False),
        Case("sum along columns", lambda x: x.sum(axis=0), lambda x: x.sum(0), lambda x: x.sum(0), 1, False),
        Case("softmax of rows", lambda x: nn.softmax(x, axis=1), _softmax, lambda x: x.softmax(1), 1, True),
        Case("normalized rows", lambda x: _normalized(lnp, x, NUMPY_ROWS), lambda x: _normalized(np, x, NUMPY_ROWS),
             lambda x: _normalized(torch, x, TORCH_ROWS), 1, True),
    ]


def systems(case: Case, operands: list[np.ndarray]) -> dict[str, Callable[[], object]]:
    """A call of each system; leptonc writes into memory that is given to it again and again."""
    if case.result:
        into = np.zeros_like(operands[0])
        donating = leptonc.jit(lambda into, *xs: case.ours(*xs), donate_argnums=0)

        def ours() -> object:
            nonlocal into
            into = donating(into, *operands)
            return into
    else:
        plain = leptonc.jit(case.ours)

        def ours() -> object:
            return plain(*operands)

    found: dict[str, Callable[[], object]] = {"leptonc": ours, "NumPy": lambda: case.numpy(*operands)}
    if importlib.util.find_spec("torch"):
        import torch

        tensors = [torch.from_numpy(x) for x in operands]
        found["PyTorch"] = lambda: case.torch(*tensors)
    return found


def main(rounds: int) -> None:
    copy = copy_gbs()
    rng = np.random.default_rng(0)
    operands = [rng.standard_normal((ROWS, COLUMNS), np.float32) for _ in range(2)]
    peers = ["NumPy"] + (["PyTorch"] if importlib.util.find_spec("torch") else [])
    print(f"[{ROWS}, {COLUMNS}] f32; a copy: {copy:.1f} GB/s, read and written\n")
    print("| case | GB/s | share of the copy rate | " + " | ".join(f"to {p}" for p in peers) + " |")
    print("|---" * (3 + len(peers)) + "|")
    for case in cases():
        runs = systems(case, operands[:case.operands])
        wanted, got = np.asarray(runs["NumPy"]()), np.asarray(runs["leptonc"]())
        assert np.allclose(got, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max()), case.name
        seconds = {name: min(times) for name, times in
                   zip(runs, zip(*([turn(run, STEPS) for run in runs.values()] for _ in range(rounds))))}
        rate = case.moved * operands[0].nbytes / seconds["leptonc"] / 1e9
        ratios = " | ".join(f"{seconds[p] / seconds['leptonc']:.2f}" for p in peers)
        print(f"| {case.name} | {rate:.1f} | {rate / copy:.2f} | {ratios} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
