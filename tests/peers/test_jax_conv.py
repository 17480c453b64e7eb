"""lax.conv_general_dilated against JAX's own, where JAX is installed: forward and both gradients, random options."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

import leptonc
from leptonc import lax, nn, random
from leptonc import numpy as lnp

jax = pytest.importorskip("jax")

pytestmark = pytest.mark.usefixtures("double_precision")


def random_case(rng):
    """(lhs, rhs, options) of a convolution that fits."""
    rank = int(rng.integers(1, 3))
    letters = "HW"[:rank]
    groups = int(rng.choice([1, 1, 2]))
    extents = {"N": 2, "C": 2 * groups, "O": 2 * groups, "I": 2, **{c: int(rng.integers(4, 8)) for c in letters}}
    kernel = {"O": 2 * groups, "I": 2, **{c: int(rng.integers(1, 4)) for c in letters}}
    specs = ["".join(rng.permutation(list(ends + letters))) for ends in ("NC", "OI", "NC")]
    numbers = [
        None,
        tuple(specs),
        jax.lax.conv_dimension_numbers([extents[c] for c in specs[0]], [kernel[c] for c in specs[1]], tuple(specs)),
    ][int(rng.integers(3))]
    if numbers is None:
        specs = ["NC" + letters, "OI" + letters, "NC" + letters]

    def per_axis(low, high):
        return tuple(int(n) for n in rng.integers(low, high, rank))

    pads = tuple(tuple(int(p) for p in rng.integers(-1, 4, 2)) for _ in range(rank))
    gaps = per_axis(1, 3) if rng.random() < 0.5 else (1,) * rank
    words = ["SAME", "VALID", "SAME_LOWER"] if gaps == (1,) * rank else []  # with gaps, words are an error in JAX
    padding = [*words, pads, pads][int(rng.integers(len(words) + 2))]
    options = {
        "window_strides": per_axis(1, 3),
        "padding": padding,
        "rhs_dilation": per_axis(1, 3),
        "dimension_numbers": numbers,
        "feature_group_count": groups,
        "lhs_dilation": gaps,
    }
    return rng.standard_normal([extents[c] for c in specs[0]]), rng.standard_normal([kernel[c] for c in specs[1]]), options


def test_conv_general_dilated():
    compared = 0
    for seed in range(24):
        rng = np.random.default_rng(seed)
        x, w, options = random_case(rng)
        wanted, pull = jax.vjp(lambda x, w: jax.lax.conv_general_dilated(x, w, **options), x, w)  # noqa: B023
        if 0 in wanted.shape:
            continue
        g = rng.standard_normal(wanted.shape)
        got = leptonc.jit(lambda x, w: lax.conv_general_dilated(x, w, **options))(x, w)  # noqa: B023
        grads = leptonc.jit(leptonc.grad(lambda x, w: lnp.sum(lax.conv_general_dilated(x, w, **options) * g), (0, 1)))(x, w)  # noqa: B023
        for a, b in zip((got, *grads), (wanted, *pull(g))):
            np.testing.assert_allclose(a, np.asarray(b), rtol=1e-9, atol=1e-9, err_msg=f"seed {seed}: {options}")
        compared += 1
    assert compared >= 10


def test_modules_offer_no_name_of_jax_by_accident():
    """What a module imports for itself must not be taken for JAX's function of that name."""
    for mine, theirs in ((lax, jax.lax), (nn, jax.nn), (random, jax.random), (lnp, jax.numpy), (leptonc, jax)):
        offered = [name for name, value in vars(mine).items() if not name.startswith("_") and not isinstance(value, ModuleType)]
        assert not [name for name in offered if name in dir(theirs) and name not in mine.__all__]
