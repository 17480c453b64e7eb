"""A nest in a kernel of tiles as a function of its own.

What LLVM keeps in registers for it, constants above all, would stand in them around all other stages of the kernel: not worth it
for a fold that mostly ends before it begins.
"""

from __future__ import annotations

from collections.abc import Mapping

from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.loops.linear import LinearStage
from leptonc.codegen.loops.nest import NestEmitter
from leptonc.codegen.loops.schedule import Nest
from leptonc.ir.kernel import Load


def call_nest(e: Emitter, stage: LinearStage, nest: Nest, pointers: Mapping[str, str], ivs: Mapping[str, str]) -> None:
    """Define the function, once for equal nests, and call it at a point of the kernel's outer axes."""
    buffers = dict.fromkeys([*(i.buffer for i in stage.insts if isinstance(i, Load)), *(s.buffer for s in stage.stores)])
    places, axes = ({name: f"%{letter}{n}" for n, name in enumerate(names)} for letter, names in (("p", buffers), ("i", ivs)))
    own = e.beside()
    own.reserve(*(name[1:] for name in (*places.values(), *axes.values())))
    NestEmitter(own, stage, nest, places, axes).emit_inner()
    parameters = ", ".join([*(f"ptr {p}" for p in places.values()), *(f"i64 {i}" for i in axes.values())])
    name = e.define("nest", parameters, own)
    e.line(f"call void {name}({', '.join([*(f'ptr {pointers[b]}' for b in places), *(f'i64 {i}' for i in ivs.values())])})")
