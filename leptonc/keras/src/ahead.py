"""An iterator read ahead on a thread, so that the next batch is made while the step runs."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Iterator
from typing import Any


class Ahead:
    """An iterator's items, made on a thread while the caller works; an exception of the iterator's comes where its item would.

    ``depth`` items at most are made before the caller asks for them; the one it has is not counted. Two queues and no lock: the
    thread takes a permit for each item, and ends at None. It holds no reference to this object, whose end is its own.
    """

    def __init__(self, items: Any, depth: int):
        self._ready: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._permits: queue.SimpleQueue[bool | None] = queue.SimpleQueue()
        self._process = os.getpid()
        self._done = False
        self._depth = depth
        for _ in range(depth):
            self._permits.put(True)
        given = iter(items), self._ready, self._permits
        self._thread = threading.Thread(target=_fill, args=given, name="leptonc-batches", daemon=True)
        self._thread.start()

    def __iter__(self) -> Ahead:
        return self

    def __next__(self) -> Any:
        if self._done:
            raise StopIteration
        if os.getpid() != self._process:
            raise RuntimeError("this process was forked while batches were read: the thread that reads them is the parent's")
        kind, value = self._ready.get()
        if kind == "item":
            self._permits.put(True)
            return value
        self._done = True
        raise StopIteration if kind == "end" else value

    def close(self) -> None:
        """End after the item that is being made."""
        self._done = True
        for _ in range(self._depth):
            with contextlib.suppress(queue.Empty):
                self._permits.get_nowait()
        self._permits.put(None)
        if self._thread.is_alive() and os.getpid() == self._process:
            self._thread.join()

    def __del__(self) -> None:
        self._permits.put(None)


def _fill(items: Iterator[Any], ready: queue.SimpleQueue[tuple[str, Any]], permits: queue.SimpleQueue[bool | None]) -> None:
    """What the thread does, until there is nothing more or nobody left who takes it."""
    kind = "item"
    while kind == "item" and permits.get():
        try:
            kind, value = "item", next(items)
        except StopIteration:
            kind, value = "end", None
        except BaseException as error:
            kind, value = "error", error
        ready.put((kind, value))
