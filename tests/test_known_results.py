"""What leptonc's functions make of known arrays, arguments that are results as they are too, meets traced indices."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp
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
