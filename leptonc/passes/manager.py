"""Passes as values: their text form, and the manager that runs a list of them.

A pass is a frozen dataclass called on an IR (a Graph, a Program) and returning one. It has a ``name``; its other
fields are its options: ``Fuse(max_insts=12)`` is ``fuse{max-insts=12}`` on the command line and in a dump. A class with
``required = True`` is one that what follows the passes cannot do without: it always runs.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import operator
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Protocol

from leptonc.errors import LeptonError
from leptonc.ir.graph import Graph
from leptonc.ir.verify import verify


class Pass(Protocol):
    """A frozen dataclass; every field but ``name`` is an option with a default."""

    @property
    def name(self) -> str: ...

    def __call__(self, ir: Any, /) -> Any: ...


def is_required(step: Pass) -> bool:
    """Whether the pass says that it always runs."""
    return getattr(step, "required", False) is True


@singledispatch
def verify_stage(ir: object, after: str = "", before: object = None) -> None:
    """Check an IR of any stage: ``verify_stage.register(Type)`` says how; a type without a verifier passes.

    ``after`` names the pass that made it, for the message of the IRError raised; ``before``: what it made it of, verified already.
    """


@verify_stage.register
def _verify_graph(ir: Graph, after: str = "", before: object = None) -> None:
    if not (isinstance(before, Graph) and _has_parts_of(ir, before)):
        verify(ir, after=after)


def _has_parts_of(ir: Graph, before: Graph) -> bool:
    """Whether it is made of the very same nodes in the same order, with the same inputs and outputs."""
    return (len(ir.nodes) == len(before.nodes) and all(map(operator.is_, ir.nodes, before.nodes)) and ir.outputs == before.outputs
            and ir.inputs == before.inputs and ir.input_types == before.input_types and ir.input_names == before.input_names)


@dataclass(frozen=True)
class PassManager:
    """Runs ``passes`` in order: ``PassManager(passes)(ir)``.

    verify(ir, after=name, before=ir) is called after each pass that made something new and raises if it broke the IR; None checks
    nothing.
    What the first pass is given counts as verified.
    disable: names of passes to leave out. stop_after: the name of the last pass to run.
    bisect_limit: how many passes to apply, for finding the one that breaks a program by halving.
    observe(pass, before, after, seconds) is called after each pass, before its result is verified.

    Required passes run whatever the limit is. Raises LeptonError when ``disable`` or ``stop_after`` names none of ``passes``, and
    when ``disable`` names a required one.
    """

    passes: tuple[Pass, ...]
    verify: Callable[..., object] | None = verify_stage
    disable: frozenset[str] = frozenset()
    stop_after: str | None = None
    bisect_limit: int | None = None
    observe: Callable[[Pass, Any, Any, float], object] | None = None

    def __post_init__(self) -> None:
        names = [p.name for p in self.passes]
        for wanted in sorted(self.disable) + ([self.stop_after] if self.stop_after is not None else []):
            if wanted not in names:
                raise _unknown("pass", wanted, names)
        for step in self.passes:
            if step.name in self.disable and is_required(step):
                raise LeptonError(f"pass {step.name} always runs: what follows needs its work")

    @property
    def selected(self) -> tuple[Pass, ...]:
        """The passes that run, in order."""
        passes = self.passes
        if self.stop_after is not None:
            last = max(i for i, p in enumerate(passes) if p.name == self.stop_after)
            passes = passes[: last + 1]
        chosen = [p for p in passes if p.name not in self.disable]
        limit = len(chosen) if self.bisect_limit is None else self.bisect_limit
        return tuple(p for n, p in enumerate(chosen) if n < limit or is_required(p))

    def __call__(self, ir: Any) -> Any:
        for step in self.selected:
            ir = self._apply(step, ir)
        return ir

    def _apply(self, step: Pass, before: Any) -> Any:
        start = time.perf_counter()
        after = step(before)
        seconds = time.perf_counter() - start
        if self.observe is not None:
            self.observe(step, before, after, seconds)
        if self.verify is not None and after is not before:  # a value: what was right is so still
            self.verify(after, after=step.name, before=before)
        return after


def _options(step: Any) -> list[dataclasses.Field]:
    return [f for f in dataclasses.fields(step) if f.name != "name"]


def pass_text(step: Pass) -> str:
    """``fuse{max-insts=12,repeat=2}``: the name, and the options that differ from their defaults."""
    options = ((f, getattr(step, f.name)) for f in _options(step))
    items = [f"{f.name.replace('_', '-')}={_value_text(value)}" for f, value in options if value != _default(f)]
    return step.name + (f"{{{','.join(items)}}}" if items else "")


def _default(field: dataclasses.Field) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_JSON_WORDS = ("true", "false", "null")


def _value_text(value: Any) -> str:
    if isinstance(value, str) and _WORD.match(value) and value not in _JSON_WORDS:
        return value
    return json.dumps(value, separators=(",", ":"))


_PASS = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)(?:\{(.*)\})?\Z", re.DOTALL)
_OPTION = re.compile(r"""\s*([A-Za-z][A-Za-z0-9_-]*)\s*(?:=\s*("(?:[^"\\]|\\.)*"|\[[^\]]*\]|[^,"\[\]{}\s]+))?\s*(,|\Z)""")


def parse_pass(text: str, known: Iterable[Any]) -> Pass:
    """The pass that ``pass_text`` prints as ``text``; ``known`` are the pass classes to choose from.

    An option without a value is true; a list becomes a tuple. Raises LeptonError for text that does not parse, an
    unknown pass or option (with near names), or a value of another type than the option's default.
    """
    match = _PASS.match(text.strip())
    if match is None:
        raise LeptonError(f"pass {text!r}: expected a name, or name{{option=value,...}}")
    classes = {cls.name: cls for cls in known}
    if match[1] not in classes:
        raise _unknown("pass", match[1], classes)
    cls = classes[match[1]]
    fields = {f.name: f for f in _options(cls)}
    options = {}
    for key, value in _parse_options(match[1], match[2] or ""):
        if key not in fields:
            raise _unknown(f"option of pass {match[1]}", key.replace("_", "-"), [f.replace("_", "-") for f in fields])
        options[key] = _checked(match[1], fields[key], value)
    return cls(**options)


def _parse_options(name: str, text: str) -> list[tuple[str, Any]]:
    found, position = [], 0
    while position < len(text):
        match = _OPTION.match(text, position)
        if match is None:
            raise LeptonError(f"pass {name}: cannot read its options at {text[position:]!r}; expected option=value,...")
        found.append((match[1].replace("-", "_"), True if match[2] is None else _parse_value(name, match[2])))
        position = match.end()
    return found


def _parse_value(name: str, text: str) -> Any:
    if _WORD.match(text) and text not in _JSON_WORDS:
        return text
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        raise LeptonError(f"pass {name}: {text!r} is no value; expected a number, true, false, a word, "
                          "\"text\" or a list of those") from None
    return _as_tuple(value)


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def _checked(name: str, field: dataclasses.Field, value: Any) -> Any:
    default = _default(field)
    if default is None or value is None or type(value) is type(default):
        return value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    raise LeptonError(f"pass {name}: option {field.name.replace('_', '-')} is of type {type(default).__name__}, "
                      f"got {value!r}")


def _unknown(what: str, name: str, names: Iterable[str]) -> LeptonError:
    choices = sorted(set(names))
    near = difflib.get_close_matches(name, choices, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(choices) or 'none'}"
    return LeptonError(f"unknown {what} {name!r}; {hint}")
