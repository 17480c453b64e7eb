"""Addresses, loads and stores of a loop nest under emission.

Offsets are summed up as loops open, each at the loop it belongs to, so the innermost body adds one term at most. What differs by a
number alone shares a register: the number is part of the machine's address.

LLVM's strength reduction sees through sums to the counters of all loops around, and tries ever more ways to share their terms: it
took a third of the time of code generation, nine tenths of some kernels'. So what the loops around have summed up is frozen, which
hides it and is no instruction: a loop's addresses are something that it does not change, its own counter, and a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from leptonc.codegen.llvm.emitter import Emitter, emit_const, is_number, llvm_type, memory_type
from leptonc.codegen.llvm.scalars import emit_scalar
from leptonc.codegen.loops.access import Access, Check
from leptonc.ir.kernel import Index
from leptonc.ir.types import DType, i64


@dataclass(frozen=True)
class Reg:
    """A register: ``lanes`` elements of ``dtype``; lanes == 1 holds the same value for every lane."""

    name: str
    dtype: DType
    lanes: int = 1


@dataclass
class Space:
    """The open loops: induction variables, and for the vector axis its lane count. ``lanes`` == 1: all scalar."""

    e: Emitter
    ivs: dict[str, str] = field(default_factory=dict)
    vector: str | None = None
    lanes: int = 1

    def varies(self, index: Index) -> bool:
        return self.lanes > 1 and self.vector is not None and index.coeff(self.vector) != 0


def iota(lanes: int, step: int = 1) -> str:
    return "<" + ", ".join(f"i64 {k * step}" for k in range(lanes)) + ">"


def splat(e: Emitter, name: str, dtype: DType, lanes: int) -> str:
    """``lanes`` copies of a scalar register or literal."""
    if lanes == 1:
        return name
    one, many = llvm_type(dtype), llvm_type(dtype, lanes)
    head = e.let(f"insertelement {many} poison, {one} {name}, i64 0", "splat")
    return e.let(f"shufflevector {many} {head}, {many} poison, <{lanes} x i32> zeroinitializer", "splat")


def widen(e: Emitter, reg: Reg, lanes: int) -> str:
    return reg.name if reg.lanes == lanes else splat(e, reg.name, reg.dtype, lanes)


def transposed(e: Emitter, rows: list[str], type_: str) -> list[str]:
    """The columns of a square of registers: log2(n) rounds that interleave row i with row i + n / 2."""
    n = len(rows)
    low = [k for pair in zip(range(n // 2), range(n, n + n // 2)) for k in pair]
    masks = [f"<{n} x i32> <" + ", ".join(f"i32 {k + shift}" for k in low) + ">" for shift in (0, n // 2)]
    for _ in range(n.bit_length() - 1):
        rows = [e.let(f"shufflevector {type_} {rows[i]}, {type_} {rows[i + n // 2]}, {mask}", "turn")
                for i in range(n // 2) for mask in masks]
    return rows


def index_value(space: Space, index: Index, values: dict[int, Reg], lanes: int) -> str:
    """The numerator of an index: a scalar i64, or a vector when ``lanes`` > 1."""
    e = space.e
    total = str(index.offset)
    for axis, coeff in index.axes:
        total = e.add(total, e.mul(space.ivs[axis], str(coeff)))
    varying = []
    for value, coeff in index.values:
        reg = values[value]
        if reg.lanes == 1:
            total = e.add(total, e.mul(as_i64(e, reg), str(coeff)))
        else:
            varying.append((as_i64(e, reg), coeff))
    if lanes == 1:
        return total
    type_ = llvm_type(i64, lanes)
    vector = splat(e, total, i64, lanes)
    step = index.coeff(space.vector) if space.vector else 0
    if step:
        vector = e.let(f"add {type_} {vector}, {iota(lanes, step)}", "lane")
    for name, coeff in varying:
        scaled = e.let(f"mul {type_} {name}, {emit_const(coeff, i64, lanes)}", "lane")
        vector = e.let(f"add {type_} {vector}, {scaled}", "lane")
    return vector


def as_i64(e: Emitter, reg: Reg) -> str:
    return reg.name if reg.dtype == i64 else emit_scalar(e, "cast", [reg.name], [reg.dtype], i64, reg.lanes)


@dataclass(frozen=True)
class Offset:
    """Elements from a buffer's first: a register ("0" if there is none) and a number."""

    register: str = "0"
    number: int = 0

    def plus(self, number: int) -> Offset:
        return Offset(self.register, self.number + number)

    def with_register(self, e: Emitter, register: str) -> Offset:
        return Offset(e.add(self.register, register), self.number)

    def summed(self, e: Emitter) -> str:
        return e.add(self.register, str(self.number))


class Addresses:
    """Running offsets of every access of a stage; ``key`` is ("load", n) or ("store", n)."""

    def __init__(self, space: Space, accesses: dict[tuple[str, int], Access]):
        self.space = space
        self.accesses = accesses
        self.offsets = {key: Offset(number=a.offset) for key, a in accesses.items()}
        self._sums: dict[str, _Sum] = {}  # by their registers

    def enter(self, axis: str) -> None:
        """Add the axis just opened to every offset."""
        e, (iv, number) = self.space.e, self.space.e.parts(self.space.ivs[axis])
        sums: dict[tuple[str, int], str] = {}
        for key, access in self.accesses.items():
            stride, before = access.stride(axis), self.offsets[key]
            if stride:
                step = (before.register, stride)
                if step not in sums:
                    sums[step] = e.add(self._held(before.register), e.mul(iv, str(stride)))
                self.offsets[key] = Offset(sums[step], before.number + number * stride)

        for register in dict.fromkeys(sums.values()):  # in an order that is the same in each process
            if register not in self._sums and not is_number(register):
                self._sums[register] = _Sum(e.open[-1], e.later())

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Axes that are entered inside are left after."""
        offsets, sums = dict(self.offsets), dict(self._sums)
        yield
        self.offsets, self._sums = offsets, sums

    def _held(self, register: str) -> str:
        """What the loops around have summed up, without its history."""
        e, known = self.space.e, self._sums.get(register)
        if known is None or known.loop == e.open[-1]:
            return register
        assert known.loop in e.open, "a sum of a loop that is closed"
        if not known.frozen:
            known.frozen = e.write(known.line, f"freeze i64 {register}", "held")
        return known.frozen


@dataclass
class _Sum:
    """Of offsets in a loop: the line behind it, where it is frozen once a loop inside has asked for that."""

    loop: str
    line: int
    frozen: str = ""


@dataclass(frozen=True)
class Place:
    """Where an access lands: an element offset (contiguous or uniform) or a register of one per lane, and its condition."""

    offset: Offset
    lanes: int  # lanes of the offset: 1, or the space's
    contiguous: bool
    condition: str | None
    condition_lanes: int


def place(addresses: Addresses, key: tuple[str, int], values: dict[int, Reg]) -> Place:
    """Compute the address and the in-range condition of an access at the current point."""
    space, access = addresses.space, addresses.accesses[key]
    e, lanes = space.e, space.lanes
    step = access.stride(space.vector) if space.vector and lanes > 1 else 0
    scalar, vectors = addresses.offsets[key], []
    for value, stride in access.values:
        reg = values[value]
        scaled = _scale(e, as_i64(e, reg), stride, reg.lanes)
        if reg.lanes == 1:
            scalar = scalar.with_register(e, scaled)
        else:
            vectors.append(scaled)
    for index, stride in access.divided:
        wide = lanes if _varies(space, index, values) else 1
        quotient = _divide(e, index_value(space, index, values, wide), index.div, wide)
        scaled = _scale(e, quotient, stride, wide)
        if wide == 1:
            scalar = scalar.with_register(e, scaled)
        else:
            vectors.append(scaled)
    condition, condition_lanes = _condition(space, access.checks, values)
    if lanes == 1 or (not vectors and step in (0, 1)):
        return Place(scalar, 1, step == 1, condition, condition_lanes)
    type_ = llvm_type(i64, lanes)
    offset = e.let(f"add {type_} {splat(e, scalar.summed(e), i64, lanes)}, {iota(lanes, step)}", "lane")
    for vector in vectors:
        offset = e.let(f"add {type_} {offset}, {vector}", "lane")
    return Place(Offset(offset), lanes, False, condition, condition_lanes)


def condition_along(addresses: Addresses, key: tuple[str, int], axis: str, values: dict[int, Reg]) -> str | None:
    """The condition of an access, for all points of an axis that is not open; None if it has none that is the same there."""
    access = addresses.accesses[key]
    known = all(values[v].lanes == 1 if v in values else False for c in access.checks for v, _ in c.index.values)
    return _condition(addresses.space, access.checks, values)[0] if known and not access.check_depends_on(axis) else None


def _varies(space: Space, index: Index, values: dict[int, Reg]) -> bool:
    return space.varies(index) or any(values[v].lanes > 1 for v, _ in index.values)


def _scale(e: Emitter, name: str, stride: int, lanes: int) -> str:
    if lanes == 1:
        return e.mul(name, str(stride))
    return e.let(f"mul {llvm_type(i64, lanes)} {name}, {emit_const(stride, i64, lanes)}", "lane")


def _divide(e: Emitter, name: str, div: int, lanes: int) -> str:
    if lanes == 1 and is_number(name):
        return str(int(name) // div)
    return e.let(f"sdiv {llvm_type(i64, lanes)} {name}, {emit_const(div, i64, lanes)}", "div")


def _condition(space: Space, checks: tuple[Check, ...], values: dict[int, Reg]) -> tuple[str | None, int]:
    """The conjunction of all checks; lanes > 1 if any varies along the vector axis."""
    e = space.e
    wide = space.lanes if any(_varies(space, c.index, values) for c in checks) else 1
    result: str | None = None
    for check in checks:
        number = index_value(space, check.index, values, wide)
        for test in _tests(e, check, number, wide):
            result = test if result is None else e.let(f"and {_bits(wide)} {result}, {test}", "ok")
    return result, wide


def _tests(e: Emitter, check: Check, number: str, lanes: int) -> list[str]:
    type_, tests = llvm_type(i64, lanes), []
    if check.lower:
        tests.append(e.let(f"icmp sge {type_} {number}, {emit_const(0, i64, lanes)}", "ok"))
    if check.upper:
        limit = (check.extent - 1) * check.index.div
        tests.append(e.let(f"icmp sle {type_} {number}, {emit_const(limit, i64, lanes)}", "ok"))
    if check.index.div != 1:
        rest = e.let(f"srem {type_} {number}, {emit_const(check.index.div, i64, lanes)}", "rest")
        tests.append(e.let(f"icmp eq {type_} {rest}, {emit_const(0, i64, lanes)}", "ok"))
    return tests


def _bits(lanes: int) -> str:
    return "i1" if lanes == 1 else f"<{lanes} x i1>"


def load(addresses: Addresses, key: tuple[str, int], pointer: str, dtype: DType, pad: float | int | bool | None,
         values: dict[int, Reg]) -> Reg:
    """Load one element, or one per lane where the access varies along the vector axis."""
    space = addresses.space
    if space.lanes > 1 and space.vector and not dtype.is_bool:
        for backwards in (False, True):
            if addresses.accesses[key].is_of_pairs(space.vector, backwards):
                return _load_of_pairs(addresses, key, pointer, dtype, backwards)
    e, where = space.e, place(addresses, key, values)
    if where.lanes > 1 or where.condition_lanes > 1:
        wide = _masked_load if where.contiguous else _gather
        return from_memory(e, wide(space, where, pointer, dtype, pad), dtype, space.lanes)
    lanes = space.lanes if where.contiguous else 1
    address = element(e, pointer, where.offset, dtype)
    if where.condition is not None:
        address = e.let(f"select i1 {where.condition}, ptr {address}, ptr {_pad_global(e, dtype, pad, lanes)}", "from")
    loaded = e.let(f"load {memory_type(dtype, lanes)}, ptr {address}, align {dtype.itemsize}", "x")
    return from_memory(e, loaded, dtype, lanes)


def _load_of_pairs(addresses: Addresses, key: tuple[str, int], pointer: str, dtype: DType, backwards: bool) -> Reg:
    """One part of as many pairs as there are lanes: two vectors, and of them every other element."""
    space = addresses.space
    e, lanes, part = space.e, space.lanes, addresses.accesses[key].offset % 2
    type_ = memory_type(dtype, lanes)
    first = addresses.offsets[key].plus(-part - (2 * (lanes - 1) if backwards else 0))
    both = [e.let(f"load {type_}, ptr {element(e, pointer, first.plus(n * lanes), dtype)}, align {dtype.itemsize}", "pairs")
            for n in range(2)]
    mask = ", ".join(f"i32 {2 * k + part}" for k in (range(lanes - 1, -1, -1) if backwards else range(lanes)))
    return Reg(e.let(f"shufflevector {type_} {both[0]}, {type_} {both[1]}, <{lanes} x i32> <{mask}>", "x"), dtype, lanes)


def interleaved(e: Emitter, rows: list[str], type_: str, lanes: int) -> list[str]:
    """The first elements of as many vectors as a power of two, then the second ones ..., in vectors again: rounds that interleave
    row i with row i + n / 2."""
    n = len(rows)
    pairs = [k for pair in zip(range(lanes), range(lanes, 2 * lanes)) for k in pair]
    masks = [f"<{lanes} x i32> <" + ", ".join(f"i32 {k}" for k in half) + ">" for half in (pairs[:lanes], pairs[lanes:])]
    for _ in range(n.bit_length() - 1):
        rows = [e.let(f"shufflevector {type_} {rows[i]}, {type_} {rows[i + n // 2]}, {mask}", "mixed")
                for i in range(n // 2) for mask in masks]
    return rows


def store_interleaved(addresses: Addresses, number: int, pointer: str, values: list[Reg]) -> None:
    """Stores that together fill the elements from the first of them, store ``number``, on: the vectors in one piece."""
    e, lanes, dtype = addresses.space.e, addresses.space.lanes, values[0].dtype
    type_ = memory_type(dtype, lanes)
    for n, row in enumerate(interleaved(e, [widen(e, v, lanes) for v in values], type_, lanes)):
        address = element(e, pointer, addresses.offsets["store", number].plus(n * lanes), dtype)
        e.line(f"store {type_} {row}, ptr {address}, align {dtype.itemsize}")


def element(e: Emitter, pointer: str, offset: Offset, dtype: DType) -> str:
    """The address of one element."""
    type_ = memory_type(dtype)
    return e.at(type_, e.at(type_, pointer, offset.register), offset.number)


def from_memory(e: Emitter, name: str, dtype: DType, lanes: int) -> Reg:
    if dtype.is_bool:
        zero = "0" if lanes == 1 else "zeroinitializer"
        name = e.let(f"icmp ne {memory_type(dtype, lanes)} {name}, {zero}", "bit")
    return Reg(name, dtype, lanes)


def to_memory(e: Emitter, name: str, dtype: DType, lanes: int) -> str:
    if not dtype.is_bool:
        return name
    return e.let(f"zext {llvm_type(dtype, lanes)} {name} to {memory_type(dtype, lanes)}", "byte")


def _memory_const(number: float | int | bool | None, dtype: DType, lanes: int) -> str:
    if not dtype.is_bool:
        return emit_const(0 if number is None else number, dtype, lanes)
    one = f"i8 {int(bool(number))}"
    return one[3:] if lanes == 1 else "<" + ", ".join([one] * lanes) + ">"


def _pad_global(e: Emitter, dtype: DType, pad: float | int | bool | None, lanes: int) -> str:
    """A read-only vector of the pad value: an out-of-range load reads it instead, without a branch."""
    value = _memory_const(pad, dtype, lanes)
    type_ = memory_type(dtype, lanes)
    text = f"private unnamed_addr constant {type_} {value}"
    for name, known in e.globals.items():
        if known == text:
            return name
    name = f"@pad.{len(e.globals)}"
    e.globals[name] = text
    return name


def _vector_condition(e: Emitter, where: Place, lanes: int) -> str:
    if where.condition is None:
        return "<" + ", ".join(["i1 true"] * lanes) + ">"
    if where.condition_lanes > 1:
        return where.condition
    head = e.let(f"insertelement <{lanes} x i1> poison, i1 {where.condition}, i64 0", "mask")
    return e.let(f"shufflevector <{lanes} x i1> {head}, <{lanes} x i1> poison, <{lanes} x i32> zeroinitializer", "mask")


def _intrinsic_suffix(dtype: DType, lanes: int) -> str:
    scalar = memory_type(dtype)
    return f"v{lanes}{ {'float': 'f32', 'double': 'f64'}.get(scalar, scalar)}"


def _masked_load(space: Space, where: Place, pointer: str, dtype: DType, pad: float | int | bool | None) -> str:
    e, lanes = space.e, space.lanes
    type_, bits = memory_type(dtype, lanes), f"<{lanes} x i1>"
    address = element(e, pointer, where.offset, dtype)
    mask = _vector_condition(e, where, lanes)
    through = _memory_const(pad, dtype, lanes)
    return e.call(f"{type_} @llvm.masked.load.{_intrinsic_suffix(dtype, lanes)}.p0(ptr, i32, {bits}, {type_})",
                  f"ptr {address}, i32 {dtype.itemsize}, {bits} {mask}, {type_} {through}", "x")


def _gather(space: Space, where: Place, pointer: str, dtype: DType, pad: float | int | bool | None) -> str:
    e, lanes = space.e, space.lanes
    type_, bits = memory_type(dtype, lanes), f"<{lanes} x i1>"
    offset = where.offset.register if where.lanes > 1 else splat(e, where.offset.summed(e), i64, lanes)
    pointers = e.let(f"getelementptr {memory_type(dtype)}, ptr {pointer}, {llvm_type(i64, lanes)} {offset}", "at")
    mask = _vector_condition(e, where, lanes)
    suffix = f"{_intrinsic_suffix(dtype, lanes)}.v{lanes}p0"
    return e.call(f"{type_} @llvm.masked.gather.{suffix}(<{lanes} x ptr>, i32, {bits}, {type_})",
                  f"<{lanes} x ptr> {pointers}, i32 {dtype.itemsize}, {bits} {mask}, "
                  f"{type_} {_memory_const(pad, dtype, lanes)}", "x")


def store(addresses: Addresses, key: tuple[str, int], pointer: str, value: Reg, by: str,
          values: dict[int, Reg], inside: bool = False) -> None:
    """Store one element, or one per lane; ``by``: what is made of it and of what is there ("set": it alone). ``inside``: its
    condition is known to hold."""
    space = addresses.space
    e, where = space.e, place(addresses, key, values)
    if inside:
        where = replace(where, condition=None, condition_lanes=1)
    if where.lanes > 1 or where.condition_lanes > 1:
        _store_lanes(space, where, pointer, value, by)
        return
    lanes = space.lanes if where.contiguous else 1
    if where.condition is not None:
        with e.when(where.condition):
            _store_run(e, pointer, where.offset, value, lanes, by)
    else:
        _store_run(e, pointer, where.offset, value, lanes, by)


def _store_run(e: Emitter, pointer: str, offset: Offset, value: Reg, lanes: int, by: str) -> None:
    dtype = value.dtype
    address = element(e, pointer, offset, dtype)
    name = widen(e, value, lanes)
    if by != "set":
        old = from_memory(e, e.let(f"load {memory_type(dtype, lanes)}, ptr {address}, align {dtype.itemsize}", "old"),
                          dtype, lanes)
        name = _accumulated(e, by, old.name, name, dtype, lanes)
    e.line(f"store {memory_type(dtype, lanes)} {to_memory(e, name, dtype, lanes)}, ptr {address}, align {dtype.itemsize}")


_OF_BOOLS = {"add": "or", "mul": "and", "max": "or", "min": "and"}


def _accumulated(e: Emitter, by: str, old: str, new: str, dtype: DType, lanes: int) -> str:
    op = _OF_BOOLS[by] if dtype.is_bool else by
    return emit_scalar(e, op, [old, new], [dtype, dtype], dtype, lanes)


def _store_lanes(space: Space, where: Place, pointer: str, value: Reg, by: str) -> None:
    """One lane after the other: strided and masked stores are rare, and lanes that meet add up in order."""
    e, lanes, dtype = space.e, space.lanes, value.dtype
    vector = widen(e, value, lanes)
    for lane in range(lanes):
        one = Reg(e.let(f"extractelement {llvm_type(dtype, lanes)} {vector}, i64 {lane}", "one"), dtype)
        if where.lanes > 1:
            offset = Offset(e.let(f"extractelement {llvm_type(i64, lanes)} {where.offset.register}, i64 {lane}", "off"))
        else:
            offset = where.offset.plus(lane if where.contiguous else 0)
        if where.condition is None:
            _store_run(e, pointer, offset, one, 1, by)
            continue
        condition = where.condition
        if where.condition_lanes > 1:
            condition = e.let(f"extractelement <{lanes} x i1> {condition}, i64 {lane}", "ok")
        with e.when(condition):
            _store_run(e, pointer, offset, one, 1, by)
