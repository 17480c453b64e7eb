"""Parsing the text of kernels."""

from __future__ import annotations

from collections.abc import Callable

from leptonc.ir.kernel import Apply, Axis, AxisIndex, Const, Index, Inst, Kernel, Load, Param, Reduce, Stage, Store
from leptonc.ir.prefix import Prefix
from leptonc.ir.sorting import Sort
from leptonc.ir.tokens import Tokens


class KernelReader(Tokens):
    """``rows``: by id of what was read, the line of each line of its text, or of each node."""

    def __init__(self, text: str):
        self.rows: dict[int, list[int]] = {}
        super().__init__(text)

    def leaf_kernel(self) -> Kernel:
        """One without bodies."""
        special: dict[str, Callable[[], Kernel]] = {"sort": self.sort, "prefix": self.prefix}
        return special.get(self.token, self.kernel)()

    def kernel(self) -> Kernel:
        rows = [self.line]
        self.expect("kernel")
        name = self.symbol()
        self.expect("(")
        params = self.many(self.param, ")")
        outer: list[Axis] = []
        local: list[Param] = []
        if self.accept("outer"):
            self.expect("(")
            outer = self.many(self._axis, ")")
        if self.accept("locals"):
            self.expect("(")
            local = self.many(self.param, ")")
        self.expect("{")
        stages = []
        while not self.accept("}"):
            stages.append(self._stage(rows))
        found = Kernel(name, tuple(params), tuple(stages), tuple(outer), tuple(local))
        self.rows[id(found)] = rows
        return found

    def param(self) -> Param:
        role = self.take("word")
        if role not in ("in", "out", "inout", "local"):
            self.fail(f"{role!r} is no role of a parameter")
        name = self.take("word")
        self.expect(":")
        type_ = self.type()
        return Param(name, type_, role, self.number() if self.accept("init") else None)

    def _axis(self) -> Axis:
        name = self.take("word")
        self.expect(":")
        extent = self.integer()
        return Axis(name, extent, self.accept("reduce"))

    def _stage(self, rows: list[int]) -> Stage:
        """``rows`` gets the lines of the stage's head, its instructions, its stores and its end."""
        rows.append(self.line)
        lines: tuple[list[int], list[int]] = [], []
        self.expect("stage")
        self.expect("(")
        axes = self.many(self._axis, ")")
        self.expect("{")
        insts: list[Inst] = []
        stores: list[Store] = []
        while not self.accept("}"):
            line = self.line
            if self.accept("store"):
                lines[1].append(line)
                stores.append(self._store())
                continue
            lines[0].append(line)
            number = self.value()
            if number != len(insts):
                self.fail(f"expected %{len(insts)}, found %{number}")
            self.expect("=")
            insts.append(self._inst())
        rows += [*lines[0], *lines[1], self.line]
        return Stage(tuple(axes), tuple(insts), tuple(stores))

    def _inst(self) -> Inst:
        op = self.take("word")
        if op == "reduce":
            kind = self.take("word")
            dtype = self.dtype()
            return Reduce(kind, self.value(), dtype)
        dtype = self.dtype()
        if op == "load":
            buffer, index = self._access()
            return Load(buffer, index, dtype, self.number() if self.accept("pad") else None)
        if op == "const":
            return Const(self.number(), dtype)
        if op == "index":
            return AxisIndex(self._index(), dtype)
        args = [self.value()]
        while self.accept(","):
            args.append(self.value())
        return Apply(op, tuple(args), dtype)

    def _access(self) -> tuple[str, tuple[Index, ...]]:
        buffer = self.take("word")
        self.expect("[")
        return buffer, tuple(self.many(self._index, "]"))

    def _store(self) -> Store:
        buffer, index = self._access()
        accumulate = self.accept("+=")
        if not accumulate:
            self.expect("=")
        value = self.value()
        by = self.take("word") if self.accept("by") else "add"
        return Store(buffer, index, value, accumulate, self.accept("masked"), by)

    def _index(self) -> Index:
        if not self.accept("("):
            return self._terms()
        found = self._terms()
        self.expect(")")
        self.expect("/")
        return found.exact_div(self.integer())

    def _terms(self) -> Index:
        total, sign = Index() + self._term(-1 if self.accept("-") else 1), 1
        while self.token in ("+", "-"):
            sign = 1 if self.advance() == "+" else -1
            total = total + self._term(sign)
        return total

    def _term(self, sign: int) -> Index:
        if self.kind == "number":
            return Index(offset=sign * self.integer())
        if self.kind == "value":
            value = self.value()
            return Index(values=((value, sign * (self.integer() if self.accept("*") else 1)),))
        axis = self.take("word")
        return Index(((axis, sign * (self.integer() if self.accept("*") else 1)),))

    # Kernels of rows

    def _whole_rows(self, word: str) -> tuple[int, str, tuple[Param, ...]]:
        """Line, name and parameters of a kernel without stages."""
        line = self.line
        self.expect(word)
        name = self.symbol()
        self.expect("(")
        return line, name, tuple(self.many(self.param, ")"))

    def sort(self) -> Sort:
        line, name, params = self._whole_rows("sort")
        keys = self.after("keys", self.integer)
        found = Sort(name, params, (), (), (), keys, self.accept("descending"), self.accept("values"), self.accept("order"))
        self.rows[id(found)] = [line]
        return found

    def prefix(self) -> Prefix:
        line, name, params = self._whole_rows("prefix")
        join = self.after("by", lambda: self.take("word"))
        found = Prefix(name, params, (), (), (), join, self.accept("reverse"))
        self.rows[id(found)] = [line]
        return found
