"""A process that checks programs one after the other and says so in lines of JSON; it may crash or hang."""

from __future__ import annotations

import functools
import json
import re
import sys
import time
from typing import Any

import numpy as np

from leptonc import abi
from leptonc.codegen import entry
from leptonc.errors import LeptonError
from tests.fuzz.check import Checker, Fault, error_text, first_wrong_pass, pipeline, ways
from tests.fuzz.coverage import Watch
from tests.fuzz.draw import Untidy
from tests.fuzz.generate import program
from tests.fuzz.program import NAMES, source

NO_DERIVATIVE = re.compile("has a gradient only where no two updates meet|"  # as documented
                           "has no derivative (in reverse mode|of full matrices|of a complete q)")


def has_no_derivative(error: Exception) -> bool:
    """Whether a program was drawn that asks for a gradient which there is none of."""
    return isinstance(error, LeptonError) and NO_DERIVATIVE.search(str(error)) is not None


def say(**message: Any) -> None:
    print(json.dumps(message), flush=True)


def checked(seed: int, thorough: bool = False) -> dict[str, Any]:
    """Everything about one seed as plain data: faults, what passes did, names used, how many compilations."""
    start = time.perf_counter()
    try:
        made = program(seed)
    except Untidy as error:
        return {"mode": "?", "note": [], "names": [], "unclaimed": 0.0, "changed": [], "codes": 0, "dtypes": [],
                "faults": [("drawing", str(error))], "seconds": 0.0}
    watch, faults, codes = Watch(), list[Fault](), 0
    blamed = ""
    out: dict[str, Any] = {"mode": made.mode, "note": list(made.note), "names": sorted({f"{m}.{n}" for m,
                                                                                        n in NAMES.findall(source(made))}),
                           "unclaimed": 0.0, "dtypes": sorted({i.dtype for i in made.inputs})}
    try:
        with np.errstate(all="ignore"):
            checker = Checker(made, seed)
        out["unclaimed"] = checker.expected.unclaimed
        chosen = ways(seed, thorough)
        for way in chosen:
            say(way=way)
            with pipeline(observe=watch.observe) if way == "compiled" else pipeline(disable=()):
                fault = checker.run(way)
            codes += way not in ("eager", "interpreted", "numpy", "differences", "jax")
            if fault is not None:
                faults.append(fault)
                if way == "compiled":
                    say(way="compiled")
                    blamed = first_wrong_pass(made, way, seed)
                    break
        out["ways"] = chosen
    except Exception as error:
        if not has_no_derivative(error):
            faults.append(Fault("tracing", error_text(error)))
    texts = [(f.way, f"{f.text}; pass: {blamed}" if blamed and f.way == "compiled" else f.text) for f in faults]
    return {**out, "faults": texts, "changed": sorted(watch.changed), "codes": codes, "seconds": time.perf_counter() - start}


def main(first: int, stride: int, end: int, thorough: bool) -> None:
    abi.SPINS_ALONE = abi.SPINS_SHARING  # other workers have a use for the core on which a thread would wait
    entry.compile_object = functools.lru_cache(16)(entry.compile_object)  # some ways compile the text of others
    for seed in range(first, end, stride):
        say(start=seed)
        say(done=seed, **checked(seed, thorough))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), thorough=bool(int(sys.argv[4])))
