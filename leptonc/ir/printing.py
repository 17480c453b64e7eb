"""``str`` of the IR. What the text is, is said by ``leptonc.ir.text``, which knows everything that has one."""

from __future__ import annotations

from functools import singledispatch


@singledispatch
def text_of(ir: object) -> str:
    """The text form of a Graph, a Kernel or a Program."""
    return repr(ir)


class Printed:
    """What has a text form prints as it."""

    def __str__(self) -> str:
        return text_of(self)
