"""Settings from the environment, read when asked for rather than at import. A leaf module.

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

import os
import time
from pathlib import Path

from leptonc.cpus import available_cpus
from leptonc.errors import LeptonError

MAX_THREADS = 1024
MAX_DEBUG = 5
RECENT_SECONDS = 0.05
NEVER = (0, 0.0)

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
