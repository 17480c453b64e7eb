"""The table of ops: a name of ONNX's and the function that makes a node of it, with what such a function is told of the node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Known = Sequence[int] | Callable[["Node"], Sequence[int]]


class NotImportedError(Exception):
    """A node that cannot be imported, and why."""


@dataclass(frozen=True)
class Node:
    """A node beside its inputs. ``types`` and ``shapes`` are the declared ones of its outputs, None where nothing is declared;
    ``subgraph`` runs a graph among its attributes on values."""

    op_type: str
    attributes: dict[str, Any]
    opset: int
    input_types: tuple[int | None, ...]
    types: tuple[int | None, ...]
    shapes: tuple[tuple[int, ...] | None, ...]
    subgraph: Callable[..., list[Any]]

    @property
    def outputs(self) -> int:
        return len(self.types)

    def get(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def shape(self, output: int = 0) -> tuple[int, ...]:
        """The declared shape of a result whose extents depend on data."""
        found = self.shapes[output]
        if found is None:
            raise NotImportedError(f"{self.op_type}: the result's extents depend on data, and none are declared")
        return found


@dataclass(frozen=True)
class Rule:
    """How a node becomes calls. ``known``: the inputs that must be known while tracing, such as shapes."""

    run: Callable[..., Any]
    known: Known = ()


OPS: dict[tuple[str, str], Rule] = {}


def op(*names: str, known: Known = (), domain: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter ``f(node, *inputs)``, which gives a value or a tuple of them; inputs that are left out are None."""

    def enter(f: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            OPS[domain, name] = Rule(f, known)
        return f

    return enter


def plain(table: dict[str, Callable[..., Any]]) -> None:
    """Enter functions of the inputs alone."""
    for name, f in table.items():
        OPS["", name] = Rule(lambda node, *inputs, f=f: f(*inputs))
