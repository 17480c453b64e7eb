"""The progress bar: what Keras's shows, in one line of the terminal, with samples per second and what waits for data."""

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

from leptonc.keras.src.batches import Batches
from leptonc.keras.src.waiting import Waiting

LONGEST, SHORTEST = 20, 6  # characters of the bar
INDENT = " " * 4


def is_watched() -> bool:
    """Whether there is a terminal or a notebook, where a bar can be drawn over itself; a file gets a line for each epoch."""
    return sys.stdout.isatty() or "ipykernel" in sys.modules or "PYCHARM_HOSTED" in os.environ


class Progress(ProgbarLogger):
    """Keras's callback around a bar that knows the ``batches`` it stands for."""

    progbar: Any

    def __init__(self, batches: Batches):
        super().__init__()
        self._batch_size = batches.data_adapter.batch_size
        self._waiting = Waiting(batches)

    def _maybe_init_progbar(self) -> None:
        if self.progbar is None:
            self._waiting.start()
            self.progbar = Bar(self._batch_size, self._waiting, target=self.target, verbose=self.verbose, stateless_metrics=set())

    def _update_progbar(self, batch: int, logs: Any = None) -> None:
        self._waiting.look()
        super()._update_progbar(batch, logs)

    def on_train_end(self, logs: Any = None) -> None:
        if self.verbose and self._waiting.hint:
            io_utils.print_msg(self._waiting.hint)


class Bar(Progbar):
    """While it moves it is no longer than a line, for a terminal can't draw over two: metrics that have no room wait for the end,
    which is broken between metrics."""

    _prev_total_width: int

    def __init__(self, batch_size: int | None, waiting: Waiting | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self._batch_size, self._waiting = batch_size, waiting
        self._drawn, self._width = 0.0, LONGEST
        self._logs: dict[str, Any] = {}

    def update(self, current: int, values: Any = None, finalize: bool | None = None) -> None:
        now = time.time()
        done = bool(self.target) and current >= self.target if finalize is None else finalize
        if self.verbose != 1:
            if done and self.verbose == 2 and self.target:
                self._logs.update(values or ())
                self._print_line(current, now)
            return
        if not done and current > 1 and now - self._drawn < self.interval:
            return
        self._seen_so_far, self._drawn = current, now
        self._logs.update(values or ())
        step = self._estimate_step_duration(current, now)
        self._draw(current, f" {_seconds(now - self._start if done or not self.target else step * (self.target - current))}",
                   self._format_time(step, self.unit_name), self._rate(step), done)

    def _print_line(self, current: int, now: float) -> None:
        """An epoch, where nothing can be drawn over."""
        pace = self._format_time(self._estimate_step_duration(current, now), self.unit_name)
        io_utils.print_msg(f"{_count(current, self.target)} - {now - self._start:.0f}s -{pace}{''.join(self._metrics())}")

    def _metrics(self) -> list[str]:
        """What is said of the epoch so far: the wait first, for it says what to do."""
        waiting = self._waiting.text if self._waiting is not None else ""
        return [f" - {waiting}"] * bool(waiting) + [f" - {name}: {_number(value)}" for name, value in self._logs.items()]

    def _rate(self, step: float) -> str:
        return f" {self._batch_size / step:,.0f} samples/s" if self._batch_size and step > 0 else ""

    def _draw(self, current: int, clock: str, pace: str, rate: str, done: bool) -> None:
        room = shutil.get_terminal_size().columns - 1
        count = f"{_count(current, self.target)} " if self.target else f"{current}/Unknown"
        shortest = SHORTEST if self.target else 0
        metrics = self._metrics()
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


def _count(current: int, target: int) -> str:
    return f"{current:{len(str(target))}d}/{target}"


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
