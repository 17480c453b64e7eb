"""Every error a user meets: the exception classes and the one message format they share.

A leaf module. Classes also derive from the built-in exception NumPy and JAX users would catch (ValueError for shapes,
TypeError for dtypes). Each is made from its message alone and finds the user's line itself; a layer that knows better
(the line of a node that was traced long ago) sets ``error.line``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from leptonc.frames import users_line

SHORT_DTYPES = {
    "bool": "bool",
    "bfloat16": "bf16",
    **{f"float8_{kind}": f"f8_{kind}" for kind in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e4m3b11fnuz", "e4m3", "e3m4")},
    **{f"float{bits}": f"f{bits}" for bits in (16, 32, 64)},
    **{f"complex{bits}": f"c{bits}" for bits in (64, 128)},
    **{f"int{bits}": f"i{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"u{bits}" for bits in (8, 16, 32, 64)},
}

MAX_OPERAND_CHARS = 60  # an operand is there to be recognised, not read


class LeptonError(Exception):
    """Base of all errors raised by leptonc. ``line`` is the user's, None where nothing of the user's is running."""

    def __init__(self, message: str = "", line: object = None):
        super().__init__(message)
        self.line = users_line(programs=False) if line is None else line

    @property
    def message(self) -> str:
        """The text without the line."""
        return str(self.args[0])

    def __str__(self) -> str:
        if self.line is None:
            return self.message
        first, *rest = self.message.split("\n", 1)
        return "\n".join([f"{first} ({self.line})", *rest])


class ArgumentError(LeptonError, TypeError, ValueError):
    """An argument of a wrong kind, missing, unknown or out of its range."""


class ShapeError(LeptonError, ValueError):
    """Shapes, axes or window parameters that do not fit together."""


class RangeError(ShapeError, IndexError):
    """An axis, or an index or a class label known before anything runs, that is out of range."""


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


class LoadingError(CompileError):
    """Code generation is needed by a signal handler that interrupted its very import."""


class UnboundAxisError(LeptonError, NameError):
    """A collective over an axis that no ``vmap`` around it has named."""


class MissingNameError(LeptonError, AttributeError):
    """A name that a module or a traced value does not have."""


def describe(operand: object, limit: int = MAX_OPERAND_CHARS) -> str:
    """``f32[2,5,5,3]`` for whatever has a shape and a dtype, a string as it is, else a shortened repr."""
    if isinstance(operand, str):
        return operand if len(operand) <= limit else operand[: limit - 3] + "..."
    shape, dtype = getattr(operand, "shape", None), getattr(operand, "dtype", None)
    if isinstance(shape, tuple) and dtype is not None:
        return f"{SHORT_DTYPES.get(str(dtype), str(dtype))}[{','.join(str(n) for n in shape)}]"
    try:
        text = repr(operand)
    except Exception:  # the user's own __repr__, or one that nests too deeply
        text = f"<{type(operand).__name__}>"
    return text if len(text) <= limit else text[: limit - 3] + "..."


def op_message(op: str, reason: str, operands: Mapping[str, object], fix: str | None = None) -> str:
    """``conv2d: x has 3 channels, w wants 8; x=f32[2,5,5,3], w=f32[3,3,8,4]``, and the fix behind (``; fix: ...``)."""
    parts = [reason]
    if operands:
        parts.append(", ".join(f"{name}={describe(operand)}" for name, operand in operands.items()))
    if fix is not None:
        parts.append(f"fix: {fix}")
    return f"{op}: {'; '.join(parts)}"


def op_error(
    op: str,
    reason: str,
    operands: Mapping[str, object],
    fix: str | None = None,
    kind: type[LeptonError] = ShapeError,
    line: object = None,
) -> LeptonError:
    """The error to raise for ``op``: ``raise op_error("conv2d", "x has 3 channels, w wants 8", {"x": x, "w": w})``.

    ``operands`` maps argument names to types or arrays; ``line`` is the user's, found if left out.
    """
    return kind(op_message(op, reason, operands, fix), line)


def near_names(name: str, names: Iterable[str]) -> str:
    """``did you mean relu or elu?``; empty if none of ``names`` is near."""
    near = difflib.get_close_matches(name, sorted(set(names)), n=3)
    return f"did you mean {' or '.join(near)}?" if near else ""
