"""Every error a user meets: the exception classes and the one message format they share.

A leaf module: it imports nothing of leptonc. Classes also derive from the built-in exception NumPy and JAX users
would catch (ValueError for shapes, TypeError for dtypes), and each is made from its message alone, so that a layer
which knows more (the source line) can raise ``type(error)(f"{error} ({loc})")``.
"""

from __future__ import annotations

from collections.abc import Mapping

SHORT_DTYPES = {
    "bool": "bool",
    "bfloat16": "bf16",
    **{f"float{bits}": f"f{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"i{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"u{bits}" for bits in (8, 16, 32, 64)},
}

MAX_OPERAND_CHARS = 60  # an operand is there to be recognised, not read


class LeptonError(Exception):
    """Base of all errors raised by leptonc."""


class ShapeError(LeptonError, ValueError):
    """Shapes, axes or window parameters that do not fit together."""


class DtypeError(LeptonError, TypeError):
    """An element type the op does not take, or types that do not promote to one."""


class TracerError(LeptonError, TypeError):
    """A traced value used as a concrete one: ``bool()``, a leak out of its function, a data-dependent shape."""


class IRError(LeptonError):
    """A graph or program that does not parse or does not verify."""


class ValidationError(IRError):
    """A step of the compiler changed what a program computes: found by running the program before and after it."""


class TreeError(LeptonError, ValueError):
    """Nested containers whose structures differ, or one that cannot be flattened."""


class DonationError(LeptonError, ValueError):
    """One buffer donated twice, or a donated buffer that cannot be reused."""


class CompileError(LeptonError, RuntimeError):
    """Code generation failed."""


def describe(operand: object) -> str:
    """``f32[2,5,5,3]`` for whatever has a shape and a dtype, a string as it is, else a shortened repr."""
    if isinstance(operand, str):
        return operand
    shape, dtype = getattr(operand, "shape", None), getattr(operand, "dtype", None)
    if shape is not None and dtype is not None:
        return f"{SHORT_DTYPES.get(str(dtype), str(dtype))}[{','.join(str(n) for n in shape)}]"
    text = repr(operand)
    return text if len(text) <= MAX_OPERAND_CHARS else text[: MAX_OPERAND_CHARS - 3] + "..."


def op_message(op: str, reason: str, operands: Mapping[str, object], loc: object = None, fix: str | None = None) -> str:
    """``conv2d: x has 3 channels, w wants 8; x=f32[2,5,5,3], w=f32[3,3,8,4] (model.py:41)``

    The fix comes after the operands (``; fix: ...``) and the line always last, where editors find it.
    """
    parts = [reason]
    if operands:
        parts.append(", ".join(f"{name}={describe(operand)}" for name, operand in operands.items()))
    if fix is not None:
        parts.append(f"fix: {fix}")
    return f"{op}: {'; '.join(parts)}" + (f" ({loc})" if loc is not None else "")


def op_error(
    op: str,
    reason: str,
    operands: Mapping[str, object],
    loc: object = None,
    fix: str | None = None,
    kind: type[LeptonError] = ShapeError,
) -> LeptonError:
    """The error to raise for ``op``: ``raise op_error("conv2d", "x has 3 channels, w wants 8", {"x": x, "w": w}, loc)``.

    ``operands`` maps argument names to types or arrays; ``loc`` is anything whose ``str`` is ``file:line``.
    """
    return kind(op_message(op, reason, operands, loc, fix))
