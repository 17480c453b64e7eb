"""Writes docs/names.md, which of the names of the array API and of JAX leptonc has: ``python -m tests.names_page``.

The lists are data, in tests/names_of_peers: the standard's, and the public names of a version of JAX that are no modules and no
primitives (``add_p``).
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from pkgutil import resolve_name
from typing import NamedTuple

from leptonc.substitutes import SUBSTITUTES
from tests.parameters_of_peers import MISSING, NOT_THERE, OTHERWISE

PEERS = Path(__file__).parent / "names_of_peers"
PAGE = Path(__file__).parents[1] / "docs/names.md"
NAMESPACES = {  # a list, and the module that has its names
    "array_api": "leptonc.numpy",
    "array_api.linalg": "leptonc.numpy.linalg",
    "array_api.fft": "leptonc.numpy.fft",
    "jax.numpy": "leptonc.numpy",
    "jax.numpy.linalg": "leptonc.numpy.linalg",
    "jax.lax": "leptonc.lax",
    "jax.lax.linalg": "leptonc.lax.linalg",
    "jax.nn": "leptonc.nn",
    "jax.nn.initializers": "leptonc.nn.initializers",
    "jax.ops": "leptonc.ops",
    "jax.random": "leptonc.random",
    "jax.flatten_util": "leptonc.flatten_util",
    "jax.scipy.linalg": "leptonc.scipy.linalg",
    "jax.scipy.ndimage": "leptonc.scipy.ndimage",
    "jax.scipy.special": "leptonc.scipy.special",
    "jax.scipy.stats": "leptonc.scipy.stats",
    "jax.tree": "leptonc.tree",
    "jax.tree_util": "leptonc.tree_util",
}
HEAD = """\
# Names of the array API and of JAX

<!-- written by python -m tests.names_page -->

What is supported is spelled as there and means the same, but for what [the last section](#differences-from-jax) says, parameters
and their places included, but for [those that are not there](#parameters). Of JAX's names those of modules and primitives (`add_p`)
are left out.

"""
DIFFERENCES = """\
## Differences from JAX

* **Dtypes are NumPy's**, promoted as NumPy promotes them (NEP 50), without a switch for 64 bits: `leptonc.numpy.ones(3)` is f64.
  Only bfloat16 and floats of 8 bits are promoted as in JAX, and everything after `leptonc.config.promotion = "jax"` ([the page on
  dtypes](guides/dtypes.md)). There are none of less than 8 bits. `eig` and `eigvals` call
  LAPACK through NumPy, and so stand in no compiled loop, in which `lax.linalg.eig` may; all of `linalg` takes complex matrices.
* **Arrays are NumPy's** outside of `jit`. A function of `leptonc.numpy` that is called there runs at once, by NumPy. A table made
  there is indexed by a traced value as `leptonc.numpy.asarray(table)[i]`, or `leptonc.numpy.take(table, i, axis=0)`, within the
  function that is traced: `table[i]` would ask NumPy.
* **Places out of range** that are traced read the nearest element and write nothing, in indexing, `take`, `take_along_axis` and
  `unravel_index` alike; JAX's `take` and `take_along_axis` give NaN or the least integer there. `x[i]` of a known i is an
  IndexError.
* **Devices** are the CPUs of one machine: there are no shardings, no `pmap`, no collectives across processes.
* **Wrong calls** raise a `LeptonError` that names the op, its operands, the line of the program and the fix
  ([errors.md](errors.md)).
* **Layers**: `leptonc.nn` has convolutions, pooling, losses and modules, which JAX leaves to other packages.
* **Callbacks**: `debug.print` and `debug.callback` are called when the step has run, in order; `pure_callback` and
  `io_callback` stand between pieces of a program, not in its loops and branches. In `while_loop` there are none.
* **Random bits** are JAX's for the same key, shape and dtype, where 64-bit types are enabled; what distributions make of them is in
  [the architecture's page](architecture.md#random-numbers).
"""


class Names(NamedTuple):
    """A peer's namespace and leptonc's part of it."""

    source: str
    module: str
    there: list[str]
    missing: list[str]


def names(peer: str) -> Names:
    source, *lines = (PEERS / f"{peer}.txt").read_text().splitlines()
    module, wanted = NAMESPACES[peer], " ".join(lines).split()
    has = public(module)
    return Names(source.removeprefix("# "), module, [n for n in wanted if n in has], [n for n in wanted if n not in has])


def public(module: str) -> set[str]:
    """The public names of a module of leptonc, or of one that another has as a name; none if there is no such module."""
    try:
        return set(dir(resolve_name(module)))
    except (ImportError, AttributeError):
        return set()


def counts(found: dict[str, Names]) -> str:
    rows = [f"| `{peer}` ({part.source}) | `{part.module}` | {len(part.there)} | {len(part.there) + len(part.missing)} |"
            for peer, part in found.items()]
    return "\n".join(["| names of | here | supported | of |", "|---|---|---|---|", *rows]) + "\n"


def section(peer: str, part: Names) -> str:
    text = f"## {peer}\n\n"
    if part.missing:
        text += f"Not supported ({len(part.missing)}):\n\n{listed(part.missing)}\n\n"
    instead = [f"| `{name}` | {SUBSTITUTES[part.module][name]} |" for name in part.missing
               if name in SUBSTITUTES.get(part.module, {})]
    if instead:
        text += "\n".join(["| instead of | use |", "|---|---|", *instead]) + "\n\n"
    if part.there:
        text += f"Supported ({len(part.there)}):\n\n{listed(part.there)}\n\n"
    return text


def listed(found: list[str]) -> str:
    return textwrap.fill(", ".join(f"`{name}`" for name in found), 131) + "."


def parameters() -> str:
    """What parameters are not there, or mean otherwise, of what functions, and why."""
    rows: dict[tuple[str, str], list[str]] = {}
    for place, reason in {**MISSING, **OTHERWISE}.items():
        function, parameter = place.split(": ")
        rows.setdefault((parameter, reason), []).append(function)
    anywhere = [f"| `{name}` | any function | {reason} |" for name, reason in NOT_THERE.items()]
    some = [f"| `{name}` | {', '.join(f'`{f}`' for f in functions)} | {reason} |" for (name, reason), functions in rows.items()]
    head = ["## Parameters", "", "With a default in JAX or optax, and not there, or of another default:", "",
            "| parameter | of | why |", "|---|---|---|"]
    return "\n".join([*head, *anywhere, *some]) + "\n\n"


def page() -> str:
    found = {peer: names(peer) for peer in NAMESPACES}
    return HEAD + counts(found) + "\n" + "".join(section(peer, part) for peer, part in found.items()) + parameters() + DIFFERENCES


if __name__ == "__main__":
    if sys.argv[1:]:
        raise SystemExit("python -m tests.names_page: takes no arguments")
    PAGE.write_text(page())
