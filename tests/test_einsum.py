"""einsum beside NumPy's on generated expressions, in every way to call it; its gradients; the order of its products."""

from __future__ import annotations

import random
import string
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError, LeptonError, ShapeError

EXTENTS = {"i": 2, "j": 3, "k": 4, "B": 2, "a": 5, "z": 1}
HIDDEN = (3, 1, 2)


def expression(r: random.Random) -> tuple[str, list[tuple[int, ...]]]:
    """Subscripts with repeated letters, ellipses whose axes broadcast, axes of 1; and shapes."""
    terms, shapes = [], []
    for _ in range(r.choice((1, 2, 2, 3, 4))):
        letters = [r.choice("ijkBaz") for _ in range(r.randint(0, 3))]
        shape = [EXTENTS[c] if letters.count(c) > 1 or r.random() < 0.9 else 1 for c in letters]
        if r.random() < 0.4:
            at, count = r.randint(0, len(letters)), r.randint(0, 3)
            letters.insert(at, "...")
            shape[at:at] = [n if r.random() < 0.8 else 1 for n in HIDDEN[3 - count:]]
        terms.append("".join(letters))
        shapes.append(tuple(shape))
    text = ",".join(terms)
    if r.random() < 0.6:
        kept = [c for c in sorted(set(text) - set(".,")) if r.random() < 0.5]
        kept += ["..."] * ("..." in text)
        r.shuffle(kept)
        text += "->" + "".join(kept)
    return text, shapes


def as_lists(text: str, arrays: list[Any]) -> list[Any]:
    """The same call with a list of numbers behind each operand."""
    def numbers(part: str) -> list[Any]:
        order = string.ascii_uppercase + string.ascii_lowercase
        return [Ellipsis if c == "." else order.index(c) for c in part.replace("...", ".")]

    left, arrow, result = text.partition("->")
    found = [item for part, x in zip(left.split(","), arrays) for item in (x, numbers(part))]
    return [*found, numbers(result)] if arrow else found


@pytest.mark.parametrize("seed", range(60))
def test_generated_expressions(seed):
    r, rng = random.Random(seed), np.random.default_rng(seed)
    text, shapes = expression(r)
    kind = r.choice(("f4", "f8", "i4"))
    arrays = [(4 * rng.standard_normal(shape)).astype(kind) for shape in shapes]
    wanted = np.einsum(text, *(x.astype("f8") for x in arrays))
    summed = np.einsum(text, *(np.abs(x.astype("f8")) for x in arrays))  # rounding is relative to this
    optimize = r.choice(("auto", True, False, "greedy", "optimal"))
    close = 1e-6 if kind == "f4" else 1e-14

    def whole(*xs: Any) -> Any:
        return lnp.einsum(text, *xs, optimize=optimize)

    with leptonc.disable_jit():
        op_by_op = whole(*arrays)
    runs = [op_by_op, whole(*arrays), lnp.einsum(*as_lists(text, arrays))]
    runs += [leptonc.jit(whole)(*arrays)] if seed % 3 == 0 else []
    for got in runs:
        assert (got.shape, got.dtype) == (wanted.shape, arrays[0].dtype), (seed, text, shapes)
        assert np.all(np.abs(got - wanted) <= close * summed), (seed, text, shapes)


@pytest.mark.parametrize("seed", range(100, 112))
def test_gradients_of_generated_expressions(seed):
    """The function is linear in each operand: its derivative along a direction is its value there."""
    r, rng = random.Random(seed), np.random.default_rng(seed)
    text, shapes = expression(r)
    arrays, ways = ([rng.standard_normal(shape) for shape in shapes] for _ in range(2))
    g = rng.standard_normal(np.einsum(text, *arrays).shape)
    found = leptonc.jit(leptonc.grad(lambda xs: lnp.sum(lnp.einsum(text, *xs) * g)))(arrays)
    for n, gradient in enumerate(found):
        along = np.sum(np.einsum(text, *(ways[m] if m == n else x for m, x in enumerate(arrays))) * g)
        assert gradient.shape == arrays[n].shape
        np.testing.assert_allclose(np.sum(gradient * ways[n]), along, rtol=1e-10, atol=1e-10, err_msg=f"{seed}: {text} {shapes}")


def flops(optimize: Any) -> int:
    shapes = [leptonc.ShapeDtypeStruct(shape, "float32") for shape in ((64, 64), (64, 64), (64, 1))]
    traced = leptonc.jit(lambda *xs: lnp.einsum("ij,jk,kl->il", *xs, optimize=optimize)).trace(*shapes)
    return int(traced.lower().cost_analysis()["flops"])


def test_operands_are_contracted_in_the_cheap_order():
    """A matrix times a matrix times a vector: from the vector on."""
    cheap, dear = flops("auto"), flops(False)
    assert cheap < dear / 20 and cheap == flops("greedy") == flops([(1, 2), (0, 1)]) == flops(["einsum_path", (1, 2)])
    assert dear == flops([(0, 1), (0, 1)])


def test_many_operands():
    xs = [np.random.default_rng(n).standard_normal((2, 2)) for n in range(8)]
    text = "ab,bc,cd,de,ef,fg,gh,ha"
    np.testing.assert_allclose(lnp.einsum(text, *xs), np.trace(np.linalg.multi_dot(xs)), rtol=1e-12)


@pytest.mark.parametrize("call, kind, words", [
    (lambda x: lnp.einsum("ij,jk", x, x), ShapeError, "axis j of 'ij,jk' has extents 3 and 2"),
    (lambda x: lnp.einsum("...,...j", x, x), ShapeError, "an axis of ... of"),
    (lambda x: lnp.einsum("ii", x), ShapeError, "has extents 2 and 3"),
    (lambda x: lnp.einsum("i", x), ShapeError, "does not name each axis"),
    (lambda x: lnp.einsum("ijk...", x), ShapeError, "does not name each axis"),
    (lambda x: lnp.einsum("i....j", x), ShapeError, "may hold letters"),
    (lambda x: lnp.einsum("ij->ii", x), ShapeError, "twice or one that is not there"),
    (lambda x: lnp.einsum("ij->->k", x), ShapeError, "may hold letters"),
    (lambda x: lnp.einsum("ij,jk", x), ShapeError, "2 terms for 1 operands"),
    (lambda x: lnp.einsum(x, [0, 52]), ArgumentError, "ints from 0 to 51"),
    (lambda x: lnp.einsum(x), ArgumentError, "then the operands"),
    (lambda x: lnp.einsum("ij,ij", x, x, optimize="fast"), ArgumentError, "optimize='fast'"),
    (lambda x: lnp.einsum("ij,ij", x, x, optimize=[(0, 2)]), ArgumentError, "places of the 2 operands"),
])
def test_errors(call, kind, words):
    for run in (call, leptonc.jit(call)):
        with pytest.raises(LeptonError) as error:
            run(np.ones((2, 3), "f4"))
        assert isinstance(error.value, kind) and words in str(error.value), error.value
