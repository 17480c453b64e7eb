"""ONNX's own node tests, and how one is judged."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

import leptonc
from leptonc.errors import LeptonError
from tests.peers.onnx.model import of_model
from tests.peers.onnx.registry import NotImportedError
from tests.peers.onnx.types import held, is_small

ROUNDED = "within two units of the last place of "


@functools.cache
def node_cases(seed: int = 0) -> tuple[Any, ...]:
    """All cases, those of the ops themselves first, then those of their definitions by other ops. They are drawn here, by NumPy."""
    from onnx.backend.test.loader import load_model_tests

    np.random.seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = load_model_tests(kind="node")
    return tuple(sorted(found, key=is_expanded))


def is_expanded(case: Any) -> bool:
    return "_expanded" in case.name


@dataclass(frozen=True)
class Outcome:
    """``kind``: "right"; "rounded" (where the judge asks for more than the type has: in 16 bits, right to two units in the last
    place; of transforms, whose sums cancel to a zero beside great ones, to two of the greatest element's); "wrong" (values);
    "not imported" (the op or a type is none of ours); "missing" (leptonc refused)."""

    name: str
    kind: str
    reason: str = ""


def outcome(case: Any) -> Outcome:
    try:
        reason = difference(case)
    except NotImportedError as error:
        return Outcome(case.name, "not imported", str(error))
    except LeptonError as error:
        return Outcome(case.name, "missing", str(error).splitlines()[0])
    kind = "right" if not reason else "rounded" if reason.startswith(ROUNDED) else "wrong"
    return Outcome(case.name, kind, reason.removeprefix(ROUNDED))


def difference(case: Any) -> str:
    """What is wrong with the compiled function's results, or nothing."""
    [(inputs, expected)] = case.data_sets
    graph = of_model(case.model)
    for info, x in zip(case.model.graph.output, expected):  # extents that depend on data are given
        graph.shapes[info.name] = graph.shapes[info.name] or getattr(x, "shape", None)
    names = [i.name for i in case.model.graph.input]
    fixed = graph.known()
    given = {name: _value(x) for name, x in zip(names, inputs)}
    constant = {name: x for name, x in given.items() if name in fixed or x is None}

    def model(traced: dict[str, Any]) -> list[Any]:
        return graph.run({**constant, **traced})

    found = leptonc.jit(model)({name: x for name, x in given.items() if name not in constant})
    types = [_element_type(o) for o in case.model.graph.output]
    pairs = zip(found, map(_value, expected), types, strict=True)
    why, a, b = next(((why, a, b) for a, b, t in pairs if (why := _differs(a, b, t, case.rtol, case.atol))), ("", None, None))
    transform = case.model.graph.node[0].op_type in ("DFT", "STFT")
    return f"{ROUNDED}the greatest element" if why and transform and _is_near(np.asarray(a), b) else why


def _is_near(a: np.ndarray, b: np.ndarray) -> bool:
    """To two units in the last place of the greatest element."""
    return a.shape == b.shape and bool(np.abs(a - b).max() <= 2 * np.spacing(np.abs(b).max()))


def _element_type(info: Any) -> int | None:
    return info.type.tensor_type.elem_type if info.type.WhichOneof("value") == "tensor_type" else None


def _value(x: Any) -> Any:
    if x is None:
        return None
    if isinstance(x, list | tuple):
        return [_value(v) for v in x]
    if isinstance(x, onnx.TensorProto):
        return held(numpy_helper.to_array(x))
    return held(x)


def _differs(a: Any, b: Any, element_type: int | None, rtol: float, atol: float) -> str:
    if b is None or a is None:
        return "" if a is b else f"{a} is not {b}"
    if isinstance(b, list):
        if len(a) != len(b):
            return f"{len(a)} elements, not {len(b)}"
        return next((why for x, y in zip(a, b) if (why := _differs(x, y, element_type, rtol, atol))), "")
    a = np.asarray(a)
    if a.shape != b.shape:
        return f"shape {a.shape}, not {b.shape}"
    if a.dtype != b.dtype:
        return f"dtype {a.dtype}, not {b.dtype}"
    wide = [v.astype(np.float64) if v.dtype.kind not in "biuc" else v for v in (a, b)]
    if is_small(element_type):
        rtol, atol = 0.0, 0.0
    try:
        np.testing.assert_allclose(*wide, rtol=rtol, atol=atol)
    except AssertionError as error:
        if a.dtype.itemsize == 2 and leptonc.numpy.issubdtype(a.dtype, leptonc.numpy.floating) and _within_units(*wide, a.dtype, 2):
            return f"{ROUNDED}{a.dtype}"
        return " ".join(str(error).split())[:300]
    return ""


def _within_units(a: np.ndarray, b: np.ndarray, dtype: np.dtype, count: int) -> bool:
    info = leptonc.numpy.finfo(dtype)
    _, exponent = np.frexp(np.maximum(np.abs(b), float(info.smallest_normal)))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return bool((same | (np.abs(a - b) <= count * np.ldexp(float(info.eps), exponent - 1))).all())
