"""What the fuzzer claims about results: which errors it must see, and where it may not ask for more than arithmetic gives."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.errors import LeptonError
from leptonc.ir.op import all_ops
from tests.fuzz import rounding
from tests.fuzz.check import Checker
from tests.fuzz.generate import program
from tests.fuzz.rounding import Expected
from tests.fuzz.worker import has_no_derivative

pytestmark = pytest.mark.filterwarnings("ignore::leptonc.notices.LeptonWarning")  # programs mix dtypes, and donate anything


def expected(f, *args):
    return Expected(leptonc.jit(f).trace(*args).graph, [np.asarray(a) for a in args])


R = np.random.default_rng(0)


def test_every_op_is_known_to_round_or_not():
    """A new op has to be told: as it is, one that rounds would be taken for exact."""
    routed = {"conv_input_grad_routed", "conv_weight_grad_routed", *rounding.OF_PASSES}  # of passes, not of traces
    kinds = {"mod", "floordiv"}.union(rounding.DIRECT, rounding.SUMS, rounding.CONVOLUTIONS, rounding.INEXACT, rounding.ALONG,
                                      rounding.EXACT, rounding.BACKWARD, rounding.BITS, rounding.TRANSFORMS,
                                      rounding.WRITTEN_OUT)
    own = {name for name, op in all_ops().items() if type(op).__module__.startswith("leptonc.")}
    assert own - routed == kinds & own


def test_an_error_in_the_last_places_is_seen():
    """Thirty units of roundoff of what is summed are too many."""
    x, w = R.standard_normal((5, 40)).astype("f"), R.standard_normal((40, 3)).astype("f")
    right = (x.astype(float) @ w).astype("f")
    e = expected(lambda x, w: x @ w, x, w)
    assert e.check([right]) is None
    wrong = right.copy()
    wrong[3, 1] += 300 * np.finfo("f").eps * (np.abs(x) @ np.abs(w))[3, 1]
    assert "(3, 1)" in e.check([wrong])


def test_what_is_exact_is_compared_to_the_bit():
    x = (R.integers(-8, 9, (6, 7)) / 4).astype("f")
    e = expected(lambda x: lnp.sum(x * x, 1), x)
    right = (x * x).sum(1)
    assert e.check([right]) is None
    assert e.check([np.nextafter(right, np.float32(np.inf))]) is not None


def test_what_is_zero_product_by_product_is_zero():
    x, w = np.zeros((3, 4), "f"), R.standard_normal((4, 2)).astype("f")
    assert expected(lambda x, w: x @ w, x, w).check([np.full((3, 2), 1e-12, "f")]) is not None


def test_where_rounding_decides_nothing_is_claimed():
    """The maximum of two values that are equal but for rounding may be at either; of others it may not."""
    x = np.array([0.1, 0.2, 0.3], "f")
    near = expected(lambda x: lnp.argmax(lnp.stack([x * 3, x * 7 - x * 4]), 0), x)
    far = expected(lambda x: lnp.argmax(lnp.stack([x * 3, x * 7 - x * 3]), 0), x)
    assert near.check([np.array([0, 1, 0])]) is None
    assert far.check([np.array([1, 1, 1])]) is None
    assert far.check([np.array([1, 0, 1])]) is not None


def test_parts_of_complex_numbers_are_judged_each():
    """A product's by the products of the parts, so that a small one beside a great one has its errors, and few digits are exact."""
    x, y = np.array([3 + 4j, 0.1 + 0.7j], "c8"), np.array([4 + 3j, 0.3 - 0.2j], "c8")
    e, right = expected(lambda x, y: x * y, x, y), x * y
    assert right[0] == 25j and e.check([right]) is None
    assert "(0, 0)" in e.check([right + np.array([1e-6, 0], "c8")])
    assert "(1, 1)" in e.check([right + np.array([0, 1e-4j], "c8")])
    assert e.check([right + np.array([0, 1e-7j], "c8")]) is None


def test_of_infinite_parts_nothing_is_claimed():
    z = np.array([complex(np.inf, np.nan), 2 + 1j], "c8")
    e = expected(lambda z: lnp.exp(z), z)
    assert e.check([np.array([complex(np.nan, np.nan), np.exp(2 + 1j)], "c8")]) is None
    assert e.check([np.array([complex(np.nan, np.nan), np.exp(2 + 1.0001j)], "c8")]) is not None


def test_errors_of_transforms_are_those_of_their_norm():
    x = R.standard_normal(50).astype("f")
    e, right = expected(lambda x: lnp.fft.rfft(x), x), np.fft.rfft(x.astype(float)).astype("c8")
    assert e.check([right]) is None and e.check([right + np.float32(1e-6)]) is None
    assert e.check([right + np.float32(1e-3)]) is not None


def test_a_sum_may_cancel_to_nothing():
    """0.1 + 0.2 - 0.3 is 0 in one order of adding and not in another; 0.1 + 0.2 is not."""
    x = np.array([[0.1, 0.2, -0.3], [0.1, 0.2, 0.0]])
    e = expected(lambda x: lnp.sum(x, 1) != 0, x)
    assert e.check([np.array([True, True])]) is None
    assert e.check([np.array([False, True])]) is None
    assert e.check([np.array([False, False])]) is not None


def test_noise_of_noise_is_that_of_its_own_precision():
    """What is left of a mean of equal numbers is 1e-8 in f32 and 1e-17 in f64, and so are sums over it."""
    x = np.full((7, 3), 0.1, "f")

    def f(x):
        rest = x - lnp.mean(x, 0)
        return lnp.sum(rest * lnp.array([1, 1, 1, 1, 1, 1, -6], "f")[:, None], 0)

    e = expected(f, x)
    assert e.check([np.full(3, 3e-15, "f")]) is None
    assert e.check([np.full(3, 1e-5, "f")]) is not None


def test_equal_values_stay_a_tie():
    """Zeros behind a ReLU are equal: the first one is the greatest."""
    x = -np.ones((1, 2, 2, 1), "f")
    e = expected(lambda x: lnp.argmax(leptonc.nn.relu(x).reshape(-1)), x)
    assert e.check([np.array(0)]) is None
    assert e.check([np.array(1)]) is not None


@pytest.mark.parametrize("extreme", [lnp.max, lnp.min])
def test_the_greatest_of_zeros_of_both_signs_may_be_either(extreme):
    """It depends on the order; of zeros of one sign, beside others, it is of that sign."""
    x = np.array([[0.0, -0.0, -0.0], [-0.0, -0.0, -0.0], [0.0, 0.0, 0.0]], "f")
    e = expected(lambda x: extreme(x, 1), x)
    assert e.check([np.array([0.0, -0.0, 0.0], "f")]) is None
    assert e.check([np.array([-0.0, -0.0, 0.0], "f")]) is None
    assert e.check([np.array([0.0, 0.0, 0.0], "f")]) is not None
    assert e.check([np.array([0.0, -0.0, -0.0], "f")]) is not None


def test_a_quotient_is_whole_and_exact_while_it_has_room():
    x, y = np.array([1e30, 7.0, 3e6], "f"), np.array([-3.5, 2.0, 7.0], "f")
    e, right = expected(lnp.floor_divide, x, y), np.array([-2.857143e29, 3.0, 428571.0], "f")
    assert e.check([right]) is None
    assert e.check([right * np.array([1 + 1e-4, 1, 1], "f")]) is not None
    assert e.check([right + np.array([0, 1, 0], "f")]) is not None and e.check([right - np.array([0, 0, 1], "f")]) is not None


def test_what_is_less_than_half_the_least_number_is_zero():
    """As the second moment of a small gradient in f16, by whose root Adam then divides."""
    e = expected(lambda x: 1 / (x * x), np.array([1e-4, 0.5], np.float16))
    assert e.check([np.array([np.inf, 4.0], np.float16)]) is None
    assert e.check([np.array([6e4, 4.0], np.float16)]) is not None


LEAST = 2.0**-24  # of f16, which has 10 digits from 2**-14 on and fewer below


def test_below_the_normal_numbers_results_are_those_of_the_dtype():
    """In f16 2.6 units become 3, of which 0.18 are one unit and not none; 2.5 become 2 or 3."""
    x = np.array([1.0, 1.0009766], np.float16)

    def remains(units):
        small = np.float16(units * 2.0**-12)
        return expected(lambda x: x * small * np.float16(2.0**-12) * np.float16(0.18) != 0, x)

    assert remains(2.6).check([np.array([True, True])]) is None
    assert remains(2.6).check([np.array([False, True])]) is not None
    assert remains(2.5).check([np.array([False, True])]) is None


def test_small_numbers_of_f16_are_not_flushed():
    """As those of f32 are, which compiled code flushes and NumPy does not."""
    narrow = expected(lambda x: x * 0.3 != 0, np.full(1, 5 * LEAST, np.float16))
    wide = expected(lambda x: x * 0.3 != 0, np.full(1, 1e-39, "f"))
    assert narrow.check([np.array([True])]) is None and narrow.check([np.array([False])]) is not None
    assert wide.check([np.array([True])]) is None and wide.check([np.array([False])]) is None


@pytest.mark.parametrize("reverse", [False, True])
def test_products_behind_one_that_is_flushed_may_be_zero(reverse):
    x = np.array([1e-20, 1e-18, 0.9, 2.0, 3.0], "f")
    x, order = (x[::-1], slice(None, None, -1)) if reverse else (x, slice(None))
    e = expected(lambda x: lax.cumprod(x, reverse=reverse), x)
    kept = np.cumprod(x[order].astype(float)).astype("f")
    flushed = np.where(np.arange(5) < 1, kept, np.float32(0))
    wrong = np.where(np.arange(5) == 0, np.float32(0), kept)
    assert e.check([kept[order]]) is None and e.check([flushed[order]]) is None
    assert e.check([wrong[order]]) is not None


def test_a_small_number_of_f16_is_compared():
    e, right = expected(lambda x: x * 0.3, np.full(1, 2e-5, np.float16)), np.array([6e-6], np.float16)
    assert e.check([right]) is None
    assert e.check([right * np.float16(1.2)]) is not None


@pytest.mark.parametrize("dtype, argument", [("f4", 9.3), ("f2", 5.0)])
def test_saturated_values_may_all_be_equal(dtype, argument):
    """tanh(9.3) is 1 in f32, and the derivative of 300 of them 0; independent errors of each would never leave nothing."""
    def slopes(x):
        y = lnp.tanh(x)
        return lnp.sum(1 - y * y) != 0

    assert expected(slopes, np.full(300, argument, dtype)).check([np.array(False)]) is None
    assert expected(slopes, np.full(300, 2.0, dtype)).check([np.array(False)]) is not None


def test_of_saturated_values_any_may_be_the_greatest():
    """And the gradient of a pool goes there; f64 alone tells them apart."""
    def greatest(*x):
        return expected(lambda x: lnp.argmax(lnp.tanh(x)), np.array(x, "f"))

    assert all(greatest(3.0, 9.3, 9.6, 9.8).check([np.array(n)]) is None for n in (1, 2, 3))
    assert greatest(3.0, 9.8, 4.0).check([np.array(2)]) is not None


def test_a_long_sum_of_f16_is_added_up_in_f32():
    """And does not come near 65,504 where the absolute values of 2,048 products add up to 1,500."""
    x, w = R.standard_normal((3, 2048)).astype(np.float16), R.standard_normal((2048, 2)).astype(np.float16)
    e = expected(lambda x, w: x @ w, x, w)
    right = (x.astype(float) @ w).astype(np.float16)
    assert e.unclaimed == 0 and e.check([right]) is None
    assert e.check([right * np.float16(1.1)]) is not None
    assert e.check([np.full((3, 2), np.inf, np.float16)]) is not None


def test_a_power_that_underflows_may_be_a_zero_of_any_signs():
    e = expected(lambda x, y: x ** y, np.array([-3.5 + 0.5j]), np.array([1 + 1e30j]))
    assert all(e.check([np.array([z])]) is None for z in (0j, -0j, complex(-0.0, 0.0))) and e.check([np.array([1e-3j])]) is not None


def test_powers_go_by_a_phase():
    e = expected(lambda x: x ** x, np.array([-2 + 0j], "c8"))
    assert e.check([np.array([0.25 - 4.4e-8j], "c8")]) is None and e.check([np.array([0.25 - 4.4e-4j], "c8")]) is not None


def test_a_zero_times_what_rounding_made_has_either_sign():
    """1 / (0.35j) by its phase is 1e-7 - 2.86j, or -1e-7 - 2.86j; nothing added to -0.0 leaves it as it is."""
    e = expected(leptonc.grad(lambda x, y: lnp.imag(lnp.sum(lnp.pow(x, y)))), np.array([0.35j], "c8"), np.array([0j], "c8"))
    assert e.check([np.array([complex(0.0, 0.0)], "c8")]) is e.check([np.array([complex(0.0, -0.0)], "c8")]) is None
    e = expected(lambda x: x * 2, np.array([-0.0], "f4"))
    assert e.check([np.array([-0.0], "f4")]) is None and e.check([np.array([0.0], "f4")]) is not None


def test_a_sum_of_few_digits_may_have_had_more_on_the_way():
    """Sixteenths, whose sum is a power of two by chance: f32 has no room for the sixteenths of sums half as large."""
    e = expected(lambda x: lnp.sum(x), np.array([2.0**15 + 0.0625, 2.0**15 - 0.0625] * 512, "f4"))
    assert e.base[0] == 2.0**25 and e.check([np.float32(2.0**25 - 4)]) is None
    assert e.check([np.float32(2.0**25 + 2**14)]) is not None
    few = expected(lambda x: lnp.sum(x), np.arange(16, dtype="f4"))
    assert few.check([np.float32(120)]) is None and few.check([np.float32(120.00001)]) is not None


def test_extremes_of_complex_numbers_are_claimed():
    x = R.standard_normal((3, 4)) + 1j * R.standard_normal((3, 4))
    x[0] = [0, -0.0, -1, -2]
    e = expected(lambda x: lnp.max(x, 1), x)
    assert e.check([np.max(x, 1)]) is None and e.check([-np.max(x, 1)]) is not None


def test_what_may_overflow_is_not_certainly_nan():
    """Here it is NaN where the sums overflow or cancel, and 1 where they do neither, as f16 may have it."""
    x = np.array([1.1, 32000.0, 32000.0, -32000.0], np.float16)

    def f(x):
        rest, large = x[0] * 7 - x[0] * 4 - x[0] * 3, lnp.sum(x[1:])
        return rest / rest * (large / large)

    e = expected(f, x)
    assert np.isnan(e.base[0]) and e.check([np.array(1.0, np.float16)]) is None
    assert e.check([np.array(np.nan, np.float16)]) is None


def test_most_results_are_claimed():
    """Of whole programs nothing is claimed of 5 % of the results (of f16 10); a model that claims less sees less."""
    shares = list[float]()
    for seed in range(45):
        try:
            with np.errstate(all="ignore"):
                shares.append(Checker(program(seed), seed).expected.unclaimed)
        except LeptonError as error:
            assert has_no_derivative(error), error
    assert len(shares) >= 40
    assert np.mean(shares) < 0.06
    assert np.mean(np.array(shares) == 0) > 0.8


def test_reinterpreted_bits_are_flushed_too():
    """The number next to 0 is more than 0 op by op, and none in compiled code."""
    near = expected(lambda x: lax.bitcast_convert_type(lax.bitcast_convert_type(x, np.uint32) ^ 1, x.dtype) > 0, np.zeros(1, "f"))
    assert near.check([np.array([True])]) is None and near.check([np.array([False])]) is None


def test_where_many_elements_are_uncertain_more_runs_are_made():
    """Signs of rounding errors, and behind them those of numbers that are certain."""
    x = np.concatenate([np.zeros(100), np.ones(5)]).astype("f")
    e = expected(lambda x: lnp.sign((x + 1) * np.float32(0.3) - np.float32(0.3)), x)
    assert e.check([np.sign(x)]) is None
    assert e.check([np.where(np.arange(105) == 104, 0, np.sign(x)).astype("f")]) is not None
    assert len(e.runs) == rounding.MOST_RUNS


def test_signs_of_zeros_that_complex_products_underflow_to_are_not_claimed():
    """Of 1e-35 (1 + i)^2 the real part is a difference of products that are both flushed, or one of them, fused with the other."""
    e = expected(lambda x: x * x, np.array([1e-35 + 1.0001e-35j], "c8"))
    assert all(e.check([np.array([complex(re, im)], "c8")]) is None for re in (0.0, -0.0) for im in (0.0, -0.0))
    e = expected(lambda x: x * x, np.array([0j], "c8"))
    assert e.check([np.array([complex(-0.0, 0.0)], "c8")]) is not None


def test_the_bits_of_nan_may_be_those_of_another_nan():
    """The sign of log(-1) is not said: without its last bit it is 1.75, or NaN."""
    def shifted(x):
        return lax.bitcast_convert_type(lax.bitcast_convert_type(lnp.log(x), np.uint32) >> 1, np.float32)

    e = expected(shifted, np.array([-1.0, 3.0], "f4"))
    right = np.array([np.log(3)], "f4").view("u4") >> 1
    for first in (np.nan, 1.75):
        assert e.check([np.array([first, right.view("f4")[0]], "f4")]) is None
    assert e.check([np.array([1.75, 1.0], "f4")]) is not None


def test_eigenvalues_that_nearly_coincide_may_coincide():
    """Their derivatives of second order are NaN then."""
    def slopes(x):
        inner = leptonc.grad(lambda x: lnp.sum(lnp.linalg.eigvalsh(x + x.T)) ** 2)
        return leptonc.grad(lambda x: lnp.sum(inner(x) ** 2))(x)

    low = np.outer(np.arange(1, 6), np.ones(5)).astype("f4")
    assert expected(slopes, low).check([np.full((5, 5), np.nan, "f4")]) is None
    assert expected(slopes, np.diag(np.arange(5.0)).astype("f4")).check([np.full((5, 5), np.nan, "f4")]) is not None


def test_ints_divided_by_zero_are_known():
    """JAX has other results there."""
    for divisor, known in ((np.array([2, 0]), True), (np.array([2, 1]), False)):
        for divide in (lambda x, y: x // y, lambda x, y: x % y):
            assert expected(divide, np.array([3, 3]), divisor).by_zero is known
            assert not expected(divide, np.array([3.0, 3.0]), divisor * 1.0).by_zero


@pytest.mark.parametrize("dtype", ["f4", "c8"])
def test_products_of_many_may_overflow_before_they_meet_a_zero(dtype):
    many = np.append(np.full(200, 2.0), 0).astype(dtype)
    nothing = np.full((), complex(np.nan, np.nan) if dtype == "c8" else np.nan, dtype)
    assert expected(lambda x: lnp.prod(x), many).check([nothing]) is None
    assert expected(lambda x: lnp.prod(x), many[100:]).check([nothing]) is not None
    if dtype == "f4":  # of complex numbers it is written out, and in its order nothing overflows here
        assert expected(lambda x: lnp.cumprod(x)[-1], many).check([nothing]) is None
