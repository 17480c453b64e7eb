"""Loading relocatable ELF64 x86-64 objects: what a linker does, for one object without external symbols."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass

from leptonc.errors import CompileError
from leptonc.runtime.system import CodeMemory

SHT_SYMTAB, SHT_RELA, SHT_NOBITS = 2, 4, 8
SHF_ALLOC = 2
SHN_UNDEF, SHN_ABS = 0, 0xFFF1
EM_X86_64 = 62
MAX_BYTES = 1 << 28  # of all sections; code of a large network takes some megabytes
R_64, R_PC32, R_PLT32, R_32, R_32S, R_PC64 = 1, 2, 4, 10, 11, 24
WIDTHS = {R_64: 8, R_PC64: 8}  # bytes that a relocation writes, others 4
R_GOTPCREL = (9, 41, 42)  # GOTPCREL, GOTPCRELX, REX_GOTPCRELX


@dataclass(frozen=True)
class Section:
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry: int


@dataclass(frozen=True)
class Symbol:
    name: str
    section: int
    value: int


class LoadedObject:
    """An object in executable memory. Raises CompileError for one that is damaged or needs symbols from outside, MemoryError."""

    def __init__(self, data: bytes):
        try:
            self._load(data)
        except (struct.error, IndexError, UnicodeDecodeError, ValueError, OverflowError, KeyError) as error:
            raise CompileError(f"damaged object code: {error}") from None

    def address(self, symbol: str) -> int:
        """Where a defined symbol lies in memory."""
        if symbol not in self._symbols:
            raise CompileError(f"the object defines no {symbol!r}")
        return self._symbols[symbol]

    def _load(self, data: bytes) -> None:
        sections = _sections(data)
        places, size = _layout(sections)
        symbols = _symbol_table(data, sections)
        outside = sorted({s.name for s in symbols if s.section == SHN_UNDEF and s.name})
        if outside:
            raise CompileError(f"the object needs symbols from outside: {', '.join(outside)}")
        relocations = [r for s in sections if s.type == SHT_RELA and s.info in places for r in _relocations(data, s)]
        table = -(-size // 16) * 16  # a global offset table behind the sections, one slot per relocation that wants one
        slots = {n: table + 8 * k for k, n in enumerate(n for n, r in enumerate(relocations) if r[2] in R_GOTPCREL)}
        self._memory = CodeMemory.reserve(table + 8 * len(slots) + 1)
        base = self._memory.address
        image = bytearray(table + 8 * len(slots) + 1)
        for number, place in places.items():
            section = sections[number]
            if section.type != SHT_NOBITS:
                image[place:place + section.size] = _slice(data, section.offset, section.size)
        values = {n: s.value if s.section == SHN_ABS else base + places[s.section] + _inside(s, sections[s.section])
                  for n, s in enumerate(symbols) if s.section == SHN_ABS or s.section in places}
        for n, (section_number, offset, kind, symbol, addend) in enumerate(relocations):
            target = values[symbol]
            if n in slots:
                struct.pack_into("<Q", image, slots[n], target)
                target = base + slots[n]
            if offset + WIDTHS.get(kind, 4) > sections[section_number].size:
                raise ValueError("a relocation behind the end of its section")
            _apply(image, base, places[section_number] + offset, kind, target + addend)
        self._memory.write(bytes(image))
        self._symbols = {symbols[n].name: v for n, v in values.items() if symbols[n].name and symbols[n].section in places}


def _inside(symbol: Symbol, section: Section) -> int:
    if symbol.value > section.size:
        raise ValueError(f"{symbol.name!r} lies behind the end of its section")
    return symbol.value


def _slice(data: bytes, offset: int, size: int) -> bytes:
    if offset + size > len(data):
        raise ValueError("a section reaches beyond the end")
    return data[offset:offset + size]


def _sections(data: bytes) -> list[Section]:
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("no little-endian ELF64 object")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if kind != 1 or machine != EM_X86_64:
        raise ValueError("no relocatable x86-64 object")
    start, = struct.unpack_from("<Q", data, 40)
    entry, count = struct.unpack_from("<HH", data, 58)
    out = []
    for n in range(count):
        _, type_, flags, _, offset, size, link, info, align, size_each = struct.unpack_from("<IIQQQQIIQQ", data, start + n * entry)
        out.append(Section(type_, flags, offset, size, link, info, max(align, 1), size_each))
    return out


def _layout(sections: list[Section]) -> tuple[dict[int, int], int]:
    """Offset of each section that is loaded, and the total size."""
    places, size = {}, 0
    for n, section in enumerate(sections):
        if section.flags & SHF_ALLOC:
            if section.align > mmap.PAGESIZE or section.align & (section.align - 1):
                raise ValueError(f"a section aligned to {section.align} bytes")
            size = -(-size // section.align) * section.align
            places[n] = size
            size += section.size
            if size > MAX_BYTES:
                raise ValueError(f"sections of {size} bytes")
    return places, size


def _symbol_table(data: bytes, sections: list[Section]) -> list[Symbol]:
    table = next((s for s in sections if s.type == SHT_SYMTAB), None)
    if table is None:
        raise ValueError("no symbol table")
    names = sections[table.link]
    strings = _slice(data, names.offset, names.size)
    out = []
    for at in range(table.offset, table.offset + table.size, 24):
        name, _, _, section, value, _ = struct.unpack_from("<IBBHQQ", data, at)
        out.append(Symbol(strings[name:strings.index(b"\0", name)].decode(), section, value))
    return out


def _relocations(data: bytes, section: Section) -> list[tuple[int, int, int, int, int]]:
    """(section, offset, type, symbol, addend) of each."""
    out = []
    for at in range(section.offset, section.offset + section.size, 24):
        offset, info, addend = struct.unpack_from("<QQq", data, at)
        out.append((section.info, offset, info & 0xFFFFFFFF, info >> 32, addend))
    return out


def _apply(image: bytearray, base: int, at: int, kind: int, value: int) -> None:
    if kind in (R_PC32, R_PLT32, *R_GOTPCREL):
        struct.pack_into("<i", image, at, value - (base + at))
    elif kind == R_64:
        struct.pack_into("<Q", image, at, value & (1 << 64) - 1)
    elif kind == R_PC64:
        struct.pack_into("<q", image, at, value - (base + at))
    elif kind in (R_32, R_32S):
        struct.pack_into("<I" if kind == R_32 else "<i", image, at, value)
    else:
        raise ValueError(f"relocation type {kind}")
