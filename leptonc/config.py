"""Settings: of dtypes, by assignment or for a while; others from the environment, read when asked for rather than at import.

``leptonc.config.promotion = "jax"`` and ``leptonc.config.default_dtype = "f32"`` hold from then on, in all threads;
``with leptonc.config.override(promotion="jax"):``, also a decorator, for a block of code or a function. A leaf module.

| variable | meaning | default |
|---|---|---|
| LEPTONC_NUM_THREADS | worker threads of a compiled step, 1..1024 | CPUs this process may run on, within its container's quota |
| LEPTONC_DEBUG | 0 silent, 1 timings and causes of recompiling, 2 optimized graph, 3 kernels, 4 LLVM text, 5 assembly | 0 |
| LEPTONC_TARGET | sse, avx2 or avx512: what to compile for (see leptonc.target) | the widest this machine runs |
| LEPTONC_CACHE | 0: compiled code is neither kept nor looked for on disk | 1 |
| LEPTONC_VALIDATE | 1: every step of a compilation is checked by running it before and after (leptonc.validation) | 0 |
| LEPTONC_CACHE_DIR | where compiled objects are kept | leptonc/ under XDG_CACHE_HOME or ~/.cache |
| LEPTONC_TRACEBACK | full: tracebacks show leptonc's own frames too | short |
"""

from __future__ import annotations

import contextvars
import functools
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from leptonc.cpus import available_cpus
from leptonc.errors import ArgumentError, LeptonError, describe, near_names

MAX_THREADS = 1024
MAX_DEBUG = 5
RECENT_SECONDS = 0.05
NEVER = (0, 0.0)

PROMOTIONS = ("numpy", "jax")
FLOATS = {"f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64"}


class DtypeSettings(NamedTuple):
    """What dtypes a traced function gets depends on, beside its arguments. There is one object of each."""

    promotion: str = "numpy"
    default_dtype: str = ""  # what was chosen; see default_float

    @property
    def is_jax(self) -> bool:
        return self.promotion == "jax"

    @property
    def default_float(self) -> str:
        """The name of the float dtype that nobody has chosen: NumPy's f64, JAX's f32, unless told otherwise."""
        return self.default_dtype or ("float32" if self.is_jax else "float64")

    @property
    def default_complex(self) -> str:
        return "complex128" if self.default_float == "float64" else "complex64"

    def __str__(self) -> str:
        return f"{self.promotion}'s promotion, default dtype {self.default_float}"


_one_of_each = functools.cache(DtypeSettings)
_everywhere = _one_of_each("numpy", "")
_here: contextvars.ContextVar[DtypeSettings | None] = contextvars.ContextVar("dtypes", default=None)


def dtype_settings() -> DtypeSettings:
    """Those that hold here: the innermost ``override``'s, else what was assigned."""
    return _here.get() or _everywhere


def _changed(settings: DtypeSettings, promotion: Any, default_dtype: Any) -> DtypeSettings:
    return _one_of_each(settings.promotion if promotion is None else _promotion_named(promotion),
                        settings.default_dtype if default_dtype is None else _float_named(default_dtype))


def _promotion_named(chosen: Any) -> str:
    if not isinstance(chosen, str) or chosen not in PROMOTIONS:
        raise ArgumentError(f"config: promotion={describe(chosen)} must be 'numpy' or 'jax'")
    return chosen


def _float_named(chosen: Any) -> str:
    """The full name of a float dtype, given by a name, as a dtype or as NumPy's type."""
    name = str(getattr(chosen, "name", None) or getattr(chosen, "__name__", chosen))
    name = FLOATS.get(name, name)
    if name not in FLOATS.values():
        raise ArgumentError(f"config: default_dtype={describe(chosen)} must be one of {', '.join(FLOATS)}")
    return name


@contextmanager
def override(*, promotion: str | None = None, default_dtype: Any = None) -> Iterator[None]:
    """Other dtype settings inside, for this thread; a decorator too. What is left out stays as it is.

    ``promotion``: "numpy" or "jax"; ``default_dtype``: a float dtype. Around a call of a jitted function they are part of what it
    is compiled for; within one, they hold for the part that is inside. Raises ArgumentError for others.
    """
    before = _here.get()
    _here.set(_changed(before or _everywhere, promotion, default_dtype))
    try:
        yield
    finally:
        _here.set(before)


class _Config(ModuleType):
    """This module, with settings that are checked when they are assigned."""

    @property
    def promotion(self) -> str:
        """How dtypes promote, "numpy" or "jax"."""
        return dtype_settings().promotion

    @promotion.setter
    def promotion(self, chosen: str) -> None:
        global _everywhere
        _everywhere = _changed(_everywhere, chosen, None)

    @property
    def default_dtype(self) -> str:
        """The float dtype of what is created without one, and of Python's floats alone. None goes back to that of ``promotion``."""
        return dtype_settings().default_float

    @default_dtype.setter
    def default_dtype(self, chosen: Any) -> None:
        global _everywhere
        _everywhere = _one_of_each(_everywhere.promotion, "") if chosen is None else _changed(_everywhere, None, chosen)


    def __setattr__(self, name: str, value: Any) -> None:
        if not hasattr(self, name):
            raise ArgumentError(f"config has no setting {name}; {near_names(name, __all__)}".removesuffix("; "))
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted(__all__)


__all__ = ["default_dtype", "num_threads", "override", "promotion", "set_num_threads"]  # noqa: F822  two are properties

sys.modules[__name__].__class__ = _Config

_num_threads: int | None = None  # what set_num_threads chose; None follows the environment
_recent = NEVER  # the last answer, and until when it is good


def num_threads() -> int:
    """Worker threads of a step: set_num_threads, else LEPTONC_NUM_THREADS, else the CPUs of this process."""
    if _num_threads is not None:
        return _num_threads
    chosen = _int_setting("LEPTONC_NUM_THREADS", 1, MAX_THREADS)
    return chosen if chosen is not None else min(available_cpus(), MAX_THREADS)


def recent_num_threads() -> int:
    """``num_threads()``, asked of the environment and the system again after a while: for what runs every few microseconds."""
    global _recent
    now = time.monotonic()
    if now >= _recent[1]:
        _recent = num_threads(), now + RECENT_SECONDS
    return _recent[0]


def set_num_threads(n: int | None) -> None:
    """Use ``n`` worker threads from now on; None goes back to the environment. Results do not depend on it."""
    global _num_threads, _recent
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MAX_THREADS):
        raise LeptonError(f"set_num_threads: n={n!r}, expected an integer from 1 to {MAX_THREADS} or None")
    _num_threads, _recent = n, NEVER


def debug_level() -> int:
    """LEPTONC_DEBUG, 0 (silent) to 5 (assembly); each level prints what the lower ones do as well."""
    return _int_setting("LEPTONC_DEBUG", 0, MAX_DEBUG) or 0


def full_traceback() -> bool:
    """LEPTONC_TRACEBACK: whether tracebacks show leptonc's own frames. Asked while an error is raised, so it raises none."""
    return os.environ.get("LEPTONC_TRACEBACK") == "full"


def cache_enabled() -> bool:
    """LEPTONC_CACHE: whether compiled code is kept on disk."""
    return _int_setting("LEPTONC_CACHE", 0, 1) != 0


def validating() -> bool:
    """LEPTONC_VALIDATE: whether every step of a compilation is checked; see ``leptonc.validation``."""
    return _int_setting("LEPTONC_VALIDATE", 0, 1) == 1


def cache_dir() -> Path:
    """Absolute path of the object cache. Not created here: whoever writes to it checks owner and mode."""
    chosen = os.environ.get("LEPTONC_CACHE_DIR")
    if chosen is None:
        return _user_cache() / "leptonc"
    if not chosen.strip():
        raise LeptonError("LEPTONC_CACHE_DIR is empty, expected a directory; unset it for the default")
    path = Path(os.path.abspath(_expand_user("LEPTONC_CACHE_DIR", chosen)))
    if _is_something_else(path):
        raise LeptonError(f"LEPTONC_CACHE_DIR={chosen!r} is not a directory")
    return path


def _is_something_else(path: Path) -> bool:
    """Whether there is a thing at ``path`` that is no directory. What cannot be looked at is for the cache to do without."""
    try:
        return path.exists() and not path.is_dir()
    except OSError:  # too long a name, no permission
        return False


def _int_setting(name: str, low: int, high: int) -> int | None:
    text = os.environ.get(name)
    if text is None:
        return None
    # isdecimal would let through digits of other scripts; int() would let through "1_0" and "+1".
    value = int(text) if text.strip().isascii() and text.strip().isdigit() else None
    if value is None or not low <= value <= high:
        raise LeptonError(f"{name}={text!r}, expected an integer from {low} to {high}")
    return value


def _user_cache() -> Path:
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(chosen):  # the XDG specification has relative paths ignored
        return Path(chosen)
    return _expand_user("LEPTONC_CACHE_DIR is unset and ~/.cache", "~/.cache")


def _expand_user(what: str, text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise LeptonError(f"{what}: no home directory is known for {text!r}; set LEPTONC_CACHE_DIR") from None
