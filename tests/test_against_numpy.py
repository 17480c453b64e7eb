"""Every function that leptonc.numpy shares with NumPy, called in the ways that people call it, of six dtypes: the same shapes,
kinds of numbers and values, or a clear error. What is meant otherwise stands in ``APART``, with dtypes and reason."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from leptonc import numpy as lnp
from leptonc.errors import LeptonError
from leptonc.numpy import fft, linalg

MODULES = {"": (lnp, np), "linalg.": (linalg, np.linalg), "fft.": (fft, np.fft)}
ALL, INTS = ("f4", "f2", "c8", "i4", "u1", "?"), ("i4", "u1", "?")
APART: dict[str, tuple[tuple[str, ...], str]] = {
    "argpartition partition": (ALL, "only the element at the place asked for is settled"),
    "unique_values": (ALL, "in ascending order, which the standard leaves open"),
    "linalg.eigh linalg.eigvalsh linalg.svd": (ALL, "of matrices that are symmetric; of any signs (tests/linalg)"),
    "linalg.eig linalg.eigvals": (ALL, "complex always, as in JAX: NumPy looks at the values"),
    "linalg.lstsq": (ALL, "residues of matrices of any rank, as JAX has them"),
    "linalg.matrix_rank": (ALL, "the second argument is rtol, as in the array API and JAX"),
    "linalg.cond linalg.pinv gradient": (INTS, "of a singular matrix, or between equal places, any quotient"),
    "polydiv polymul": (ALL, "zeros in front stay: how many there are may not be known"),
    "searchsorted interp": (ALL, "of what ascends (tests/test_searching)"),
    "argsort lexsort": (ALL, "equal elements keep their order"),
    "poly roots": (ALL, "complex always: NumPy looks at the values"),
    "reciprocal": (INTS, "in floats, as in JAX"),
    "dot inner outer kron linalg.outer linalg.cross union1d setdiff1d": (INTS, "Python's numbers are of the array's dtype"),
    "around round conj conjugate square": (("?",), "stay bools, where NumPy makes f16 or i8"),
    "quantile nanquantile percentile nanpercentile spacing": (INTS, "in f64"),
    "polyval trapezoid unwrap": (("u1", "?"), "differences don't wrap, and True and True are 2"),
    "fft.hfft fft.irfft fft.irfftn": (("f2",), "transforms of f16 are computed and returned in f32, as in JAX"),
    "unravel_index": (INTS, "of the dtype of the places"),
}
SPECIAL = ([1, np.inf], [np.inf, np.inf, 2, 3], [-np.inf, 1], [-np.inf, np.inf], [np.nan, 1, 2], [np.nan, np.inf, -0.0], [-0.0],
           [3e38, -3e38], [1e-45, 3e38], [[np.inf, 1], [2, 3]], [[np.nan, 1], [2, 3]], [np.nan, np.nan], [])
WRITING = frozenset({"save", "savez", "savez_compressed", "load", "fromfile", "frombuffer", "fromfunction", "empty", "empty_like",
                     "copyto", "place", "put", "putmask", "printoptions", "set_printoptions"})
KEYS = [(prefix, name) for prefix, (own, theirs) in MODULES.items() for name in sorted(dir(own))
        if callable(getattr(own, name)) and not isinstance(getattr(own, name), type) and callable(getattr(theirs, name, None))
        and name not in WRITING]


def is_apart(name: str, dtype: str) -> bool:
    return any(name in names.split() and dtype in dtypes for names, (dtypes, _) in APART.items())


def array(rng: np.random.Generator, dtype: str, *shape: int) -> np.ndarray:
    if dtype[0] in "fc":
        x = rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if dtype[0] == "c" else 0)
    else:
        x = rng.integers(-3 if dtype[0] == "i" else 0, 4, shape)
    return x.astype(dtype)


def calls(dtype: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    rng = np.random.default_rng(0)
    v, w, u, m, n, s, t = (array(rng, dtype, *shape) for shape in ((4,), (4,), (4,), (3, 4), (4, 3), (3, 3), (3, 3)))
    places, there = np.array([2, 0, 1]), np.array([True, False, True, False])
    with np.errstate(over="ignore"):
        special = {} if dtype[0] not in "f" else {f"special {n}": (np.array(x, dtype),) for n, x in enumerate(SPECIAL)}
    return iter({**special,
                 "v": (v,), "m": (m,), "s": (s,), "v, w": (v, w), "m, m": (m, m[::-1].copy()), "s, t": (s, t), "m, n": (m, n),
                 "v, 2": (v, 2), "m, 0": (m, 0), "list": ([v, w],), "v, places": (v, places), "s, places": (s, places),
                 "v, w, u": (v, w, u), "there, v, w": (there, v, w)}.items())


def leaves(out: Any) -> list[np.ndarray]:
    return [x for part in out for x in leaves(part)] if isinstance(out, tuple | list) else [np.asarray(out)]


def difference(found: Any, wanted: Any, floats: bool) -> str | None:
    """``floats``: of floats no wider ones come."""
    a, b = leaves(found), leaves(wanted)
    if len(a) != len(b):
        return f"{len(a)} results, not {len(b)}"
    for x, y in zip(a, b):
        if y.dtype.kind not in "biufc":
            continue
        if x.shape != y.shape or x.dtype.kind.replace("u", "i") != y.dtype.kind.replace("u", "i"):
            return f"{x.dtype}{list(x.shape)}, not {y.dtype}{list(y.shape)}"
        if floats and x.itemsize > y.itemsize:
            return f"{x.dtype}, not {y.dtype}"
        if not np.allclose(x.astype(y.dtype), y, *(2 * [1e-2 if y.itemsize == 2 else 1e-3]), equal_nan=True):
            return f"{x.ravel()[:4]}, not {y.ravel()[:4]}"
    return None


@pytest.mark.parametrize("dtype", ALL)
def test_functions_agree_with_numpys(dtype: str) -> None:
    wrong, compared = [], 0
    for prefix, name in KEYS:
        if is_apart(prefix + name, dtype):
            continue
        own, theirs = (getattr(module, name) for module in MODULES[prefix])
        for label, args in calls(dtype):
            if label.startswith("special") and (prefix or name in ("cov", "corrcoef")):
                continue  # sums of infinities by other formulas, and in f64 there
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                try:
                    wanted = theirs(*args)
                except Exception:  # whatever NumPy says of what it does not take
                    continue
                try:
                    found = own(*args)
                except LeptonError:
                    continue
            compared += 1
            if text := difference(found, wanted, dtype[0] in "fc"):
                wrong.append(f"{prefix}{name}({label}) of {dtype}: {text}")
    assert not wrong, "\n".join(wrong)
    assert compared > 800


def test_positions_of_bools_make_an_open_grid() -> None:
    x = np.arange(12).reshape(3, 4)
    rows, columns = lnp.ix_(np.array([True, False, True]), np.array([1, 3]))
    np.testing.assert_array_equal(x[rows, columns], [[1, 3], [9, 11]])
