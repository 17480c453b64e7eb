# ruff: noqa: E501  (lines of other files stand as they are)
"""Faults to plant: plausible miscompilations, each an edit of one place of leptonc's source.

``python -m tests.planted`` asks translation validation to name the pass of each that has one; ``python -m tests.gate`` asks the test
suite to fail on each.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plant:
    """In ``file`` (below leptonc/) the first ``old`` becomes ``new``. ``step``: what validation is to name, "" if it is no fault of a
    step (a gradient, the runtime); several names where one step decides and another obeys. ``program``: of
    ``tests.plant_programs``, one that reaches it. ``why``: how someone comes to write it. ``tests``: those most likely to see it."""

    name: str
    file: str
    old: str
    new: str
    step: str
    program: str
    why: str
    tests: str = ""


HALO, MERGE, FUSE = "passes/loops/halo.py", "passes/loops/merge.py", "passes/loops/fuse.py"
PHASES, SPLIT, WINDOW = "passes/loops/phases.py", "passes/loops/split.py", "passes/loops/window.py"
UNPOOL, ROWS, COARSEN = "passes/loops/unpool.py", "passes/loops/rows.py", "passes/loops/coarsen.py"
FORMS, CONVOLUTION = "passes/conv/forms.py", "passes/conv/convolution.py"
WINOGRAD, STAGED, WEIGHTS = "passes/conv/winograd.py", "passes/conv/staged_winograd.py", "passes/conv/gradientsquares.py"
RULES, SINK, ROUTE, CSE = "passes/graph/rules.py", "passes/graph/sink_relu.py", "passes/graph/route.py", "passes/graph/cse.py"
PLAN, ARENA, IN_PLACE, DONATE = ("passes/memory/plan.py", "passes/memory/arena.py", "passes/memory/in_place.py",
                                 "passes/memory/donate.py")
CONV, POOL, REDUCE, STRUCTURAL, INDEXING = "ops/conv.py", "ops/pool.py", "ops/reduce.py", "ops/structural.py", "ops/indexing.py"
CUMULATIVE = "ops/cumulative.py"
NEST, FOLDS = "codegen/loops/nest.py", "codegen/loops/folds.py"
PANELS, CONTRACTION = "codegen/contraction/panels.py", "codegen/contraction/emit.py"
MODULE, INTERLEAVE, UNITS = "codegen/step/module.py", "codegen/step/interleave.py", "codegen/step/units.py"
BUILD = "codegen/step/build.py"
LOWER, MACHINE, RACE = "lower-graph", "machine code", "race"

PASSES = (
    # graph passes
    Plant("rule-sub", RULES, "return x[0] if _is(r, x[1], 0) else None\n\n\n@rule(\"x * 1", "return x[1] if _is(r, x[1], 0) else None\n\n\n@rule(\"x * 1",
          "canonicalize", "scans", "the other operand of a rule"),
    Plant("rule-add-zero", RULES, "zero = -0.0 if x[0].dtype.is_float else 0", "zero = 0",
          "canonicalize", "zero_added", "x + 0.0 is not x where x is -0.0"),
    Plant("rule-transpose-twice", RULES, "tuple(first[p] for p in attrs[\"perm\"])", "tuple(attrs[\"perm\"][p] for p in first)",
          "canonicalize", "transposes", "permutations composed the wrong way round"),
    Plant("rule-slice-everything", RULES, "if attrs[\"size\"] == x[0].shape and forward else", "if attrs[\"size\"] == x[0].shape else",
          "canonicalize", "pads", "a flip takes everything, too"),
    Plant("rule-multiply-zero", RULES, "        return x[1]\n    return x[0] if _is(r, x[0], 0) else None",
          "        return x[0]\n    return x[0] if _is(r, x[0], 0) else None", "canonicalize", "scans", "x * 0 => x"),
    Plant("rule-broadcast-twice", RULES, "tuple(attrs[\"dims\"][d] for d in inner.attributes[\"dims\"])",
          "inner.attributes[\"dims\"]", "canonicalize", "broadcasts", "the inner dims taken for the outer's"),
    Plant("cse-order", CSE, "if node.op in COMMUTATIVE else", "if node.op in COMMUTATIVE or node.op == \"sub\" else",
          "cse", "differences", "a - b for b - a"),
    Plant("cse-attrs", CSE, "return node.op, operands, attrs, tuple(map(_region_key, node.regions))",
          "return node.op, operands, node.types, tuple(map(_region_key, node.regions))", "cse", "pads", "attributes left out of the key"),
    Plant("sink-mask", SINK, "r.builder.full(y.type, 0))), g, zeros))", "r.builder.full(y.type, 1))), g, zeros))",
          "sink-relu", "cnn", "another threshold for the mask"),
    Plant("sink-attrs", SINK, "len({n.attrs for n in pools}) != 1", "False", "sink-relu", "two_pools", "pools of different windows"),
    Plant("route-padding", ROUTE, "\"start\": (0, *low, 0)", "\"start\": (0, *(0 for _ in low), 0)",
          "route-gradients", "routed", "the padding not cut off at the low end"),
    Plant("route-pool-padding", ROUTE, "all(pair == (0, 0) for pair in attrs[\"padding\"]) and ", "", "route-gradients", "routed_padded",
          "windows that begin outside of the image"),
    Plant("fold-broadcast", "passes/graph/fold.py", "get_op(node.op).run(*known, **node.attributes)",
          "get_op(node.op).run(*known[::-1], **node.attributes)", "fold", "mlp", "operands reversed"),
    # lowering
    Plant("conv-low", CONV, "* dilation - low for d, stride", "* dilation + low for d, stride", LOWER, "halo", "the sign of the padding"),
    Plant("conv-grad-dilation", CONV, "low - axes[\"k\"][d] * dilation).exact_div", "low - axes[\"k\"][d]).exact_div",
          LOWER, "strided3", "dilation forgotten in the gradient"),
    Plant("pool-fill", POOL, "attrs, \"max\", reduction_identity(\"max\", x.dtype))", "attrs, \"max\", 0)", LOWER, "pools",
          "a maximum padded with 0"),
    Plant("pool-gather", POOL, "back = [(i + lo - t).exact_div(s)", "back = [(i - lo - t).exact_div(s)", LOWER, "pools",
          "the sign of the padding, in a gradient"),
    Plant("pool-leaves", POOL, "leaves = any((o - 1) * s + w - 1 - lo >= n or lo > 0", "leaves = any((o - 1) * s + w - 1 - lo > n or lo > 0",
          LOWER, "pools_edge", "off by one: does the last window leave the image"),
    Plant("tap-number", POOL, "for tap, extent in reversed(list(zip(taps, window))):", "for tap, extent in zip(taps, window):",
          LOWER, "pools", "cells of a window counted column by column"),
    Plant("concatenate-at", STRUCTURAL, "at += param.type.shape[attrs[\"axis\"]]", "at += param.type.shape[0]", LOWER, "concatenations",
          "the extent of another axis"),
    Plant("slice-step", STRUCTURAL, "axis * stride + first for axis, first, stride", "axis * abs(stride) + first for axis, first, stride",
          LOWER, "pads", "a backward slice read forward"),
    Plant("scatter-wrap", INDEXING, "at = _wrapped(stage, stage.load(indices, axes[axis:axis + rank]), x.type.shape[axis])",
          "at = Index.of(stage.cast(stage.load(indices, axes[axis:axis + rank]), i64))", LOWER, "scattered", "negative indices dropped"),
    Plant("take-clamp", INDEXING, "stage.max(stage.min(at, n - 1), 0)", "stage.max(stage.min(at, n - 2), 0)", LOWER, "lookups",
          "the last row out of reach"),
    # program passes
    Plant("split-identity", SPLIT, "pad = reduction_identity(reduce.kind, reduce.dtype)", "pad = 0", "split-reductions", "ragged_max",
          "beyond the end 0, not what changes nothing"),
    Plant("split-piece", SPLIT, "count = -(-cut.extent // piece)", "count = cut.extent // piece", "split-reductions", "ragged_max",
          "the last piece forgotten"),
    Plant("split-cut", SPLIT, "place = {cut.name: number * piece + cut}", "place = {cut.name: number * (piece - 1) + cut}",
          "split-reductions", "sums", "pieces that overlap"),
    Plant("split-combine", SPLIT, "Reduce(reduce.kind, 0, reduce.dtype))", "Reduce(\"sum\", 0, reduce.dtype))", "split-reductions", "ragged_max",
          "partial maxima added up"),
    Plant("halo-low", HALO, "offset=i.offset - low, div=1) for i, (low, _, _)", "offset=i.offset, div=1) for i, (low, _, _)",
          "halo", "halo", "an operand moved, its readers not"),
    Plant("halo-low-only", HALO, "return min(found.low, 0), max(found.high + 1, extent), 1", "return min(found.low, 0), extent, 1",
          "halo", "halo", "no room at the high end"),
    Plant("halo-pad", HALO, "key = (load.buffer, source.type, Const(load.pad, load.dtype), tuple(reached))",
          "key = (load.buffer, source.type, len(reached))", "halo", "halo", "one layout for two paddings"),
    Plant("halo-shift", HALO, "shifts = tuple(-i.offset for i in load.index)", "shifts = tuple(0 for i in load.index)",
          "halo", "halo_made", "the producer writes into the corner"),
    Plant("halo-init", HALO, "return replace(kernel, params=params, stages=tuple(stages))\n",
          "return replace(kernel, params=tuple(replace(p, init=None) for p in params), stages=tuple(stages))\n", "halo", "halo_made",
          "a border that nobody fills"),
    Plant("fuse-pad", MERGE, "return result.tobytes() == np.asarray(load.pad).astype(result.dtype).tobytes()", "return True",
          "fuse", "pad_of_sum", "1 + a padding of 0 is 1"),
    Plant("fuse-cut", MERGE, " or any(shapes[inst.buffer][d] != shape[d] for d in guarded)", "", "fuse", "pads", "reads beyond a cut"),
    Plant("fuse-own-pad", MERGE, "own = inst.pad if inst.pad is not None or pad is None else inst.dtype.numpy.type(pad).item()",
          "own = pad", "fuse", "cut_of_pad", "the inner pad's value lost"),
    Plant("fuse-append-extents", MERGE, "axes = {c.name: p.name for c, p in zip(consumer.map_axes, producer.map_axes)}",
          "axes = {c.name: p.name for c, p in zip(consumer.map_axes, producer.map_axes[::-1])}", "fuse", "square_epilogue",
          "axes paired from the wrong end"),
    Plant("fuse-kept", FUSE, "if others or self._is_output(store.buffer):", "if self._is_output(store.buffer):", "fuse", "shared",
          "a store dropped that another kernel reads"),
    Plant("fuse-loads-elsewhere", FUSE, "return all(loads_at_axes(consumer, i) for i in loads)", "return True", "fuse", "shifted",
          "a consumer that reads its neighbour appended"),
    Plant("fuse-compose", MERGE, "total = total + at * coeff\n", "total = total + at\n", "fuse", "steps",
          "a step of two slices taken once"),
    Plant("phases-rest", PHASES, "place = {name: Index(((name, modulus),), rest)", "place = {name: Index(((name, modulus),), 0)",
          "split-phases", "strided", "remainders left out"),
    Plant("phases-sign", PHASES, "base = self.index.offset + self.index.coeff(self.map.name) * map_rest",
          "base = -self.index.offset + self.index.coeff(self.map.name) * map_rest", "split-phases", "strided3",
          "the sign of a phase's offset"),
    Plant("phases-count", PHASES, "return max(0, -(-(axis.extent - rest) // modulus))", "return max(0, (axis.extent - rest) // modulus)",
          "split-phases", "strided", "the last of a phase forgotten"),
    Plant("phases-fold", PHASES, "rests[cut.fold.name] = (cut.fold_modulus, found)", "rests[cut.fold.name] = (cut.fold_modulus, 0)",
          "split-phases", "strided", "the reduce axis' remainder left out"),
    Plant("window-step", WINDOW, "place[axis.name] = windows[n].axis * windows[n].step + axis", "place[axis.name] = windows[n].axis + axis",
          "tile-windows", "conv_pool", "rows of windows one apart"),
    Plant("window-reach", WINDOW, "return reached.high + 1", "return reached.high", "tile-windows", "conv_pool", "a column short"),
    Plant("window-part", WINDOW, "place = {axis.name: part * width + axis}", "place = {axis.name: part + axis}", "tile-windows",
          "conv_pool_parts", "parts of channels that overlap"),
    Plant("unpool-first", UNPOOL, "return index - self.reach.start - (self.first * self.dimension.step + self.dimension.offset)",
          "return index - self.reach.start - self.first * self.dimension.step", "unpool-in-tiles", "unpool", "the halo left out"),
    Plant("unpool-count", UNPOOL, "// self.dimension.step - self.first + 1", "// self.dimension.step - self.first", "unpool-in-tiles",
          "unpool", "the last window of a tile"),
    Plant("rows-order", ROWS, "stages = stages[::-1]", "pass", "join-rows donate plan-memory", "rows_overwritten", "overwritten, then read"),
    Plant("coarsen-place", COARSEN, "place = {axis.name: Index.of(axis) * count + inner}", "place = {axis.name: Index.of(axis) + inner}",
          "join-rows winograd", "rows", "tiles that overlap"),
    Plant("winograd-output", FORMS, "c.sub(c.sub(m[1], m[2]), m[3])]", "c.add(c.sub(m[1], m[2]), m[3])]",
          "winograd spread-winograd", "winograd2", "a sign of a transform"),
    Plant("winograd-kernel4", FORMS, "points += [c.plus(even, scale * x, odds[0]), c.plus(even, -scale * x, odds[0])]",
          "points += [c.plus(even, -scale * x, odds[0]), c.plus(even, scale * x, odds[0])]", "winograd", "winograd", "points exchanged"),
    Plant("winograd-flip", CONVOLUTION, "Index.of(tap.extent - 1 - n if found.flipped else n)", "Index.of(n)", "winograd",
          "winograd_grad", "a gradient's taps not turned"),
    Plant("winograd-key", CONVOLUTION, "found.w.casts, found.arrangement, found.flipped, columns,", "found.w.casts, columns,", "winograd",
          "winograd_both", "weights of forward and backward shared"),
    Plant("winograd-rows", WINOGRAD, "place[self.inner.name] = self.row * (self.plan.down.results // height) + y // height",
          "place[self.inner.name] = self.row * (self.plan.down.results // height)", "winograd", "winograd", "rows of a square"),
    Plant("spread-edge", STAGED, "yield [*side, ((), Index(offset=extent - 1), rest)] if rest else side", "yield side",
          "spread-winograd", "spread", "the squares that are cut off"),
    Plant("weights-taps", FORMS, "c.times(x, low), y, high))", "c.times(y, low), x, high))",
          "winograd-weight-grad", "weight_grad", "points exchanged"),
    Plant("weights-number", WEIGHTS, "moved = {a.name: self._tiled[a.name] * size + at for a, size, at",
          "moved = {a.name: self._tiled[a.name] * size for a, size, at", "winograd-weight-grad", "weight_grad", "one element for a square"),
    # memory
    Plant("order-writers", "passes/memory/order.py", "needed = {writers[b] for b in (*task.reads, *task.writes) if b in writers}",
          "needed = {writers[b] for b in task.writes if b in writers}", "order-kernels", "order", "reads before the write"),
    Plant("in-place-places", IN_PLACE, "return apart and all(i.index in places and i.pad is None for i in _loads(stage, source))",
          "return apart", "plan-memory donate", "donated", "a result over an operand read elsewhere"),
    Plant("donate-early", DONATE, "if not writes or (reads and reads[-1] > writes[0]):", "if not writes:", "donate", "donated_early",
          "an input overwritten before its last reader"),
    Plant("donate-way", DONATE, "                     and in_place(task.kernel, buffer_name(current), buffer_name(n))]", "                     ]", "donate",
          "donated_way", "an intermediate over what is read elsewhere"),
    Plant("plan-last", PLAN, "                last[number] = position\n", "                last.setdefault(number, position)\n", "plan-memory", "arena",
          "dead after the first use"),
    Plant("arena-size", ARENA, "        if size > need:\n            self._insert(size - need, offset + need)\n        return offset",
          "        if size > need:\n            self._insert(size - need, offset)\n        return offset", "plan-memory", "arena",
          "the rest of a block given out at its start"),
    Plant("arena-rest", PLAN, "dying.remove(shared)", "pass", "plan-memory", "taken_over", "memory taken over and freed as well"),
    Plant("arena-align", ARENA, "self.size = offset + need", "self.size = offset + need // 2", "plan-memory", "arena",
          "half as much as is needed"),
)

CODE = (
    Plant("prefix-carry", "codegen/prefix/emit.py", "[0 if self.reverse else lanes - 1] * lanes", "[lanes - 1 if self.reverse else 0] * lanes",
          MACHINE, "scans", "a vector hands on its first prefix, not its last"),
    Plant("nest-tail", NEST, "        if main < axis.extent:\n            self._tail", "        if main + 1 < axis.extent:\n            self._tail",
          MACHINE, "odd", "one element left over is forgotten"),
    Plant("nest-first", FOLDS, "state = self._first(accumulators) if number == 0 else", "state = self._first(accumulators) if number <= 1 else",
          MACHINE, "pools", "the second point starts the sum again"),
    Plant("argmax-tie", "codegen/loops/reduction.py", "'ugt' if self.kind == 'argmax' else 'ult'", "'uge' if self.kind == 'argmax' else 'ule'",
          MACHINE, "positions", "the last maximum instead of the first"),
    Plant("fold-position", FOLDS, "step *= axis.extent\n        return total", "step += axis.extent\n        return total", MACHINE, "pools",
          "cells of a window numbered wrongly"),
    Plant("panel-count", PANELS, "f\"i64 {left}, i64 {panels.width}\", \"count\")", "f\"i64 {left}, i64 {panels.width - 1}\", \"count\")",
          MACHINE, "packed", "a panel's last column"),
    Plant("contraction-edge", CONTRACTION, "edge = extent - (tiles - 1) * size", "edge = max(extent - (tiles - 1) * size - 1, 1)", MACHINE,
          "products", "the last row of the last tile"),
    Plant("contraction-fold", CONTRACTION, "extent = end = str(axis.extent)", "extent = end = str(axis.extent - 1)", MACHINE, "long_fold", "the end of a long sum"),
    Plant("filling-margin", "codegen/loops/filling.py", "for span in ((0, low), (high, extent)):", "for span in ((0, low),):", MACHINE, "halo_made",
          "the border at the high end is not filled"),
    Plant("donated-region", BUILD, "return Memory(f\"b{number if buffer.donated is None else buffer.donated}\"", "return Memory(f\"b{number}\"",
          RACE, "donated_large", "donated input and output seen as different memory", "tests/codegen/test_step.py tests/codegen/test_interleave.py"),
    Plant("barrier", BUILD, "            if barrier is not None:\n", "            if False:\n", RACE, "large_arena", "no barriers at all",
          "tests/codegen/test_step.py tests/test_threads.py"),
    Plant("interleave-crosses", INTERLEAVE, "return self.conflicts(other) and not self.shares(other)", "return False", RACE, "cnn",
          "blocks that need their neighbours", "tests/codegen/test_interleave.py"),
)

GATE_ONLY = (
    Plant("vjp-conv-stride", CONV, "return (get_op(\"conv_input_grad\")(g, w, shape=x.shape[1:-1], **attrs),",
          "return (get_op(\"conv_input_grad\")(g, get_op(\"neg\")(w), shape=x.shape[1:-1], **attrs),", "", "", "a sign in a gradient",
          "tests/ops"),
    Plant("vjp-extreme-ties", REDUCE, "return (hit * spread(g / count, x, axes),)", "return (hit * spread(g, x, axes),)", "", "",
          "ties get the whole gradient each", "tests/test_derivatives.py"),
    Plant("vjp-prod", REDUCE, "interior=(0, 0), value=1)\n    rest", "interior=(0, 0), value=0)\n    rest", "", "",
          "an odd number of factors made even by a 0", "tests/ops tests/test_derivatives.py"),
    Plant("vjp-cumsum", CUMULATIVE, "reverse=not attrs[\"reverse\"]),)", "reverse=attrs[\"reverse\"]),)", "", "", "forward for backward", "tests/ops"),
    Plant("cumulative-shift", "ir/prefix.py", "shift *= 2", "shift += 2", "", "", "strides of a scan that add instead of double", "tests/ops"),
    Plant("vjp-slice-step", STRUCTURAL, "interior=tuple(abs(s) - 1 for s in step), value=0),)", "interior=tuple(0 for s in step), value=0),)",
          "", "", "gaps of a strided slice", "tests/ops"),
    Plant("vjp-take-inside", INDEXING, "inside = _clipped(_from_start(indices, n), 0, max(n - 1, 0))\n        return get_op(\"scatter_add\")(x.",
          "inside = _from_start(indices, n)\n        return get_op(\"scatter_add\")(x.", "", "",
          "the gradient of a clamped index dropped", "tests/ops"),
    Plant("key-target", "driver.py", "for text in (repr(target), np.__version__, *texts)", "for text in (np.__version__, *texts)",
          "", "", "the target left out of a cache key", "tests/test_cache.py"),
    Plant("key-donated", "driver.py", "key = _key(graph, target, repr(sorted(donated.items())))", "key = _key(graph, target)",
          "", "", "the donations left out of a cache key", "tests/test_cache.py"),
    Plant("saturating-cast", "ir/scalar.py", "nan=0.0, posinf=np.inf", "nan=1.0, posinf=np.inf", "", "", "NaN to an integer", "tests/ops"),
)

PLANTS = tuple(p for p in (*PASSES, *CODE, *GATE_ONLY) if p.old)
