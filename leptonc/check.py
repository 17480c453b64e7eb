"""``leptonc check FILE.py:FUNCTION``: compiles a function and checks every step by running it before and after."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from leptonc import driver
from leptonc.stages import Traced
from leptonc.validation.validator import BUDGET, Result, Validator

MILLION = 1_000_000


def add_check(commands: Any, trace: Callable[[argparse.Namespace], Traced]) -> None:
    """The command's options; ``trace`` makes the graph of what they name."""
    check = commands.add_parser("check", help="compile a function and check every step: the passes, the lowering, machine code")
    check.add_argument("function", metavar="FILE.py:FUNCTION")
    check.add_argument("--arg", action="append", default=[], metavar="TYPE",
                       help="type of an argument, such as 'f32[32,784]', in order; left out if it has example arguments")
    check.add_argument("--seed", type=int, default=0, help="of the inputs (default 0)")
    check.add_argument("--budget", type=int, default=BUDGET // MILLION, metavar="N",
                       help=f"run nothing that takes more than N million scalar instructions (default {BUDGET // MILLION})")
    check.set_defaults(run=lambda options: _check(options, trace(options)))


def _check(options: argparse.Namespace, traced: Traced) -> int:
    """0 if every step was checked and none is wrong, 1 if some were too large."""
    results: list[Result] = []

    def tell(result: Result) -> None:
        results.append(result)
        print(f"{result.step:20} {result.seconds:8.2f} s  {result.note or ', '.join(result.kinds)}", flush=True)

    driver.check(traced.graph, traced.interface.aliases(traced.graph), Validator(options.seed, options.budget * MILLION, tell))
    return int(any(result.note for result in results))
