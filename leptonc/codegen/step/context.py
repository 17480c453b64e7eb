"""What runs in a function that has the threads' numbers: statements of a step, launch by launch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import prod

from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.step.step import (
    Barrier,
    Blocks,
    ControlUnit,
    Launch,
    Parallel,
    RowShare,
    Serial,
    Statement,
    Step,
    Together,
)
from leptonc.codegen.support.threads import meet


class Context:
    """What the statements of a step refer to: thread numbers, and the addresses of all buffers, which are there once."""

    def __init__(self, e: Emitter, step: Step, panels: str, local: str, tid: str, nthreads: str, lasts: bool):
        self.e = e
        self.step = step
        self.lasts = lasts
        self.panels, self.local, self.tid, self.nthreads = panels, local, tid, nthreads
        self.is_first = e.let(f"icmp eq i64 {tid}, 0", "first")
        self.pointers: dict[int, str] = {}
        self.runners: Mapping[str, str] = {}  # by a unit's function: the one that does a thread's part of its items

    def place_temporaries(self, arena: str, used: Collection[int]) -> None:
        for number, buffer in enumerate(self.step.program.buffers):
            if buffer.is_placed and number in used:
                start = self.step.memory[number].start
                self.pointers[number] = self.e.let(f"getelementptr i8, ptr {arena}, i64 {start}", f"buffer{number}_")

    def place_in_inputs(self, used: Collection[int]) -> None:
        """Temporaries that lie where an input does, which has its pointer."""
        for number, buffer in enumerate(self.step.program.buffers):
            if buffer.kind == "temp" and buffer.donated is not None and number in used:
                self.pointers[number] = self.pointers[buffer.donated]

    def share(self, items: int) -> tuple[str, str]:
        """The thread's part of so many items."""
        e = self.e
        scaled = e.mul(self.tid, str(items))
        begin = e.let(f"udiv i64 {scaled}, {self.nthreads}", "begin")
        following = e.add(scaled, str(items))
        return begin, e.let(f"udiv i64 {following}, {self.nthreads}", "end")

    def shares_evenly(self, items: int, slack: int) -> str:
        """Whether no thread's part is more than 1 / ``slack`` longer than the mean."""
        e = self.e
        longest = e.let(f"udiv i64 {e.add(self.nthreads, str(items - 1))}, {self.nthreads}", "longest")
        total = e.mul(e.mul(longest, self.nthreads), str(slack))
        return e.let(f"icmp ule i64 {total}, {items * (slack + 1)}", "even")

    def call(self, number: int, parallel: bool) -> None:
        launch = self.step.launches[number]
        if launch.stays:
            return
        runner = self.runners.get(launch.unit.function)
        if runner is not None:
            share = f"i64 {self.tid}, i64 {self.nthreads}" if parallel else "i64 0, i64 1"
            self.e.line(f"call void {runner}({self._pointers(launch)}ptr {self.panels}, ptr {self.local}, ptr %ctx, {share})")
            return
        items = launch.unit.items
        self._call(number, *(self.share(items) if parallel else ("0", str(items))))

    def call_rows(self, number: int, share: RowShare, begin: str, end: str) -> None:
        """Blocks of rows: where other digits are slower, at each of their points."""
        e, unit = self.e, self.step.launches[number].unit
        outer = prod(d.count for d in unit.digits[:share.place])
        count, inner = unit.digits[share.place].count, prod(d.count for d in unit.digits[share.place + 1:])
        first = e.mul(begin, str(share.each))
        last = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {e.mul(end, str(share.each))}, i64 {count}", "last")
        with e.loop("outer", "0", str(outer)) as point:
            start = e.mul(point, str(count))
            self._call(number, *(e.mul(e.add(start, n), str(inner)) for n in (first, last)))

    def call_block(self, number: int, block: str, blocks: int) -> None:
        each = self.step.launches[number].unit.items // blocks
        begin = self.e.mul(block, str(each))
        self._call(number, begin, self.e.add(begin, str(each)))

    def _call(self, number: int, begin: str, end: str) -> None:
        launch = self.step.launches[number]
        if launch.stays:
            return
        if isinstance(launch.unit.schedule, ControlUnit):
            self.call_control(number, "0", "1")
            return
        each = launch.unit.items_between_looks
        if not self.lasts:
            self._call_items(launch, begin, end)
        elif each >= launch.unit.items:
            with self.e.when(self.goes_on(), "launch"):
                self._call_items(launch, begin, end)
        else:
            with self.e.reduce_loop("piece", begin, end, each, [], lambda _: self.stopped()) as (item, _, _):
                following = self.e.add(item, str(each))
                past = self.e.let(f"icmp sgt i64 {following}, {end}", "past")
                self._call_items(launch, item, self.e.let(f"select i1 {past}, i64 {end}, i64 {following}", "stop"))

    def _call_items(self, launch: Launch, begin: str, end: str) -> None:
        self.e.line(f"call void {launch.unit.function}({self._pointers(launch)}ptr {self.panels}, ptr {self.local}, "
                    f"i64 {begin}, i64 {end})")

    def call_control(self, number: int, tid: str, nthreads: str) -> None:
        """A loop or a branch, as one of so many threads."""
        launch = self.step.launches[number]
        call = (f"call void {launch.unit.function}({self._pointers(launch)}ptr {self.panels}, ptr {self.local}, "
                f"ptr %ctx, i64 {tid}, i64 {nthreads})")
        if not self.lasts:
            self.e.line(call)
            return
        with self.e.when(self.goes_on(), "launch"):
            self.e.line(call)

    def stopped(self) -> str:
        """Whether the step is to stop."""
        return self.e.let(f"call i1 @stopped(ptr %ctx, i64 {self.tid})", "stopped")

    def goes_on(self) -> str:
        return self.e.let(f"xor i1 {self.stopped()}, true", "goes_on")

    def _pointers(self, launch: Launch) -> str:
        return "".join(f"ptr {self.pointers[n]}, " for n in launch.args)


class PartContext(Context):
    """In a function that gets the addresses."""

    def _pointers(self, launch: Launch) -> str:
        return "".join(f"ptr %p{n}, " for n, _ in enumerate(launch.args))


def emit_statements(e: Emitter, context: Context, statements: Sequence[Statement]) -> None:
    for statement in statements:
        match statement:
            case Barrier():
                meet(e)
            case Parallel(number):
                context.call(number, parallel=True)
            case Together(number):
                context.call_control(number, context.tid, context.nthreads)
            case Serial(numbers):
                with e.when(context.is_first, "serial"):
                    for number in numbers:
                        context.call(number, parallel=False)
            case Blocks():
                _emit_blocks(e, context, statement)


def _emit_blocks(e: Emitter, context: Context, group: Blocks) -> None:
    even = context.shares_evenly(group.count, group.slack)
    with e.when(even, "blocks"):
        begin, end = context.share(group.count)
        with e.loop("block", begin, end) as block:
            for number in group.launches:
                context.call_block(number, block, group.count)
    with e.when(e.let(f"xor i1 {even}, true", "uneven"), "whole"):
        emit_statements(e, context, group.otherwise)
