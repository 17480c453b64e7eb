"""Typed SSA tensor graphs, Kernels, their text form and their verifier."""

from leptonc.ir.graph import Graph, Literal, Loc, Node
from leptonc.ir.kernel import Kernel, Program
from leptonc.ir.reader import parse
from leptonc.ir.text import print_graph, print_kernel, print_program
from leptonc.ir.types import DType, TensorType
from leptonc.ir.verify import verify

__all__ = ["DType", "Graph", "Kernel", "Literal", "Loc", "Node", "Program", "TensorType", "parse", "print_graph", "print_kernel",
           "print_program", "verify"]
