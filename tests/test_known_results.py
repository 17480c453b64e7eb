"""What leptonc's functions make of known arrays, arguments that are results as they are too, meets traced indices."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp
from leptonc.errors import LeptonError
from leptonc.nn import initializers
from leptonc.scipy import linalg

ENDS = np.array([0.0, 1, 2, 5])
MADE = {
    "linspace": lambda x: lnp.linspace(0, 1, 5), "eye": lambda x: lnp.eye(5), "asarray": lambda x: lnp.asarray(ENDS),
    "histogram": lambda x: lnp.histogram(x, ENDS)[1], "histogram_bin_edges": lambda x: lnp.histogram_bin_edges(x, ENDS),
    "histogram2d": lambda x: lnp.histogram2d(x, x, (ENDS, ENDS))[1],
    "histogramdd": lambda x: lnp.histogramdd(lnp.stack([x, x], 1), (ENDS, ENDS))[1][0],
    "broadcast_arrays": lambda x: lnp.broadcast_arrays(ENDS, np.zeros(4))[0],
    "broadcast_to": lambda x: lnp.broadcast_to(ENDS, (4,)),
    "atleast_1d": lambda x: lnp.atleast_1d(ENDS), "atleast_2d": lambda x: lnp.atleast_2d(np.ones((3, 3))),
    "real": lambda x: lnp.real(ENDS), "trim_zeros": lambda x: lnp.trim_zeros(ENDS), "squeeze": lambda x: lnp.squeeze(ENDS),
    "reshape": lambda x: lnp.reshape(ENDS, (4,)), "astype": lambda x: lnp.astype(ENDS, "f8"), "sort": lambda x: lnp.sort(ENDS),
    "hadamard": lambda x: linalg.hadamard(4), "dft": lambda x: linalg.dft(4), "pascal": lambda x: linalg.pascal(4),
    "zeros": lambda x: initializers.zeros(None, (4,)), "unique": lambda x: lnp.unique(ENDS),
    "ix_": lambda x: lnp.ix_(np.arange(3))[0],
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.filterwarnings("ignore::leptonc.notices.LeptonWarning")
def test_it_takes_traced_places(name):
    x, at = np.arange(6, dtype="f4"), np.array([0, 1, 1], "i4")
    found = leptonc.jit(lambda at, x: MADE[name](x)[at])(at, x)
    np.testing.assert_array_equal(found, np.asarray(MADE[name](x))[at])
    assert type(MADE[name](x)) is np.ndarray


@pytest.mark.filterwarnings("ignore")
def test_no_name_gives_a_plain_array_in_a_trace():
    """Of all public functions of arrays, called with known ones: the next one that returns its argument is found here, or that
    ends otherwise than by an error of leptonc's."""
    whole = np.array([[4.0, 1, 2], [1, 4, 0.5], [2, 0.5, 4]])
    arguments = [(x, *more) for x in (whole, whole[0], whole.astype("i4"), whole + 1j) for more in ((), (1,), (x,))]
    plain, asked = set(), set()

    def calls(y):
        for module in (lnp, lnp.linalg, lnp.fft, linalg):
            for name in module.__all__:
                function = getattr(module, name)
                for given in arguments if callable(function) and not isinstance(function, type) else ():
                    try:
                        found = leptonc.tree.leaves(function(*(np.copy(a) if isinstance(a, np.ndarray) else a for a in given)))
                    except LeptonError:  # it takes no such arguments
                        continue
                    asked.add(name)
                    plain.update({f"{module.__name__}.{name}"} if any(type(x) is np.ndarray for x in found) else ())
        return y

    leptonc.jit(calls).trace(np.zeros(1, np.float32))
    assert plain == set() and len(asked) > 250
