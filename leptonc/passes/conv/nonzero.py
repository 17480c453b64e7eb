"""Which results of a convolution have a product that is not 0, as bits of a word for each square and channel.

By squares, a sum of products that are all 0 may come out as a rounding error of the products beside it: a ReLU behind it would
pass a gradient, an optimizer make a full step. So 0 takes the place of such sums. Two looks at the operands say where:

    reached[t]     a bit for each result of square t: whether its patch of the input holds anything, in any channel
    full[o]        whether no weight of channel o is 0: every result that is reached has a product that is not 0

and only what these leave open is looked at product by product, the bits of a square's results in one word:

    met[t, o] = reached[t] & (full[o] | or over taps, channels c of (x[result + tap, c] != 0) & (w[tap, c, o] != 0))

The fold ends where all bits are set: before it begins, if a channel is full. What is infinite or no number makes no number of 0,
and so counts as a product that is not 0, whatever it meets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product

from leptonc.ir.kernel import Apply, Axis, Index, Kernel, Load, Param, Reduce, Stage, Store
from leptonc.ir.types import TensorType, bool_, i32
from leptonc.passes.conv.convolution import Convolution, TransformedWeights
from leptonc.passes.conv.scalarcode import ScalarCode
from leptonc.passes.conv.squares import Square
from leptonc.passes.loops.draft import Task, index_at, tidy


def full_weights(made: TransformedWeights, found: Convolution, task: Task) -> tuple[Param, list[Task]]:
    """Which channels are full, and which wild; and what makes these if nothing has yet."""
    weights = task.kernel.buffer(found.w.load.buffer)
    type_ = TensorType((2, weights.type.shape[found.w.load.index.index(found.col_index)]), bool_)
    key = found.w.load.buffer, found.w.casts, found.arrangement
    return made.once(key, type_, lambda out: _full_kernel(found, weights, out), task)


def _full_kernel(found: Convolution, weights: Param, out: Param) -> Kernel:
    """For each channel whether no weight is 0, and whether any is wild: infinite or no number."""
    code, phases = ScalarCode(found.dtype), (replace(a, reduce=True) for a in found.phases)
    col = replace(found.col, extent=out.type.shape[1])
    load = replace(found.w.load, index=tuple(Index.of(col) if i == found.col_index else i for i in found.w.load.index))
    weight = code.load(load, found.w.casts)
    seen = code.push(Reduce("all", code.is_set(weight), bool_)), code.push(Reduce("any", code.is_wild(weight), bool_))
    stores = tuple(Store(out.name, (Index(offset=n), Index.of(col)), value) for n, value in enumerate(seen))
    return Kernel("winograd_full", (replace(weights, role="in"), out),
                  (Stage((col, *found.taps, *phases, *found.folds), tuple(code.insts), stores),))


def held_stage(found: Convolution, axes: Sequence[Axis], number: Index, bits: Param, held: Param) -> Stage:
    """The words of which elements of a square hold anything in any channel, from those of each channel."""
    n, depth, code = Axis("word", 2), found.depth, ScalarCode(i32)
    word = code.push(Load(bits.name, (Index.of(n), number, Index.of(depth)), i32))
    store = Store(held.name, (Index.of(n), number), code.push(Reduce("or", word, i32)))
    return Stage((n, *axes, depth), tuple(code.insts), (store,))


def reached_stage(plan: Square, axes: Sequence[Axis], number: Index, held: Param, reached: Param) -> Stage:
    """The words of which results of a square read an element that holds anything."""
    code, pitch, (tall, wide), taps = ScalarCode(i32), plan.along.points, plan.results, (plan.down.taps, plan.along.taps)
    found = []
    for n in range(2):
        word = code.push(Load(held.name, (Index(offset=n), number), i32))
        word = code.joined([code.moved(word, tap) for tap in range(taps[1])])
        found.append(code.joined([code.moved(word, tap * pitch) for tap in range(taps[0])]))
    row = (1 << wide) - 1
    first = code.integer("and", found[0], code.number(sum(row << y * pitch for y in range(tall - 1))))
    last = code.integer("and", found[1], code.number(row << (tall - 2) * pitch))
    word = code.integer("or", first, code.integer("shl", last, code.number(pitch)))
    return tidy(Stage(tuple(axes), tuple(code.insts), (Store(reached.name, (number,), word),)))


def met_stage(found: Convolution, plan: Square, axes: Sequence[Axis], number: Index,
              place: Callable[[int, int], Mapping[str, Index]], pad: float | None, full: Param, reached: Param | None,
              met: Param) -> Stage:
    """The words of which results of a square have a product that is not 0. ``reached``: None if squares make 0 of all others."""
    code = ScalarCode(found.dtype)
    every, wild = (code.full(code.push(Load(full.name, (Index(offset=n), found.col_index), bool_))) for n in range(2))
    known = code.integer("or", every, wild)
    within = None if reached is None else code.push(Load(reached.name, (number,), i32))
    if within is not None:
        known = code.integer("or", known, code.push(Apply("not", (within,), i32)))
    words = [code.number(0), code.number(0)]
    for y, x in product(*map(range, plan.results)):
        load = replace(found.x, index=tuple(index_at(i, place(y, x)) for i in found.x.index), pad=pad)
        value, bit = code.load(load, found.casts), plan.bit(y, x)
        words = [code.with_bit(words[0], bit, code.is_set(value)), code.with_bit(words[1], bit, code.is_wild(value))]
    weight = code.full(code.is_set(code.load(found.w.load, found.w.casts)))
    some = code.integer("or", code.integer("and", words[0], weight), words[1])
    word = code.push(Reduce("or", code.integer("or", known, some), i32))
    if within is not None:
        word = code.integer("and", word, code.integer("or", within, wild))
    store = Store(met.name, (number, Index.of(found.col)), word)
    return tidy(Stage((*axes, found.col, *found.taps, *found.folds), tuple(code.insts), (store,)))
