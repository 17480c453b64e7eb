"""LLVM text -> object code. With ``support`` and the rest of this package the only place that knows LLVM."""

from __future__ import annotations

import functools
import mmap
from typing import Any

import llvmlite.binding as llvm

from leptonc.errors import CompileError
from leptonc.exclusive import compiling
from leptonc.target import Target


@functools.cache
def _initialize() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@functools.cache
def _machine(target: Target) -> Any:
    """One TargetMachine per target: making one costs more than a small module."""
    _initialize()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="small")


LEAST_ROOM, ROOM_FOR_TEXT = 32 << 20, 30  # bytes, and bytes for each of a text: some three times what LLVM takes


def _check_room(text: str) -> None:
    """LLVM ends the process where it gets no memory. Raises MemoryError instead."""
    try:
        mmap.mmap(-1, LEAST_ROOM + ROOM_FOR_TEXT * len(text)).close()
    except OSError as error:
        raise MemoryError(f"no memory to compile with: {error}") from None


def _parse(text: str) -> Any:
    _check_room(text)
    _initialize()
    try:
        module = llvm.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise CompileError(f"LLVM does not take the generated code: {_with_line(str(error), text)}") from None
    return module


def _with_line(message: str, text: str) -> str:
    """The message with the line of generated code it points at."""
    parts = message.split(":")
    number = next((int(p) for p in parts if p.strip().isdigit()), None)
    lines = text.splitlines()
    if number is None or not 1 <= number <= len(lines):
        return message.strip()
    return f"{message.strip()}\n{number}: {lines[number - 1]}"


def compile_object(text: str, target: Target) -> bytes:
    """An ELF object. The text is already vector code, so LLVM's optimisation passes are not run."""
    with compiling(), _parse(text) as module:
        return bytes(_machine(target).emit_object(module))


def compile_asm(text: str, target: Target) -> str:
    with compiling(), _parse(text) as module:
        return str(_machine(target).emit_assembly(module))
