"""Names by families, in the notation of ``forms.py``: what a family's lines are about, and the lines.

Lines that give numbers mostly stay within their function's domain: NaN everywhere hides what is wrong. What follows from rounding
is claimed as the ops behind a name are (``rounding.py``): a place in a sort, a bin, a set holds where no rounding can change it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Lines about a value of ``kinds`` (those of NumPy's dtypes), of at least ``rank`` axes and at most ``largest`` elements."""

    name: str
    kinds: str
    rank: int
    text: str
    weight: float = 1.0
    largest: int = 2000
    highest: int = 4
    square: bool = False

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(line.strip() for line in self.text.strip().splitlines())


ELEMENTWISE = Family("elementwise", "f", 0, """
{lnp.acos|lnp.arccos|lax.acos}(lnp.clip(<x>, -1, 1))
{lnp.asin|lnp.arcsin|lax.asin}(lnp.clip(<x>, -1, 1))
{lnp.atan|lnp.arctan|lax.atan}(<x>)
{lnp.acosh|lnp.arccosh|lax.acosh}(lnp.abs(<x>) + 1)
{lnp.asinh|lnp.arcsinh|lax.asinh}(<x>)
{lnp.atanh|lnp.arctanh|lax.atanh}(lnp.clip(<x>, -1, 1))
{lnp.acos|lnp.asin|lnp.acosh|lnp.atanh}(<x>)
{lnp.cbrt|lax.cbrt}(<x>)
{lnp.exp2|lax.exp2}(lnp.clip(<x>, -5, 5))
{lnp.deg2rad|lnp.rad2deg|lnp.degrees|lnp.radians}(<x>)
{lnp.fabs|lnp.conj|lnp.conjugate|lnp.copy|lnp.real|lnp.imag}(<x>)
{lnp.float_power}(lnp.abs(<x>) + 0.5, {2|-1.5|0.5})
{lnp.i0|lax.bessel_i0e|lax.bessel_i1e}(lnp.clip(<x>, -6, 6))
{lnp.iscomplex|lnp.isreal|lnp.isneginf|lnp.isposinf|lnp.signbit}(<x>)
{lnp.sinc|lax.erfc|lax.logistic|lax.sign|lax.neg|lax.abs|lax.square}(<x>)
{lax.digamma|lax.lgamma}(lnp.abs(<x>) + 0.5)
{lax.digamma|lax.lgamma}(<x>)
{lax.sin|lax.cos|lax.tanh|lax.floor|lax.ceil|lax.is_finite}(<x>)
lax.tan(<x> * 0.25)
lax.{sinh|cosh|exp|expm1}(lnp.clip(<x>, -3, 3))
lax.{log|log1p|sqrt|reciprocal}(lnp.abs(<x>) + 0.5)
lax.round(<x>)
lax.integer_pow(<x>, {0|2|3|-1|-2|5})
lax.zeta({2|3|5}, lnp.abs(<x>) + 0.5)
{lnp.frexp|lnp.modf}(<x>)
lnp.{spacing}(<x>)
{lnp.nextafter|lax.nextafter}(<x>, <y>)
lnp.ldexp(<x>, <integers>)
{lnp.fmax|lnp.fmin|lnp.hypot|lnp.copysign|lnp.heaviside}(<x>, <y>)
{lnp.fmod|lax.rem}(<x>, lnp.abs(<y>) + 0.5)
lnp.logaddexp2(<x>, <y>)
{lnp.atan2|lax.atan2}(<x>, <y>)
{lax.add|lax.sub|lax.mul|lax.max|lax.min}(<x>, <same>)
{lax.eq|lax.ne|lax.lt|lax.le|lax.gt|lax.ge}(<x>, <same>)
lax.div(<x>, lnp.abs(<same>) + 1)
lax.pow(lnp.abs(<x>) + 0.5, lnp.clip(<same>, -2, 2))
{lnp.isclose|lnp.allclose}(<x>, <y>{|, equal_nan=True|, rtol=0.5, atol=0.25})
{lnp.array_equal|lnp.array_equiv}(<x>, <same>)
lnp.around(<x>, {0|1|-1})
lnp.unwrap(<x> * 4, axis=<axis>)
lnp.piecewise(<x>, [<x> < 0, <x> > 1], [lambda v: v * 2, 1.5, lambda v: -v])
lnp.select([<x> > 1, <x> > <same>], [<x> * 2, <same>], {0|-1.5})
lnp.choose(lnp.astype(<x> > 0, np.int64), [<x>, <same>], mode='clip')
lax.select_n(<x> > <same>, <x>, <third>)
lax.select_n(lnp.clip(<integers>, 0, 2), <x>, <same>, <third>)
lnp.polyval(<vector>, <x>)
lnp.vectorize(lambda a, b: a * b + 1)(<x>, <same>)
lnp.vectorize(lambda v: lnp.sum(v), signature='(n)->()')(<x>)
""", 3)

BITS = Family("bits", "iu", 0, """
{lnp.bitwise_count|lax.population_count|lax.clz|lax.bitwise_not}(<x>)
{lnp.gcd|lnp.lcm}(<x>, <y>)
{lax.bitwise_and|lax.bitwise_or|lax.bitwise_xor}(<x>, <same>)
{lnp.bitwise_left_shift|lnp.bitwise_right_shift}(<x>, lnp.abs(<x> % 5))
{lax.shift_left|lax.shift_right_arithmetic|lax.shift_right_logical}(<x>, <same>)
{lnp.fmod|lax.rem|lnp.hypot|lnp.isclose}(<x>, <same>)
lnp.isin(<x>, <vector>{|, invert=True})
lax.bitcast_convert_type(<x>, <unsigned>)
lnp.{ldexp}(<real>, <x> % 7)
{lnp.unravel_index}(<x>, (3, 4))
lnp.unravel_index(lnp.clip(<x>, 0, 23), (2, 3, 4))
lnp.ravel_multi_index((<x>, <same>), (4, 5), mode='{clip|wrap}')
lnp.choose(<x>, [<same>, <third>], mode='{clip|wrap}')
lnp.{fabs|cbrt|atan|exp2|signbit|isneginf|spacing}(lnp.clip(<x>, 0, 9) * 1.0)
lax.div(<x>, lnp.where(<same> == 0, 1, <same>).astype(<x>.dtype))
lnp.bincount(lnp.ravel(lnp.abs(<x> % 7)), length=<n>)
lnp.bincount(lnp.ravel(<x> % 5), lnp.ravel(<same>), minlength=2, length=6)
lnp.interp(<x>, lnp.array([0.0, 1.0, 3.0]), lnp.array([1.0, -2.0, 4.0]))
""", 1)

FLOAT_BITS = Family("float bits", "f", 0, """
lax.bitcast_convert_type(<x>, <unsigned>)
lax.bitcast_convert_type(lax.bitcast_convert_type(<x>, <unsigned>) ^ 1, <x>.dtype)
lax.bitcast_convert_type(lax.bitcast_convert_type(<x>, <unsigned>) >> 1, <x>.dtype)
lnp.where(lnp.signbit(<x>), -lnp.copysign(2.0, <x>), <x>)
""", 0.4)

SORTS = Family("sorts", "fiub", 1, """
{lnp.sort|lnp.argsort}(<x>{, <axis>|, None|}{|, descending=True|, stable=True})
{lnp.sort|lnp.argsort}(<x>, <axis>)
lnp.lexsort((<x>, <same>){|, <axis>})
lnp.lexsort((<x> > 0, <x>), <axis>)
{lax.sort}(<x>, <dim>)
lax.sort((<x>, <same>, <third>), <dim>, num_keys={1|2|3})
lax.sort_key_val(<x>, <same>, <dim>)
lax.top_k(<x>, <count>)
lax.top_k(<x>, 1, axis=<dim>)
{lax.approx_max_k|lax.approx_min_k}(<x>, <count>)
{lnp.partition|lnp.argpartition}(<x>, <kth>, <axis>)
lnp.take_along_axis(<x>, lnp.argsort(<x>, <axis>), <axis>)
lnp.argsort(lnp.argsort(<x>, <axis>), <axis>)
lnp.searchsorted(lnp.sort(<x>, None), <vector>{|, side='right'})
lnp.searchsorted(lnp.sort(<row>), <x>{|, side='right'})
lnp.searchsorted(<row>, <x>, side='{left|right}', sorter=lnp.argsort(<row>))
lnp.digitize(<x>, <bins>{|, right=True})
lnp.digitize(<x>, <bins>[::-1]{|, right=True})
lnp.unique(<x>, size=<size>)
lnp.union1d(<x>, <vector>, size=<size>)
""", 2)

QUANTILES = Family("quantiles", "fiu", 1, """
{lnp.median|lnp.nanmedian|lnp.ptp}(<x>, <axes>{|, keepdims=True})
{lnp.quantile|lnp.nanquantile}(<x>, <q>, {None|<axis>|<axes>}, method=<method>{|, keepdims=True})
{lnp.percentile|lnp.nanpercentile}(<x>, <percent>, <axis>, method=<method>)
lnp.histogram(<x>, {3|<bins>}, {None|(-2.0, 1.5)}{|, density=True})
lnp.histogram(<x>, <bins>, weights=<same>)
lnp.histogram_bin_edges(<x>, <n>)
lnp.average(<x>, <axes>{|, keepdims=True})
lnp.average(<x>, <axis>, lnp.abs(<x>) + 1{|, True|, keepdims=True})
{lnp.cov|lnp.corrcoef}(<x>{|, <same>}{|, rowvar=False})
lnp.cov(<x>, ddof={0|2})
lnp.interp(<vector>, lnp.cumsum(lnp.ones_like(<row>)), <row>{|, left=-1.0|, right=2.0})
lnp.trapezoid(<x>{|, <same>|, dx=0.5}, axis=<axis>)
""", 1.3)

SETS = Family("sets", "fiub", 0, """
lnp.unique(<x>, size=<size>{|, fill_value=7|, fill_value=0}{|, equal_nan=False})
lnp.unique(<x>, {True|False}, {True|False}, {True|False}, size=<size>)
{lnp.unique_all|lnp.unique_counts|lnp.unique_inverse|lnp.unique_values}(<x>, size=<size>)
{lnp.intersect1d|lnp.setdiff1d|lnp.setxor1d|lnp.union1d}(<x>, <same>, size=<size>{|, fill_value=3})
lnp.intersect1d(<x>, <same>, return_indices=True, size=<size>)
lnp.isin(<x>, <vector>{|, invert=True})
{lnp.nonzero|lnp.argwhere|lnp.flatnonzero}(<x>, size=<size>{|, fill_value=5})
lnp.nonzero(<x> > 0, size=<size>)
""", 1, 120)

REDUCTIONS = Family("reductions", "fiuc", 0, """
lnp.{sum|mean|max|min|prod|std|var|any|all}(<x>, <axes>, where=<mask>{|, keepdims=True})
lnp.{sum|prod|max|min}(<x>, <axes>, initial={1|-2.5|0|3})
lnp.{max|min|amax|amin|sum|prod}(<x>, <axes>, where=<mask>, initial=1)
lnp.{amax|amin}(<x>, <axes>{|, keepdims=True})
lnp.{nansum|nanprod|nanmax|nanmin|nanmean|nanvar|nanstd}(<x>, <axes>{|, keepdims=True})
lnp.{nansum|nanprod|nanmax|nanmin|nanmean|nanvar|nanstd}(lnp.where(<mask>, <x>, np.nan), <axes>)
lnp.{nanargmax|nanargmin}({<x>|lnp.where(<mask>, <x>, np.nan)}, {None|<axis>})
lnp.{std|var}(<x>, <axes>, ddof=1)
lnp.{sum|prod|mean|cumsum|cumprod|nansum}(<x>, {None|<axis>}, dtype=<dtype>)
lnp.{cumsum|cumprod|nancumsum|nancumprod}(<x>, {None|<axis>})
lnp.{cumulative_sum|cumulative_prod}(<x>, axis=<axis>{|, include_initial=True})
lax.{cumsum|cumprod|cummax|cummin|cumlogsumexp}(<x>, <dim>{|, reverse=True})
lax.{cummax|cummin}(<x>, <dim>{|, reverse=True})
lnp.count_nonzero(<x>, <axes>{|, keepdims=True})
lax.{reduce_sum|reduce_max|reduce_min|reduce_prod}(<x>, <dims>)
lax.{argmax|argmin}(<x>, <dim>)
lax.reduce(<x>, lnp.zeros((), <x>.dtype), {lax.add|lambda a, b: a + b + a * b}, <dims>)
lax.reduce(<x>, lnp.ones((), <x>.dtype), lax.mul, <dims>)
lax.reduce((<x>, <same>), (lnp.zeros((), <x>.dtype), lnp.ones((), <x>.dtype)), lambda a, b: (a[0] + b[0], a[1] * b[1]), <dims>)
lax.reduce(<x>, lnp.asarray(-3, <x>.dtype), {lax.max|lnp.maximum|lambda a, b: lnp.where(a > b, a, b)}, <dims>)
lax.reduce_window(<x>, 0.0, lax.add, <window>, <strides>, {'SAME'|'VALID'|<pairs>})
lax.reduce_window(<x>, 0.0, lax.add, <window>, <strides>, <pairs>, <dilation>, <dilation>)
lax.reduce_window(<x>, 1.0, lax.mul, <window>, <strides>, {'SAME'|'VALID'|<pairs>})
lax.reduce_window(<x>, {-np.inf|0.5}, lax.max, <window>, <strides>, <pairs>, <dilation>, <dilation>)
lax.reduce_window(<x>, {np.inf|0.5}, lax.min, <window>, <strides>, {'SAME'|'VALID'|<pairs>})
lax.reduce_window(<x>, 0.0, lambda a, b: a + b + a * b, <window>, <strides>, {'SAME'|'VALID'|<pairs>})
lax.associative_scan({lnp.add|lnp.maximum|lax.mul|lambda a, b: a + b + a * b}, <x>{|, reverse=True}, axis=<dim>)
lax.associative_scan(lambda a, b: (a[0] * b[0], a[1] * b[0] + b[1]), (<x>, <same>), axis=<dim>)
lnp.apply_over_axes({lnp.sum|lnp.max}, <x>, <dims>)
lnp.apply_along_axis({lnp.sum|lnp.sort|lambda v: v * v[::-1]|lnp.cumsum}, <dim>, <x>)
""", 3)

TRUTHS = Family("truths", "b", 0, """
lax.{reduce_and|reduce_or}(<x>, <dims>)
lnp.{any|all}(<x>, <axes>, where=<mask>{|, keepdims=True})
lnp.{sum|max|min|prod|cumsum|cumprod|count_nonzero}(<x>, {None|<axis>})
lnp.{sort|argsort|argmax|nansum}(<x>, <axis>)
lax.{cummax|cummin}(<x>, <dim>)
lax.select_n(<x>, <same>, <third>)
lnp.where(<x>, <same>, <third>)
lnp.flatnonzero(<x>, size=<size>)
""", 0.4)

PLACES = Family("places", "fiubc", 1, """
lnp.take(<x>, <places>, <axis>{|, mode='fill'|, mode='clip'|, mode='wrap'})
lnp.take(<x>, <places>, <axis>, mode='fill', fill_value=1)
lnp.take_along_axis(<x>, <along>, <axis>{|, mode='fill'|, mode='clip'})
lnp.put_along_axis(<x>, <along>, <put>, <axis>{|, mode='clip'|, mode='drop'})
lnp.moveaxis(<x>, <axis>, 0).at[<places>].get({|mode='fill'|mode='clip'|mode='fill', fill_value=1|mode='wrap'})
lnp.moveaxis(<x>, <axis>, 0).at[<inside>].get(mode='promise_in_bounds')
lnp.moveaxis(<x>, <axis>, 0).at[<places>].{set|add|subtract|mul|multiply|min|max}({2|<scalar>}{|, mode='drop'|, mode='clip'})
lnp.moveaxis(<x>, <axis>, 0).at[<places>].{divide|power}({2|2.0})
lnp.moveaxis(<x>, <axis>, 0).at[<places>].apply(lambda v: v * v + 1)
lnp.moveaxis(<x>, <axis>, 0).at[<distinct>].{set|add|mul|min|max}(<scalar>, unique_indices=True)
lnp.moveaxis(<x>, <axis>, 0).at[lnp.sort(<inside>)].{add|max|set}(<scalar>, indices_are_sorted=True)
<x>.at[<known_mask>].{set|add|mul|max}(<scalar>)
<x>.at[..., ::2].{set|add|mul|subtract|min}(3)
<x>.at[::-1].{set|add|max}(<same>)
lnp.compress(<known_mask>, <x>, 0)
lnp.extract(<known_mask>, <x>)
<x>[<known_mask>]
lnp.{insert}(<x>, {0|1|[0, 0]|-1}, {5|<scalar>}, <axis>)
lnp.insert(<x>, {1|[2, 0]}, 2)
lnp.delete(<x>, {0|-1|[0, 0]|slice(0, None, 2)}, {<axis>|None})
lnp.append(<x>, <unlike>, <axis>)
lnp.append(<x>, {<vector>|2})
lnp.fill_diagonal(<x>, {2|<scalar>}, inplace=False)
leptonc.segments.segment_{sum|prod|max|min}(<x>, <ids>, <n>)
leptonc.segments.segment_{sum|max}(<x>, <sorted_ids>, <n>, indices_are_sorted=True)
leptonc.segments.segment_{sum|max|min}(<x>, <ids>, <n>, mode='{drop|clip}')
""", 3)

PADS = Family("pads", "fiuc", 1, """
lnp.pad(<x>, <pairs>, mode='{edge|reflect|symmetric|wrap|maximum|minimum|mean|median}')
lnp.pad(<x>, <pairs>, mode='{reflect|symmetric}', reflect_type='odd')
lnp.pad(<x>, <pairs>, mode='{maximum|minimum|mean|median}', stat_length=2)
lnp.pad(<x>, <pairs>, mode='linear_ramp', end_values={0|3})
lnp.pad(<x>, <n>, mode='{edge|reflect|wrap}')
lnp.pad(<x>, <pairs>, constant_values=((1, 2),))
""", 1)

ARRANGED = Family("arranged", "fiubc", 0, """
lnp.{atleast_1d|atleast_2d|atleast_3d|diagflat|empty_like}(<x>){| * 0}
lnp.{column_stack|dstack|block}([<x>, <same>])
lnp.block([[<x>, <same>], [<same>, <x>]])
lnp.resize(<x>, <shape>)
lnp.{roll}(<x>, <offset>{|, <axis>})
lnp.roll(<x>, (1, -2), (<axis>, 0))
lnp.roll(<x>, <offset>, {None|<dims>})
lnp.{flipud|fliplr}(<x>)
lnp.array_split(<x>, {2|3|[1, 2]}, <axis>)
lnp.{hsplit|vsplit|dsplit|split}(<x>, {2|[1]|[0, 1]})
{lnp.unstack|lax.unstack}(<x>{|, axis=<axis>})
lax.split(<x>, <parts>, <axis>)
lnp.rollaxis(<x>, <axis>, {0|1})
lnp.rot90(<x>, {0|1|2|-1|5}, <planes>)
lnp.{tril|triu}(<x>, <offset>)
lnp.{diag|diagonal}(<x>, <offset>)
lnp.diagonal(<x>, <offset>, *<planes>)
lnp.trace(<x>, <offset>{|, *<planes>})
lnp.meshgrid(<vector>, <row>{|, indexing='ij'}{|, sparse=True})
lnp.ediff1d(<x>{|, <vector>|, 1, -1})
lnp.trim_zeros(np.array([0, 0, 1, 0, 2, 0])) + 0 * lnp.sum(<x>)
lax.{concatenate|stack}([<x>, <same>], {0|<dim>})
lax.{rev}(<x>, <dims>)
lax.{transpose}(<x>, tuple(range(lnp.ndim(<x>)))[::-1])
lax.reshape(<x>, ({1, lnp.size(<x>)|lnp.size(<x>)}))
lax.expand_dims(<x>, ({0|-1},))
lax.squeeze(lax.expand_dims(<x>, (1, 0)), (0, 1))
lax.tile(<x>, {(2,)|(1, 3)|(2, 1, 2)})
lax.broadcast(<x>, <shape>)
{lax.full_like|lnp.full_like}(<x>, {2|1.5|0}{|, <dtype>})
lax.convert_element_type(<x>, <dtype>)
<x>.astype({lnp.promote_types(<x>.dtype, np.int16)|lnp.result_type(<x>, 1.0)|lnp.dtype('f4')})
lnp.zeros(lnp.broadcast_shapes(lnp.shape(<x>), (1,)), {lnp.double|lnp.single|lnp.int_|lnp.uint|lnp.float_|lnp.bool})
lnp.zeros(lax.broadcast_shapes(lnp.shape(<x>), (1,))) + <x>
<x> * (lnp.{finfo(np.float32).bits|iinfo(np.int8).max|euler_gamma})
<x> * {lnp.issubdtype(<x>.dtype, lnp.floating)|lnp.isdtype(<x>.dtype, 'real floating')|lnp.can_cast(<x>.dtype, np.int64)}
<x> + {lnp.isscalar(<x>)|lnp.iterable(<x>)|lnp.iscomplexobj(<x>)|lnp.isrealobj(<x>)}
<x> * lnp.issubdtype(<x>.dtype, lnp.{integer|inexact|number|generic|signedinteger|unsignedinteger})
<x>[lnp.s_[..., ::-1]]
<x>[lnp.index_exp[{::2|1:}]]
""", 3, 400)

GRIDS = Family("grids", "f", 1, """
<x> * lnp.{bartlett|blackman|hamming|hanning}(<extent>)[<axis> * 0]
<x>.sum() * lnp.{bartlett|blackman|hamming|hanning}(<n>)
<x>.sum() * lnp.kaiser(<n>, {0.0|5.0|14.0})
<x>.sum() * lnp.{geomspace|logspace}(1.0, 8.0, <n>{|, endpoint=False})
<x>.sum() + lnp.{identity(<n>)|tri(<n>, 4, <offset>)|indices((2, <n>))|fromfunction(lambda i, j: i * 2 + j, (<n>, 3))}
<x>.sum() + lax.full((2, <n>), {1.5|2})
lnp.vander(lnp.ravel(<x>){|, <n>|, <n>, True})
<x>[{lnp.diag_indices(1, <x>.ndim)|lnp.ix_([0], [0])|lnp.tril_indices(2)}]
{lnp.triu_indices(<n>, <offset>)|lnp.tril_indices(<n>, <offset>, 4)|lnp.diag_indices(<n>)}
{lnp.triu_indices_from|lnp.tril_indices_from|lnp.diag_indices_from}(lnp.outer(<row>, <row>))
lnp.outer(<row>, <row>)[{lnp.triu_indices_from|lnp.tril_indices_from}(lnp.outer(<row>, <row>), <offset>)]
""", 0.7)

CALCULUS = Family("calculus", "f", 1, """
lnp.diff(<x>{|, 2|, 0}{|, axis=<axis>})
lnp.diff(<x>, axis=<axis>, {prepend|append}={0|<unlike>})
lnp.gradient(<x>{|, 0.5}, axis=<axis>{|, edge_order=2})
lnp.gradient(<x>, <column>, axis=<axis>)
lnp.{convolve|correlate}(<row>, <vector>, '{full|same|valid}')
lnp.{convolve|correlate}(lnp.ravel(<x>), <vector>, '{full|same|valid}')
lnp.{polyadd|polysub|polymul}(<row>, <vector>)
lnp.{polyder|polyint}(<row>{|, 2})
lnp.polyval(<row>, <vector>)
lnp.trapezoid(<x>, axis=<axis>)
""", 1)

PRODUCTS = Family("products", "fiu", 1, """
lnp.{inner|vecdot}(<x>, <same>)
lnp.inner(<x>, <row>)
lnp.vecdot(<x>, <same>, axis=<axis>)
lnp.matvec(<x>, <row>)
lnp.vecmat(<x>, <matrix>)
lnp.kron(<x>, {<vector>|<row>|<scalar>})
lnp.cross(<x>[..., :3], <same>[..., :3])
lnp.cross(<x>[..., :2], <same>[..., :2])
lnp.einsum('...i,...i->...', <x>, <same>)
lnp.einsum('...i,ij->...j', <x>, <matrix>)
lnp.einsum('...i,j->j...i', <x>, <vector>)
lnp.einsum('i...->...', <x>)
lnp.einsum('...i,i,...i', <x>, <row>, <same>)
lnp.einsum(<x>, [..., 0], <matrix>, [0, 1], [..., 1])
lnp.einsum(<x>, [..., 0], <same>, [..., 0])
""", 1.2, 400)

MATRICES = Family("matrices", "f", 2, """
lnp.linalg.{det|inv}(<x> + 3 * lnp.eye(<x>.shape[-1], dtype=<x>.dtype))
lnp.linalg.{det|slogdet|svdvals|eigh|qr|expm|cond|matrix_rank|pinv}(<x>)
lnp.linalg.solve(<x> + 3 * lnp.eye(<x>.shape[-1], dtype=<x>.dtype), <same>)
lnp.linalg.lstsq(<x>, <same>)[0]
lnp.linalg.svd(<x>{|, full_matrices=False|, compute_uv=False})
lnp.linalg.cholesky(<x> @ lnp.matrix_transpose(<x>) + lnp.eye(<x>.shape[-2], dtype=<x>.dtype){|, upper=True})
lnp.linalg.eigvalsh(<x> + lnp.matrix_transpose(<x>))
lnp.linalg.{norm|vector_norm|matrix_norm}(<x>{|, keepdims=True})
lnp.linalg.norm(<x>, {1|2|np.inf|-np.inf|3|0|0.5}, <axis>)
lnp.linalg.norm(<x>, {1|-1|np.inf|'fro'|'nuc'|2|-2}, <planes>)
lnp.linalg.{matrix_power}(<x>, {0|1|2|3|-1|5})
lnp.linalg.multi_dot([<x>, <same>, <third>])
lnp.linalg.{diagonal|trace}(<x>, offset=<offset>)
lnp.linalg.{matmul|tensordot|vecdot|outer}(<x>, <same>)
""", 0.8, 100, square=True)

LEARNED = Family("learned", "f", 2, """
nn.{layer_norm|rms_norm|standardize}(<x>{|, axis=<axis>})
nn.layer_norm(<x>, <row>, <row>)
nn.{cosine_similarity|cosine_distance|kl_divergence}(<x>, <same>)
nn.{huber_loss|hinge_loss|mean_absolute_error|binary_cross_entropy_with_logits}(<x>, <same>)
nn.triplet_loss(<x>, <same>, <third>)
nn.{glu}(<x>, <axis>)
nn.log1mexp(lnp.abs(<x>) + 0.25)
nn.batch_norm(<x>, <row>, lnp.abs(<row>) + 1, <row>, <row>, training={True|False})
""", 0.7, 500)

IMAGES = Family("images", "f", 3, """
nn.instance_norm(<x>)
nn.group_norm(<x>, {1|<channels>}{|, <row>, <row>})
nn.{global_avg_pool|global_max_pool}(<x>{|, keepdims=True})
nn.{adaptive_avg_pool|adaptive_max_pool}(<x>, {1|2|3})
nn.{resize|upsample}(<x>, {2|3}{|, 'nearest'|, 'linear'|, 'cubic'})
nn.upsample(<x>, {1.5|2})
nn.rotary_embedding(lnp.concatenate([<x>[:, :, None], <x>[:, :, None]], -1){|, interleaved=True})
nn.conv_transpose(<x>, <filters>, stride={1|2|3}{|, padding='SAME'|, padding='VALID'|, padding=1})
nn.depthwise_conv(<x>, <depths>{|, stride=2}{|, padding='SAME'|, padding=1})
nn.separable_conv(<x>, <depths>, <points>{|, stride=2}{|, padding='SAME'})
""", 0.7, 800)

FAMILIES = (ELEMENTWISE, BITS, FLOAT_BITS, SORTS, QUANTILES, SETS, REDUCTIONS, TRUTHS, PLACES, PADS, ARRANGED, GRIDS, CALCULUS,
            PRODUCTS, MATRICES, LEARNED, IMAGES)
