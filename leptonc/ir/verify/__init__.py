"""The verifier: what must hold of a Graph, a Kernel and a Program. It runs after every pass and on every text that is read, so
passes and code generation need no guards against what it rules out."""

from leptonc.ir.verify.graph import verify
from leptonc.ir.verify.kernel import verify_kernel
from leptonc.ir.verify.memory import verify_memory
from leptonc.ir.verify.program import verify_program

__all__ = ["verify", "verify_kernel", "verify_memory", "verify_program"]
