"""What the driver asks of code generation, in one import."""

from leptonc.codegen.llvm.assemble import compile_asm, compile_object
from leptonc.codegen.step.module import Module, emit_program, verified_step
from leptonc.codegen.support.threads import support_module

__all__ = ["Module", "compile_asm", "compile_object", "emit_program", "support_module", "verified_step"]
