"""Names that take or make complex numbers, in the notation of ``forms.py``: programs about them have families of their own."""

from __future__ import annotations

from tests.fuzz.families import Family

PARTS = Family("parts", "fc", 0, """
{lnp.real|lnp.imag|lax.real|lax.imag|lnp.abs|lnp.absolute|lax.abs|lnp.angle}(<complex>)
{lnp.conj|lnp.conjugate|lax.conj|lnp.positive|lnp.negative|lax.neg|lnp.copy}(<complex>)
<complex>.{real|imag|conj()}
lnp.angle(<complex>, deg=True)
lax.complex(lnp.real(<complex>), lnp.imag(<complex>) * 2)
lnp.real(<complex>) + 1j * lnp.imag(<complex>)
lnp.real(<x>) {+|-|*} {1j|(0.5-2j)}
{lnp.iscomplex|lnp.isreal|lnp.isnan|lnp.isinf|lnp.isfinite|lnp.logical_not}(<complex>)
<x>.astype({np.complex64|np.complex128|lnp.complex64|lnp.complex128})
lax.convert_element_type(<x>, {np.complex64|np.complex128})
lnp.real(<complex>).astype(np.complex64)
{lnp.nan_to_num|lnp.zeros_like|lnp.ones_like}(<complex>)
{lnp.full_like|lax.full_like}(<complex>, {2|1j|(0.5+1j)})
<complex> * {lnp.iscomplexobj(<complex>)|lnp.isrealobj(<complex>)}
lax.stop_gradient(<complex>)
""", 2)

ARITHMETIC = Family("complex arithmetic", "c", 0, """
<x> {+|-|*} <y>
<x> {+|-|*} <y>
<x> / (lnp.abs(<y>) + 1)
<x> / (<y> * lnp.conj(<y>) + 1)
{lnp.divide|lnp.true_divide}(<x>, <y>)
{lnp.add|lnp.subtract|lnp.multiply}(<x>, <y>)
{lax.add|lax.sub|lax.mul}(<x>, <same>)
lax.div(<x>, <same> + 3)
<x> {+|-|*} lnp.real(<same>)
<x> {*|+} {2|0.5|1j|(1.5-0.5j)}
{2|1j} {-|/} (<x> + 4)
{lnp.square|lax.square|lnp.reciprocal|lax.reciprocal|lnp.sign|lax.sign}(<x>)
<x> ** {2|3|0|-1|-2|0.5|1.5|1j}
lax.integer_pow(<x>, {0|1|2|3|-1|-2|5})
{lnp.power|lnp.pow|lax.pow}(<x>, <same>)
{lnp.equal|lnp.not_equal|lax.eq|lax.ne}(<x>, <same>)
<x> {==|!=} lnp.conj(<x>)
lnp.where({lnp.real(<x>) > 0|<x> == <same>}, <x>, <same>)
lnp.where(lnp.abs(<x>) > 1, <x> / lnp.abs(<x>), <x>)
lax.select_n(lnp.imag(<x>) > 0, <x>, <same>)
lnp.select([lnp.real(<x>) > 1, lnp.imag(<x>) > 0], [<x> * 2, <same>], {0|1j})
{lnp.isclose|lnp.allclose}(<x>, <same>{|, equal_nan=True|, rtol=0.5, atol=0.25})
{lnp.array_equal|lnp.array_equiv}(<x>, <same>)
{lnp.logical_and|lnp.logical_or|lnp.logical_xor}(<x>, <same>)
lnp.polyval(<vector>, <x>)
lnp.vectorize(lambda a, b: a * b + 1)(<x>, <same>)
leptonc.checkpoint(lambda v: lnp.exp(v * 0.25) * v)(<x>)
lax.fori_loop(0, 3, lambda i, v: v * (0.5 + 0.25j) + i, <x>)
lax.while_loop(lambda t: t[0] < 3, lambda t: (t[0] + 1, t[1] * t[1] * 0.25 + {<x>|1j}), (0, <x>))[1]
""", 4)

FUNCTIONS = Family("complex functions", "c", 0, """
{lnp.exp|lax.exp|lnp.expm1|lax.expm1|lnp.exp2|lax.exp2}(<x> * {1|0.5|1j})
{lnp.log|lax.log|lnp.log2|lnp.log10|lnp.log1p|lax.log1p}(<x>)
{lnp.log|lax.log}(<x> + 3)
{lnp.sqrt|lax.sqrt}(<x>{| * <x>|+ 2})
lax.rsqrt(<x> + {2|2j})
{lnp.sin|lax.sin|lnp.cos|lax.cos}(<x>)
{lnp.sinh|lax.sinh|lnp.cosh|lax.cosh}(<x>)
{lnp.tan|lax.tan|lnp.tanh|lax.tanh}(<x> * 0.25)
{lnp.asin|lnp.arcsin|lax.asin|lnp.acos|lnp.arccos|lax.acos|lnp.atan|lnp.arctan|lax.atan}(<x>)
{lnp.asinh|lnp.arcsinh|lax.asinh|lnp.acosh|lnp.arccosh|lax.acosh|lnp.atanh|lnp.arctanh|lax.atanh}(<x>)
lax.logistic(<x>)
lnp.sinc(<x> * 0.5)
""", 3)

COMPLEX_SUMS = Family("complex sums", "c", 1, """
lnp.{sum|mean|prod}(<x>, <axes>{|, keepdims=True})
lnp.{std|var}(<x>, <axes>{|, keepdims=True|, ddof=1})
lnp.{any|all|count_nonzero}(<x>, <axes>)
lnp.{sum|mean|prod}(<x>, <axes>, where=<mask>)
lnp.{nansum|nanprod|nanmean}(lnp.where(<mask>, <x>, np.nan), <axes>)
lnp.{sum|prod|mean}(<x>, {None|<axis>}, dtype={np.complex64|np.complex128})
lnp.{sum|prod}(<x>, <axes>, initial={1|2j})
lnp.{cumsum|cumprod}(<x>, {None|<axis>})
lnp.{cumulative_sum|cumulative_prod}(<x>, axis=<axis>{|, include_initial=True})
lax.{cumsum|cumprod}(<x>, <dim>{|, reverse=True})
lax.{reduce_sum|reduce_prod}(<x>, <dims>)
lax.reduce(<x>, lnp.zeros((), <x>.dtype), {lax.add|lambda a, b: a + b + a * b}, <dims>)
lax.reduce(<x>, lnp.ones((), <x>.dtype), lax.mul, <dims>)
lax.reduce_window(<x>, 0.0, lax.add, <window>, <strides>, {'SAME'|'VALID'|<pairs>})
lax.reduce_window(<x>, 1.0, lax.mul, <window>, <strides>, {'SAME'|'VALID'|<pairs>})
lax.associative_scan({lnp.add|lax.mul|lambda a, b: a + b + a * b}, <x>{|, reverse=True}, axis=<dim>)
lnp.average(<x>, <axes>)
lnp.linalg.{norm|vector_norm}(<x>{|, keepdims=True})
leptonc.segments.segment_{sum|prod}(<x>, <ids>, <n>)
lax.scan(lambda c, v: (c * 0.5 + v, c * v), lnp.zeros_like(<x>[0]), <x>)
lnp.diff(<x>{|, 2}{|, axis=<axis>})
lnp.gradient(<x>{|, 0.5}, axis=<axis>)
lnp.trapezoid(<x>, axis=<axis>)
""", 2)

COMPLEX_PRODUCTS = Family("complex products", "c", 1, """
{lnp.matmul|lnp.dot}(<x>, <matrix>)
<x> @ <matrix>
{lnp.inner|lnp.vecdot|lnp.vdot}(<x>, <same>)
lnp.vecdot(<x>, <same>, axis=<axis>)
lnp.matvec(<x>, <row>)
lnp.vecmat(<x>, <matrix>)
lnp.outer(<row>, <vector>)
lnp.kron(<x>, {<vector>|<row>|<scalar>})
lnp.einsum('...i,...i->...', <x>, lnp.conj(<same>))
lnp.einsum('...i,ij->...j', <x>, <matrix>)
lnp.einsum('...i,j->j...i', <x>, <vector>)
lnp.tensordot(<x>, <matrix>, 1)
lnp.{convolve|correlate}(<row>, <vector>, '{full|same|valid}')
lnp.{polyadd|polysub|polymul}(<row>, <vector>)
lnp.vander(<row>{|, <n>|, <n>, True})
lnp.matrix_transpose(lnp.conj(<x>)) @ <x>
lnp.real(<x>) @ <matrix>
lnp.linalg.{matmul|vecdot|outer}(<x>, <same>)
lnp.linalg.matrix_power(<x>, {0|1|2|3})
lnp.linalg.multi_dot([<x>, <matrix>])
""", 2, 300, square=True)

TRANSFORMS = Family("transforms", "fc", 1, """
lnp.fft.{fft|ifft}(<x>{|, <n>|, 12}{|, norm='ortho'|, norm='forward'|, norm='backward'})
lnp.fft.{fft|ifft}(<x>, axis=<axis>)
lnp.fft.{fft2|ifft2}(<x>)
lnp.fft.{fftn|ifftn}(<x>{|, norm='ortho'})
lnp.fft.rfft(lnp.real(<x>){|, <n>|, 9}{|, norm='ortho'})
lnp.fft.rfft(lnp.real(<x>), axis=<axis>)
lnp.fft.{rfft2|rfftn}(lnp.real(<x>))
lnp.fft.{irfft|hfft}(<complex>, {None|5|8}{|, norm='ortho'|, norm='forward'})
lnp.fft.ihfft(lnp.real(<x>))
lnp.fft.{irfft2|irfftn}(<complex>)
lnp.fft.ifft(lnp.fft.fft(<x>) * lnp.fft.fft(<row>))
lnp.fft.irfft(lnp.fft.rfft(lnp.real(<x>)), <extent_or_more>)
lnp.fft.{fftshift|ifftshift}(<x>{|, <axis>})
lnp.sum(<x>) * lnp.fft.{fftfreq|rfftfreq}(<n>)
lax.fft(<complex>, '{fft|ifft}', (<last>,))
lax.fft(lnp.real(<x>), lax.FftType.RFFT, (<last>,))
lnp.abs(lnp.fft.fft(<x>)) ** 2
""", 3, 2000)

COMPLEX_FAMILIES = (PARTS, ARITHMETIC, FUNCTIONS, COMPLEX_SUMS, COMPLEX_PRODUCTS, TRANSFORMS)
