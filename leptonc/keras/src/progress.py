"""The progress bar: what Keras's shows, in one line of the terminal, with samples per second."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import Any

import numpy as np
from keras.src.callbacks.progbar_logger import ProgbarLogger
from keras.src.utils import io_utils
from keras.src.utils.progbar import Progbar

LONGEST, SHORTEST = 20, 6  # characters of the bar
INDENT = " " * 4


def is_watched() -> bool:
    """Whether there is a terminal or a notebook, where a bar can be drawn over itself; a file gets a line for each epoch."""
    return sys.stdout.isatty() or "ipykernel" in sys.modules or "PYCHARM_HOSTED" in os.environ


class Progress(ProgbarLogger):
    """Keras's callback around a bar that knows the ``batch_size``, or None."""

    progbar: Any

    def __init__(self, batch_size: int | None = None):
        super().__init__()
        self._batch_size = batch_size

    def _maybe_init_progbar(self) -> None:
        if self.progbar is None:
            self.progbar = Bar(self._batch_size, target=self.target, verbose=self.verbose, stateless_metrics=set())


class Bar(Progbar):
    """While it moves it is no longer than a line, for a terminal can't draw over two: metrics that have no room wait for the end,
    which is broken between metrics."""

    _prev_total_width: int

    def __init__(self, batch_size: int | None, **kwargs: Any):
        super().__init__(**kwargs)
        self._batch_size = batch_size
        self._drawn, self._width = 0.0, LONGEST
        self._logs: dict[str, Any] = {}

    def update(self, current: int, values: Any = None, finalize: bool | None = None) -> None:
        if self.verbose != 1:
            super().update(current, values, finalize)
            return
        now = time.time()
        done = bool(self.target) and current >= self.target if finalize is None else finalize
        if not done and current > 1 and now - self._drawn < self.interval:
            return
        self._seen_so_far, self._drawn = current, now
        self._logs.update(values or ())
        step = self._estimate_step_duration(current, now)
        self._draw(current, f" {_seconds(now - self._start if done or not self.target else step * (self.target - current))}",
                   self._format_time(step, self.unit_name), self._rate(step), done)

    def _rate(self, step: float) -> str:
        return f" {self._batch_size / step:,.0f} samples/s" if self._batch_size and step > 0 else ""

    def _draw(self, current: int, clock: str, pace: str, rate: str, done: bool) -> None:
        room = shutil.get_terminal_size().columns - 1
        count = f"{current:{len(str(self.target))}d}/{self.target} " if self.target else f"{current}/Unknown"
        shortest = SHORTEST if self.target else 0
        metrics = [f" - {name}: {_number(value)}" for name, value in self._logs.items()]
        used = len(count + clock + pace) + shortest
        if used + len(rate) + sum(map(len, metrics[:2])) > room:
            rate = ""
        fitting, used = [], used + len(rate)
        while metrics and used + len(metrics[0]) <= room:
            used += len(metrics[0])
            fitting.append(metrics.pop(0))
        self._width = width = min(self._width, shortest + room - used) if self.target else 0
        text = "".join([clock, pace, rate, *fitting])
        shown = len(count) + width + len(text)
        message = f"\r{_bold(count)}{self._bar(current, width)}{text}{' ' * (self._prev_total_width - shown)}"
        if done:
            message += "".join(f"\n{line}" for line in _lines(metrics, room)) + "\n"
        io_utils.print_msg(message, line_break=False)
        self._prev_total_width = shown

    def _bar(self, current: int, width: int) -> str:
        filled = min(width, width * current // self.target) if self.target else 0
        return f"\33[32m{'━' * filled}\33[0m\33[37m{'━' * (width - filled)}\33[0m" if width else ""


def _lines(parts: list[str], room: int) -> list[str]:
    """What had no room, in lines of its own."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) <= room:
            lines[-1] += part
        else:
            lines.append(INDENT + part.lstrip(" -"))
    return lines


def _bold(text: str) -> str:
    return f"\33[1m{text}\33[0m"


def _number(value: Any) -> str:
    if isinstance(value, str):
        return value
    mean = float(np.mean(value))
    return f"{mean:.4f}" if abs(mean) > 1e-3 else f"{mean:.4e}"


def _seconds(count: float) -> str:
    if count < 60:
        return f"{count:.0f}s"
    minutes, seconds = divmod(round(count), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
