"""Native code that takes a call's arrays apart: are they what was compiled for, and where do they lie? LLVM text.

Reading an array's address in Python costs a microsecond; a small step with all its parameters takes not much longer.
"""

from __future__ import annotations

from leptonc import abi


def _field(base: str, offset: int, name: str, type_: str) -> str:
    """Two lines that load ``%name`` from ``base + offset``."""
    return f"""%{name}.at = getelementptr i8, ptr {base}, i64 {offset}
  %{name} = load {type_}, ptr %{name}.at, align {4 if type_ == "i32" else 8}"""


def binding_text() -> str:
    """``leptonc_bind(list, binding, count, args)``: write the addresses of the list's arrays into the argument table.

    Returns 0 and changes nothing in the table unless every item is an array of exactly the type, shape and flags of its
    record and no donated one shares memory with another. Only arrays that have moved since the last call are compared. The
    caller holds the GIL.
    """
    return f"""
define i64 @leptonc_bind(ptr %list, ptr %binding, i64 %count, ptr %args) {{
entry:
  {_field("%list", abi.LIST_SIZE, "size", "i64")}
  {_field("%list", abi.LIST_ITEMS, "items", "ptr")}
  {_field("%binding", abi.BINDING_TYPE, "class", "ptr")}
  %known.at = getelementptr i8, ptr %binding, i64 {abi.BINDING_KNOWN}
  %known.word = load i64, ptr %known.at, align 8
  %known = icmp ne i64 %known.word, 0
  %records = getelementptr i8, ptr %binding, i64 {abi.BINDING_HEAD}
  store i64 0, ptr %known.at, align 8
  %sized = icmp eq i64 %size, %count
  br i1 %sized, label %look, label %refuse
{_look_text()}
{_compare_text()}
{_write_text()}
refuse:
  ret i64 0
}}
"""


def _look_text() -> str:
    """Every array against its record; its address, and whether that is new, go into the record."""
    return f"""look:
  %n = phi i64 [ 0, %entry ], [ %n.next, %same.shape ]
  %looked = icmp eq i64 %n, %count
  br i1 %looked, label %compare, label %look.one
look.one:
  %offset = mul i64 %n, {abi.RECORD_BYTES}
  %record = getelementptr i8, ptr %records, i64 %offset
  %item.at = getelementptr ptr, ptr %items, i64 %n
  %item = load ptr, ptr %item.at, align 8
  {_field("%item", abi.OBJECT_TYPE, "type", "ptr")}
  %is.array = icmp eq ptr %type, %class
  br i1 %is.array, label %array, label %refuse
array:
  {_field("%item", abi.ARRAY_DTYPE, "dtype", "ptr")}
  {_field("%item", abi.ARRAY_FLAGS, "flags", "i32")}
  {_field("%item", abi.ARRAY_NDIM, "ndim", "i32")}
  {_field("%item", abi.ARRAY_DATA, "data", "i64")}
  {_field("%dtype", abi.DTYPE_WORD, "dtype.word", "i64")}
  {_field("%record", abi.RECORD_DTYPE, "wanted.dtype", "i64")}
  {_field("%record", abi.RECORD_FLAGS, "wanted.flags", "i64")}
  {_field("%record", abi.RECORD_NDIM, "wanted.ndim", "i64")}
  {_field("%record", abi.RECORD_ADDRESS, "before", "i64")}
  store i64 %data, ptr %before.at, align 8
  %moved = icmp ne i64 %data, %before
  %moved.word = zext i1 %moved to i64
  %moved.at = getelementptr i8, ptr %record, i64 {abi.RECORD_CHANGED}
  store i64 %moved.word, ptr %moved.at, align 8
  %flags.word = zext i32 %flags to i64
  %flags.set = and i64 %flags.word, %wanted.flags
  %ndim.word = sext i32 %ndim to i64
  %right.flags = icmp eq i64 %flags.set, %wanted.flags
  %dtype.known = and i64 %dtype.word, {abi.DTYPE_MASK}
  %right.dtype = icmp eq i64 %dtype.known, %wanted.dtype
  %right.ndim = icmp eq i64 %ndim.word, %wanted.ndim
  %right.some = and i1 %right.flags, %right.dtype
  %right = and i1 %right.some, %right.ndim
  br i1 %right, label %shape, label %refuse
shape:
  {_field("%item", abi.ARRAY_SHAPE, "shape.of", "ptr")}
  {_field("%record", abi.RECORD_SHAPE, "wanted.shape", "ptr")}
  br label %axis
axis:
  %k = phi i64 [ 0, %shape ], [ %k.next, %extent ]
  %all = icmp eq i64 %k, %wanted.ndim
  br i1 %all, label %same.shape, label %extent
extent:
  %extent.at = getelementptr i64, ptr %shape.of, i64 %k
  %wanted.at = getelementptr i64, ptr %wanted.shape, i64 %k
  %extent.is = load i64, ptr %extent.at, align 8
  %extent.wanted = load i64, ptr %wanted.at, align 8
  %k.next = add i64 %k, 1
  %equal = icmp eq i64 %extent.is, %extent.wanted
  br i1 %equal, label %axis, label %refuse
same.shape:
  %n.next = add i64 %n, 1
  br label %look"""


def _compare_text() -> str:
    """Memory that is given away may be no other argument's: each array that moved against all others."""
    return f"""compare:
  %i = phi i64 [ 0, %look ], [ %i.next, %compare.next ]
  %compared = icmp eq i64 %i, %count
  br i1 %compared, label %write, label %compare.one
compare.one:
  %i.offset = mul i64 %i, {abi.RECORD_BYTES}
  %one = getelementptr i8, ptr %records, i64 %i.offset
  {_field("%one", abi.RECORD_CHANGED, "changed", "i64")}
  {_field("%one", abi.RECORD_KIND, "kind", "i64")}
  {_field("%one", abi.RECORD_NBYTES, "nbytes", "i64")}
  {_field("%one", abi.RECORD_ADDRESS, "begin", "i64")}
  %end = add i64 %begin, %nbytes
  %stayed = icmp eq i64 %changed, 0
  %settled = and i1 %stayed, %known
  %is.result = icmp eq i64 %kind, {abi.KIND_RESULT}
  %done = or i1 %settled, %is.result
  br i1 %done, label %compare.next, label %other
other:
  %j = phi i64 [ 0, %compare.one ], [ %j.next, %other.next ]
  %met.all = icmp eq i64 %j, %count
  br i1 %met.all, label %compare.next, label %other.one
other.one:
  %j.offset = mul i64 %j, {abi.RECORD_BYTES}
  %two = getelementptr i8, ptr %records, i64 %j.offset
  {_field("%two", abi.RECORD_KIND, "kind.2", "i64")}
  {_field("%two", abi.RECORD_NBYTES, "nbytes.2", "i64")}
  {_field("%two", abi.RECORD_ADDRESS, "begin.2", "i64")}
  %end.2 = add i64 %begin.2, %nbytes.2
  %i.given = icmp eq i64 %kind, {abi.KIND_DONATED}
  %j.given = icmp eq i64 %kind.2, {abi.KIND_DONATED}
  %given = or i1 %i.given, %j.given
  %j.counts = icmp ne i64 %kind.2, {abi.KIND_RESULT}
  %apart = icmp ne i64 %i, %j
  %before.end = icmp ult i64 %begin, %end.2
  %after.begin = icmp ult i64 %begin.2, %end
  %some.1 = icmp ne i64 %nbytes, 0
  %some.2 = icmp ne i64 %nbytes.2, 0
  %bad.1 = and i1 %given, %j.counts
  %bad.2 = and i1 %apart, %before.end
  %bad.3 = and i1 %after.begin, %some.1
  %bad.4 = and i1 %bad.1, %bad.2
  %bad.5 = and i1 %bad.3, %some.2
  %bad = and i1 %bad.4, %bad.5
  br i1 %bad, label %refuse, label %other.next
other.next:
  %j.next = add i64 %j, 1
  br label %other
compare.next:
  %i.next = add i64 %i, 1
  br label %compare"""


def _write_text() -> str:
    return f"""write:
  %w = phi i64 [ 0, %compare ], [ %w.next, %write.one ]
  %written = icmp eq i64 %w, %count
  br i1 %written, label %accept, label %write.one
write.one:
  %w.offset = mul i64 %w, {abi.RECORD_BYTES}
  %from = getelementptr i8, ptr %records, i64 %w.offset
  {_field("%from", abi.RECORD_SLOT, "slot", "i64")}
  {_field("%from", abi.RECORD_ALIAS, "alias", "i64")}
  {_field("%from", abi.RECORD_ADDRESS, "address", "i64")}
  %to = getelementptr i64, ptr %args, i64 %slot
  %to.alias = getelementptr i64, ptr %args, i64 %alias
  store i64 %address, ptr %to, align 8
  store i64 %address, ptr %to.alias, align 8
  %w.next = add i64 %w, 1
  br label %write
accept:
  store i64 1, ptr %known.at, align 8
  ret i64 1"""
