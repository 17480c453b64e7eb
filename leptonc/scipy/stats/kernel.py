"""``gaussian_kde``: a density of samples, as a mixture of one normal distribution around each."""

from __future__ import annotations

from collections.abc import Callable
from math import log, pi
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc import random
from leptonc.arguments import array
from leptonc.arguments import shape as shape_of
from leptonc.errors import ArgumentError, DtypeError, ShapeError, op_error
from leptonc.numpy import linalg
from leptonc.numpy.elementwise import as_float
from leptonc.scipy.special import logsumexp, ndtr

NAME = "gaussian_kde"


class gaussian_kde:
    """The density of ``dataset`` [d, n], or [n], estimated by normal distributions around its n points.

    Their covariance is that of the points times the square of a factor: Scott's or Silverman's, a number, or what a function of the
    estimate gives (``bw_method``). ``weights`` [n] are the points', all alike by default. Raises ShapeError, DtypeError or
    ArgumentError.
    """

    def __init__(self, dataset: Any, bw_method: str | float | Callable[[Any], Any] | None = None, weights: Any = None):
        points = lnp.atleast_2d(as_float(array(NAME, "dataset", dataset)))
        if points.dtype.kind == "c":
            raise op_error(NAME, "takes real numbers", {"dataset": points}, kind=DtypeError)
        if len(points.shape) != 2 or points.shape[1] < 2:
            raise op_error(NAME, "dataset must be [d, n] or [n] with two points or more", {"dataset": points}, kind=ShapeError)
        self.dataset, (self.d, self.n) = points, points.shape
        given = lnp.ones(self.n, points.dtype) if weights is None else lnp.astype(array(NAME, "weights", weights), points.dtype)
        if given.shape != (self.n,):
            raise op_error(NAME, "there must be as many weights as points", {"dataset": points, "weights": given}, kind=ShapeError)
        self.weights = given / lnp.sum(given)
        self.neff = 1 / lnp.sum(self.weights**2)
        self.factor = self._factor(bw_method)
        apart = points - lnp.sum(points * self.weights, axis=1, keepdims=True)
        spread = lnp.matmul(apart * self.weights, lnp.matrix_transpose(apart)) / (1 - lnp.sum(self.weights**2))
        self.covariance = spread * self.factor**2
        self.inv_cov = linalg.inv(self.covariance)

    def _factor(self, method: Any) -> Any:
        if method is None or method == "scott":
            return self.scotts_factor()
        if isinstance(method, str) and method == "silverman":
            return self.silverman_factor()
        if callable(method):
            return method(self)
        if isinstance(method, str):
            raise op_error(NAME, f"bw_method={method!r} must be 'scott', 'silverman', a number or a function", {},
                           kind=ArgumentError)
        return lnp.astype(array(NAME, "bw_method", method), self.dataset.dtype)

    def scotts_factor(self) -> Any:
        """neff ** (-1 / (d + 4)), of the effective number of points."""
        return self.neff ** (-1 / (self.d + 4))

    def silverman_factor(self) -> Any:
        """(neff (d + 2) / 4) ** (-1 / (d + 4))."""
        return (self.neff * (self.d + 2) / 4) ** (-1 / (self.d + 4))

    def logpdf(self, x: Any) -> Any:
        """The logarithm of the density at points x [d, m], or [m]; of one point [d]."""
        at = self._points(x)
        return self._log_normal(at, self.covariance, lnp.log(self.weights))

    def pdf(self, x: Any) -> Any:
        """The density at points x [d, m], or [m]; of one point [d]."""
        return lnp.exp(self.logpdf(x))

    evaluate = __call__ = pdf

    def integrate_box_1d(self, low: Any, high: Any) -> Any:
        """The probability of [low, high], in one dimension."""
        if self.d != 1:
            raise op_error(NAME, "integrate_box_1d is of one dimension", {"dataset": self.dataset}, kind=ShapeError)
        scale = lnp.sqrt(self.covariance[0, 0])
        high, low = ((array(NAME, "an end", v) - self.dataset[0]) / scale for v in (high, low))
        return lnp.sum(self.weights * (ndtr(high) - ndtr(low)))

    def integrate_gaussian(self, mean: Any, cov: Any) -> Any:
        """The integral of the density times a normal one."""
        centre = lnp.reshape(lnp.atleast_1d(as_float(array(NAME, "mean", mean))), (-1, 1))
        spread = lnp.atleast_2d(as_float(array(NAME, "cov", cov)))
        if centre.shape != (self.d, 1) or spread.shape != (self.d, self.d):
            raise op_error(NAME, f"mean and cov must be of {self.d} dimensions", {"mean": centre, "cov": spread}, kind=ShapeError)
        return lnp.exp(self._log_normal(centre, self.covariance + spread, lnp.log(self.weights)))[0]

    def integrate_kde(self, other: gaussian_kde) -> Any:
        """The integral of the product of both densities."""
        if not isinstance(other, gaussian_kde) or other.d != self.d:
            raise op_error(NAME, f"other must be a gaussian_kde of {self.d} dimensions", {}, kind=ArgumentError)
        found = self._log_normal(other.dataset, self.covariance + other.covariance, lnp.log(self.weights))
        return lnp.sum(lnp.exp(found) * other.weights)

    def resample(self, key: Any, shape: Any = ()) -> Any:
        """Draws [d, *shape]."""
        extents = shape_of(NAME, shape)
        which, moved = random.split(key)
        chosen = random.choice(which, self.n, extents, p=self.weights)
        kind = self.dataset.dtype
        noise = random.multivariate_normal(moved, np.zeros(self.d, kind), self.covariance, extents, kind)
        return lnp.take(self.dataset, chosen, axis=1) + lnp.moveaxis(noise, -1, 0)

    def _points(self, x: Any) -> Any:
        at = lnp.atleast_2d(lnp.astype(as_float(array(NAME, "x", x)), self.dataset.dtype))
        if at.shape == (1, self.d):
            return lnp.reshape(at, (self.d, 1))
        if len(at.shape) != 2 or at.shape[0] != self.d:
            raise op_error(NAME, f"x must be points [{self.d}, m]", {"x": at}, kind=ShapeError)
        return at

    def _log_normal(self, at: Any, covariance: Any, weights: Any) -> Any:
        """[m]: log of the sum of normal densities around the points, by weights in logarithms."""
        factor = linalg.cholesky(covariance)
        apart = lnp.expand_dims(at, 2) - lnp.expand_dims(self.dataset, 1)
        flat = linalg.solve(factor, lnp.reshape(apart, (self.d, -1)))
        squares = lnp.reshape(lnp.sum(flat**2, axis=0), apart.shape[1:])
        size = lnp.sum(lnp.log(lnp.diagonal(factor))) + 0.5 * self.d * log(2 * pi)
        return logsumexp(-0.5 * squares - size + weights, axis=1)
