"""LLVM text and what it means: the emitter, scalar opcodes, vector mathematics, the assembler."""
