"""Names that the fuzzer does not draw yet: compared by tests of their own, with NumPy (test_numpy_names.py,
test_order_functions.py, test_lax_names.py, test_linalg.py), with JAX (tests/peers) and by the array API suite (tests/array_api)."""

from __future__ import annotations

NOT_DRAWN = {
    "lnp": """
__array_api_version__ __array_namespace_info__ acos acosh allclose amax amin append apply_along_axis apply_over_axes arccos
arccosh arcsin arcsinh arctan arctanh argpartition argsort argwhere around array_equal array_equiv array_split asin asinh atan
atan2 atanh atleast_1d atleast_2d atleast_3d average bartlett bincount bitwise_count bitwise_left_shift bitwise_right_shift
blackman block bool broadcast_shapes can_cast cbrt choose column_stack compress conj conjugate convolve copy copysign corrcoef
correlate cov cross deg2rad degrees delete diag diag_indices diag_indices_from diagflat diagonal diff digitize double dsplit
dstack dtype ediff1d empty_like euler_gamma exp2 extract fabs fill_diagonal finfo flatnonzero fliplr flipud float_ float_power
floating fmax fmin fmod frexp from_dlpack fromfunction gcd generic geomspace gradient hamming hanning heaviside histogram
histogram_bin_edges hsplit hypot i0 identity iinfo imag index_exp indices inexact inner insert int_ integer interp intersect1d
isclose iscomplex iscomplexobj isdtype isin isneginf isposinf isreal isrealobj isscalar issubdtype iterable ix_ kaiser kron lcm
ldexp lexsort logaddexp2 logspace matvec median meshgrid modf nanmedian nanpercentile nanquantile ndim nextafter nonzero number
partition percentile piecewise polyadd polyder polyint polymul polysub polyval promote_types ptp quantile rad2deg radians
ravel_multi_index real resize result_type roll rollaxis rot90 s_ searchsorted select setdiff1d setxor1d shape signbit
signedinteger sinc single size sort spacing trace trapezoid tri tril tril_indices tril_indices_from trim_zeros triu triu_indices
triu_indices_from uint union1d unique unique_all unique_counts unique_inverse unique_values unravel_index unsignedinteger
unstack unwrap vander vecdot vecmat vectorize vsplit
""",
    "lax": """
abs acos acosh approx_max_k approx_min_k argmax argmin asin asinh atan atan2 atanh bessel_i0e bessel_i1e bitcast_convert_type
bitwise_and bitwise_not bitwise_or bitwise_xor broadcast broadcast_shapes cbrt ceil clz concatenate convert_element_type cos
cosh digamma div eq erfc exp exp2 expand_dims expm1 floor full full_like ge gt integer_pow is_finite le lgamma log log1p
logistic lt min mul ne neg nextafter population_count pow reciprocal reduce_and reduce_max reduce_min reduce_or reduce_prod
reduce_sum rem reshape rev round select_n shift_left shift_right_arithmetic shift_right_logical sign sin sinh sort sort_key_val
split sqrt square squeeze stack sub tan tanh tile top_k transpose unstack zeta
""",
}
