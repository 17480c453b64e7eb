"""Loops that change some elements of an array in each trip go through those elements, not through the array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import driver, lax
from leptonc import numpy as lnp
from leptonc.codegen.step.build import build_step
from leptonc.codegen.step.step import ControlUnit, Step
from leptonc.target import host_target

TRIPS, SIZE = 20, 4000


def loop(body: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    return lambda a: lax.fori_loop(0, TRIPS, body, a)


def total(body: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """The gradient of what a loop makes of elements of an array."""
    def of(a: Any) -> Any:
        return lax.scan(lambda c, i: (body(a, i) + 0.5 * lnp.sin(c), None), lnp.ones((), a.dtype), lnp.arange(TRIPS))[0]

    return leptonc.grad(of)


def rows(body: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    return lambda a: lax.fori_loop(0, TRIPS, body, a.reshape(-1, 10))


UPDATES: dict[str, Callable[[Any], Any]] = {
    "swap": loop(lambda i, a: a.at[i].set(a[7 * i]).at[7 * i].set(a[i])),
    "three": loop(lambda i, a: a.at[i].set(a[i + 1]).at[i + 1].set(a[i + 2]).at[i + 2].add(1.0)),
    "windows": loop(lambda i, a: lax.dynamic_update_slice(a, lax.dynamic_slice(a, (i,), (8,)) * 2, (i + 1,)).at[i].set(0.0)),
    "static places": loop(lambda i, a: a.at[3].add(a[i]).at[5:9].set(a[0:4])),
    "read before and after": loop(lambda i, a: a.at[i].set(a[i + 3]).at[i + 1].set(a[i] * 2)),
    "versions side by side": loop(lambda i, a: (lambda b: b.at[i + 2].set(b[i + 5] - a[i]))(a.at[i].set(a[i + 1]))),
    "places in an array": loop(lambda i, a: a.at[lnp.array([i, i + 1, i + 5])].set(a[lnp.array([i + 7, i + 1, 2])])),
    "sums at places": loop(lambda i, a: a.at[lnp.array([i, i, i + 5])].add(a[lnp.array([i + 7, i + 1, 2])])),
    "products": loop(lambda i, a: a.at[lnp.array([i, i + 1])].multiply(a[i + 1])),
    "cond": loop(lambda i, a: lax.cond(a[i] > 0.5, lambda a: a.at[i].set(0.0), lambda a: a, a)),
    "cond, two updates": loop(lambda i, a: lax.cond(
        a[i] > 0.5, lambda a: a.at[i].set(a[i + 2]), lambda a: a.at[i + 1].add(1.0), a)),
    "switch": loop(lambda i, a: lax.switch(i % 3, [lambda a: a.at[i].set(0.0), lambda a: a.at[0].add(a[i]), lambda a: a], a)),
    "cond in cond": loop(lambda i, a: lax.cond(
        i > 3, lambda a: lax.cond(a[i] > 0, lambda a: a.at[i].set(0.0), lambda a: a, a), lambda a: a.at[9].set(1.0), a)),
    "update behind cond": loop(lambda i, a: lax.cond(a[i] > 0.5, lambda a: a.at[i].set(0.0), lambda a: a, a).at[i + 1].add(2.0)),
    "loop in cond": loop(lambda i, a: lax.cond(
        a[i] > 0.5, lambda a: lax.fori_loop(0, 3, lambda j, a: a.at[i + j].add(1.0), a), lambda a: a, a)),
    "cond in while": lambda a: lax.while_loop(
        lambda c: c[0] < TRIPS,
        lambda c: (c[0] + 1, lax.cond(c[1][c[0]] > 0, lambda a: a.at[c[0]].set(0.0), lambda a: a, c[1])), (0, a))[1],
    "while": lambda a: lax.while_loop(
        lambda c: c[0] < TRIPS, lambda c: (c[0] + 1, c[1].at[c[0]].set(c[1][c[0] + 1]).at[c[0] + 1].set(0.0)), (0, a))[1],
    "nested": loop(lambda i, a: lax.fori_loop(0, 5, lambda j, a: a.at[i + j].add(a[j]), a).at[i].set(0.0)),
    "rows": rows(lambda i, m: m.at[i].set(m[0] + 1).at[:, 3].add(m[i, 2])[:, ::1]),
    "cells": rows(lambda i, m: m.at[i, lnp.array([1, 3])].add(m[0, 1] + 1)),
    "rows changed about": rows(lambda i, m: m.at[lnp.array([i, 0])].set(m[lnp.array([0, i])])),
    "complex": lambda a: lax.fori_loop(0, TRIPS, lambda i, a: a.at[i].set(a[i + 1] * 1j).at[0].add(1), a + 1j * a),
    "bools": lambda a: lax.fori_loop(0, TRIPS, lambda i, a: a.at[i].set(~a[i + 1]).at[0].set(a[1]), a > 0.5),
    "examples": lambda a: leptonc.vmap(lambda a, k: lax.fori_loop(
        0, TRIPS, lambda i, a: a.at[i + k].set(a[i + 1]).at[i + 1].set(0.0), a))(a.reshape(2, -1), lnp.arange(2)),
    "two arrays": lambda a: lax.fori_loop(0, TRIPS, lambda i, c: (c[0].at[i].set(c[1][i]), c[1].at[i].set(c[0][i])), (a, a * 2)),
}
GRADIENTS: dict[str, Callable[[Any], Any]] = {
    "an element": total(lambda a, i: a[i]),
    "two elements": total(lambda a, i: a[i] * a[i + 1] + a[3]),
    "a window": total(lambda a, i: lnp.sum(lax.dynamic_slice(a, (i,), (5,)) ** 2)),
    "places in an array": total(lambda a, i: lnp.sum(a[lnp.array([i, i + 3, i])])),
    "a row": total(lambda a, i: lnp.sum(lnp.sin(a.reshape(-1, 10)[i]))),
    "two rows": total(lambda a, i: lnp.sum(lnp.sin(a.reshape(-1, 10)[i] * a.reshape(-1, 10)[i + 1]) * a[i])),
    "static places": total(lambda a, i: lnp.sum(a[5:8]) * a[i] - a[-1]),
    "an update": leptonc.grad(lambda a: lnp.sum(lax.scan(
        lambda c, i: (c.at[i].set(lnp.sin(c[i + 1])), None), a, lnp.arange(TRIPS))[0] ** 2)),
    "examples": leptonc.grad(lambda a: lnp.sum(leptonc.vmap(
        lambda k: lax.scan(lambda c, i: (c * a[i + k] + 1, None), 1.0, lnp.arange(TRIPS))[0])(lnp.arange(3)))),
}
CASES = {**UPDATES, **{f"gradient: {name}": f for name, f in GRADIENTS.items()}}


@pytest.fixture(scope="module", params=CASES, ids=CASES)
def case(request):
    return CASES[request.param]


def bodies(step: Step) -> Iterator[Step]:
    """Those of loops, and of what is in them."""
    for launch in step.launches:
        if isinstance(launch.unit.schedule, ControlUnit):
            for body in launch.unit.schedule.bodies:
                yield body
                yield from bodies(body)


def test_nothing_goes_through_the_array_in_each_trip(case):
    """Neither memory of the array's size beside it, nor a kernel of as many points as it has elements."""
    a = np.random.default_rng(0).standard_normal(SIZE).astype(np.float32)
    traced = leptonc.jit(case).trace(a)
    program = driver.lower(driver.optimize(traced.graph), traced.interface.aliases(traced.graph))
    found = list(bodies(build_step(program, host_target())))
    assert found
    for body in found:
        assert body.program.arena_bytes < SIZE
        assert sum(launch.cost for launch in body.launches if not isinstance(launch.unit.schedule, ControlUnit)) < SIZE


def test_it_gives_what_it_gives_op_by_op(case):
    a = np.random.default_rng(0).standard_normal(SIZE).astype(np.float32)
    call = leptonc.jit(case)
    with leptonc.disable_jit():
        wanted = leptonc.tree.leaves(call(a))
    for threads in (1, 2):
        leptonc.set_num_threads(threads)
        try:
            found = leptonc.tree.leaves(call(a.copy()))
        finally:
            leptonc.set_num_threads(None)
        for got, want in zip(found, wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_an_array_that_is_used_later_is_not_overwritten():
    """What a branch updates begins as a copy then; so does a chain of updates."""
    def f(a: Any, p: Any) -> Any:
        updated = lax.cond(p, lambda a: a.at[2].set(7.0), lambda a: a, a)
        twice = a.at[1].set(5.0).at[3].set(a[0])
        return updated, twice, a * 2

    a = np.arange(6, dtype=np.float32)
    for p in (True, False):
        updated, twice, double = leptonc.jit(f)(a, p)
        np.testing.assert_array_equal(updated, [0, 1, 7 if p else 2, 3, 4, 5])
        np.testing.assert_array_equal(twice, [0, 5, 2, 0, 4, 5])
        np.testing.assert_array_equal(double, 2 * a)


def test_one_array_may_become_two():
    """Both results of a branch begin as the same array."""
    def f(a: Any, p: Any) -> Any:
        return lax.cond(p, lambda x, y: (x.at[0].set(1.0), y.at[1].set(2.0)), lambda x, y: (y, x), a, a)

    a = np.zeros(3, np.float32)
    for p, wanted in ((True, ([1, 0, 0], [0, 2, 0])), (False, ([0, 0, 0], [0, 0, 0]))):
        for got, want in zip(leptonc.jit(f)(a, p), wanted):
            np.testing.assert_array_equal(got, want)


def test_branches_may_exchange_what_they_update():
    def f(a: Any, b: Any, p: Any) -> Any:
        return lax.cond(p, lambda a, b: (b.at[0].set(9.0), a), lambda a, b: (a.at[1].set(8.0), b.at[2].set(a[0])), a, b)

    a, b = np.arange(3, dtype=np.float32), np.arange(10, 13, dtype=np.float32)
    for p, wanted in ((True, ([9, 11, 12], [0, 1, 2])), (False, ([0, 8, 2], [10, 11, 0]))):
        for got, want in zip(leptonc.jit(f, donate_argnums=(0, 1))(a.copy(), b.copy(), p), wanted):
            np.testing.assert_array_equal(got, want)


def test_the_number_of_a_branch_is_not_overwritten():
    """Threads look at it one after the other."""
    def f(i: Any, a: Any) -> Any:
        choices = [lambda i, a: (lax.fori_loop(0, 3, lambda j, i: i * 2 + 1, i), a @ a), lambda i, a: (i, a * 2)]
        return lax.fori_loop(0, 4, lambda _, c: lax.switch(c[0], choices, *c), (i, a))

    a = np.eye(300, dtype=np.float32)
    for start, wanted in ((0, 7), (1, 1)):
        number, found = leptonc.jit(f)(np.int32(start), a)
        assert number == wanted
        np.testing.assert_array_equal(found, a * (16 if start else 8))


def test_long_chains_of_sums_are_not_gone_through_for_each():
    """Of what is no lookup, and of lookups: neither deep recursion nor time that grows as the square."""
    def residual(n: int) -> Callable[[Any], Any]:
        def f(x: Any) -> Any:
            for i in range(n):
                x = x + lnp.sin(x) * x[i % 5]
            return lnp.sum(x)

        return f

    def nodes(n: int) -> int:
        return len(leptonc.jit(leptonc.grad(residual(n))).trace(np.ones(5, np.float32)).graph.nodes)

    assert nodes(1500) < 16 * nodes(100)
