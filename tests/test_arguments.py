"""Arguments taken apart by native code: what it accepts, what it leaves to the long way, and that both agree."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import leptonc
from leptonc.errors import DonationError, DtypeError
from leptonc.runtime.arguments import layout_is_known

pytestmark = pytest.mark.skipif(not layout_is_known(), reason="this interpreter lays arrays out in another way")


def exact(f, *args, donate=()):
    """What the short way makes of arguments that ``f`` was compiled for with others like them."""
    jitted = leptonc.jit(f, donate_argnums=donate)
    jitted(*(np.array(a) for a in args))
    assert jitted._shortcut is not None
    return lambda *given: jitted._shortcut((given, {}))


def test_arrays_of_the_type_go_the_short_way():
    run = exact(lambda a, b: (a + b, a.sum()), np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32))
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((2, 3), np.float32)
    done, (total, summed) = run(a, b)
    assert done and summed == 15
    np.testing.assert_array_equal(total, a + b)
    done, (total, _) = run(a, a)  # one array twice
    np.testing.assert_array_equal(total, 2 * a)


def test_equal_dtypes_need_not_be_one_object():
    run = exact(lambda a: a * 2, np.zeros(3, np.float32))
    a = pickle.loads(pickle.dumps(np.ones(3, np.float32)))
    assert run(a)[0]
    assert run(np.ones(3, np.dtype(np.float32, metadata={"unit": "m"})))[0]


@pytest.mark.parametrize("other", [
    np.zeros((2, 3), np.float64), np.zeros((2, 3), np.int32), np.zeros((2, 3), ">f4"), np.zeros((3, 2), np.float32),
    np.zeros(6, np.float32), np.zeros((2, 3, 1), np.float32), [[0.0] * 3] * 2, 0.0, np.float32(0), None,
    np.ma.zeros((2, 3), np.float32),
], ids=lambda x: f"{type(x).__name__}-{getattr(x, 'dtype', '')}{getattr(x, 'shape', '')}{getattr(x, 'strides', '')}")
def test_all_others_do_not(other):
    run = exact(lambda a: a + 1, np.zeros((2, 3), np.float32))
    assert run(other) == (False, None)


@pytest.mark.parametrize("other", [
    np.arange(12, dtype=np.float32).reshape(2, 6)[:, ::2], np.arange(6, dtype=np.float32).reshape(3, 2).T,
    np.arange(25, dtype=np.uint8)[1:].view(np.float32).reshape(2, 3), np.broadcast_to(np.float32(3), (2, 3)),
], ids=["strided", "transposed", "misaligned", "broadcast"])
def test_of_arrays_that_do_not_lie_in_order_a_copy_goes_the_short_way(other):
    done, result = exact(lambda a: a + 1, np.zeros((2, 3), np.float32))(other)
    assert done
    np.testing.assert_array_equal(result, other + 1)
    assert exact(lambda a: a + 1, np.zeros((2, 3), np.float32), donate=0)(other) == (False, None)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.bool_, np.complex64])
def test_scalars_of_numpy_go_the_short_way(dtype):
    run = exact(lambda a: a * 2, dtype(1))
    done, result = run(dtype(1))
    assert done and result == 2 * dtype(1)
    assert run(np.float16(1)) == (False, None)


def test_a_read_only_array_is_read_but_not_given_away():
    a = np.zeros(3, np.float32)
    a.flags.writeable = False
    assert exact(lambda a: a + 1, a)(a)[0]
    assert not exact(lambda a: a + 1, a, donate=0)(a)[0]


def test_donated_memory_that_is_shared_is_refused_whatever_moved_last():
    f = leptonc.jit(lambda a, b, c: (a + b.sum() + c.sum(), c * 2), donate_argnums=0)
    block = np.arange(12, dtype=np.float32)
    a, b, c = block[:4], block[4:8], block[8:]
    for _ in range(3):
        f(a, b, c)
    for bad in ((a, block[3:7], c), (a, b, a), (block[5:9], b, c)):
        with pytest.raises(DonationError):
            f(*bad)
        f(a, b, c)
    f(a, b, b)  # what is not donated may be shared


def test_results_of_any_size_are_new_and_right(rng):
    f = leptonc.jit(lambda a: (a * 2, a.sum(), a > 0))
    for size in (0, 1, 1000, 5000):
        a = rng.standard_normal(size).astype(np.float32)
        for _ in range(2):
            twice, _, positive = f(a)
            np.testing.assert_array_equal(twice, a * 2)
            np.testing.assert_array_equal(positive, a > 0)
            assert not np.shares_memory(twice, a) and twice.flags.owndata | (twice.base is not None)


@pytest.mark.parametrize("call", [leptonc.jit, leptonc.freeze], ids=["jit", "freeze"])
def test_numbers_of_python_go_the_short_way_where_they_went_before(call):
    f = call(lambda a, s: a * s)
    a = np.ones(3, np.float32)
    for s in (2.0, 3.0):
        assert f(a, s).dtype == np.float32
        assert f._shortcut(((a, s), {}) if call is leptonc.jit else (a, s))[0]
    np.testing.assert_array_equal(f(a, 5.0), 5)
    for other in (2, True, 2j, np.float64(2.0), np.float32(2.0), np.array(2.0)):  # programs of their own
        assert f._shortcut(((a, other), {}) if call is leptonc.jit else (a, other)) == (False, None)
    assert f(a, np.float64(2.0)).dtype == f(a, np.array(2.0)).dtype == np.float64
    assert f(a, 2.0).dtype == np.float32


def test_static_values_are_compared_on_the_short_way(monkeypatch):
    f = leptonc.jit(lambda a, n=1: a * n, static_argnames="n")
    a = np.ones(3, np.float32)
    for n in (2, 2, 2.0, True, 3, 2):
        np.testing.assert_array_equal(f(a, n=n), n)
    assert f.compiles == 4
    np.testing.assert_array_equal(f(a), 1)  # the same leaves
    np.testing.assert_array_equal(f(a, 3), 3)
    monkeypatch.setattr(f, "_find", None)  # the long way
    np.testing.assert_array_equal(f(a, 3), 3)


def test_an_int_that_does_not_fit_goes_the_long_way():
    f = leptonc.jit(lambda s: s + 1)
    assert f(1) == 2 and f(2**62) == 2**62 + 1
    assert f._shortcut(((2**64,), {})) == (False, None)
    with pytest.raises(DtypeError):
        f(2**64)


def test_signatures_may_take_turns():
    f = leptonc.jit(lambda tree: tree["a"] + 1)
    small, large = np.zeros(2, np.float32), np.zeros(9)
    for _ in range(3):
        assert f({"a": small}).shape == (2,)
        assert f({"a": large}).dtype == np.float64
        assert f({"a": large, "b": small}).shape == (9,)
    assert f.compiles == 3
