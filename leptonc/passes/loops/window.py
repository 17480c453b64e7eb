"""A pool in the tile of the convolution that feeds it: the image between them is never stored.

    for every n, py:                              outer axes, in parallel
      t[w, x, c] = sum ...                        the rows that one row of windows reads, in a local buffer
      out[n, py, px, c] = max over the window of t
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from leptonc.ir.affine import span
from leptonc.ir.kernel import Axis, Index, Kernel, Load, Param, Program, Stage, Store, divisors, points
from leptonc.ir.structure import product_sum
from leptonc.ir.types import TensorType
from leptonc.passes.loops.draft import Draft, Task, index_at, inst_at, join_producers
from leptonc.passes.loops.merge import stores_at_axes, with_prefix

ENOUGH_TILES = 16  # fewer leave some threads without a last one for too long
LEAST_CHANNELS = 32  # two registers' worth: a tile of fewer reads more of its image than it multiplies


@dataclass(frozen=True)
class TileWindows:
    """Joins a contraction with the reduction over windows that alone reads its result. ``local_bytes``: largest tile."""

    local_bytes: int = 256 * 1024
    name: str = "tile-windows"

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        join_producers(draft, lambda made, used, buffer: _joined(made, used, buffer, self.local_bytes))
        return draft.finish()


@dataclass(frozen=True)
class _Window:
    """How the consumer reads one dimension of the image: ``axis * step + tap``, or ``axis`` alone (``tap`` None)."""

    axis: Axis
    step: int
    tap: Axis | None

    @property
    def index(self) -> Index:
        return self.axis * self.step + (self.tap or 0)

    @property
    def reach(self) -> int:
        """Positions of the image that the consumer reads."""
        reached = span(self.index, {a.name: a.extent for a in (self.axis, self.tap) if a})
        assert reached is not None, "no values"
        return reached.high + 1


def _joined(made: Task, used: Task, buffer: str, local_bytes: int) -> Task | None:
    """Both tasks as one kernel over tiles; None if they do not fit together."""
    first, second = made.stage, used.stage
    if first is None or second is None or not _is_contraction(first, buffer):
        return None
    if made.kernel.buffer(buffer).init is not None or made.kernel.buffer(buffer).type != used.kernel.buffer(buffer).type:
        return None
    windows = _windows(second, buffer)
    if windows is None or _clash(made, used):
        return None
    spatial = [n for n, w in enumerate(windows) if w.tap is not None]
    split = spatial[0] if len(spatial) > 1 else -1
    outside = [n for n in range(len(windows) - 1) if windows[n].tap is None or n == split]
    inside = [n for n in range(len(windows)) if n not in outside or n == split]
    shape = tuple(_tap_extent(windows[n]) if n == split else windows[n].reach for n in inside)
    tile = Param("tile", TensorType(shape, made.kernel.buffer(buffer).type.dtype), "local")
    if not outside or not spatial or tile.type.nbytes > local_bytes:
        return None
    outer = tuple(windows[n].axis for n in outside)
    fill = _producer(with_prefix(first, "p"), windows, split, inside, tile)
    use = _consumer(second, windows, split, inside, outer, buffer, tile)
    params = {p.name: p for kernel in (made.kernel, used.kernel) for p in kernel.params if p.name != buffer}
    kernel = Kernel(f"{made.kernel.name}+{used.kernel.name}", tuple(sorted(params.values(), key=lambda p: p.role != "in")),
                    (fill, use), outer, (tile,))
    return Task(_spread(kernel, (fill.map_axes[-1], windows[-1].axis)), made.joined_loc(used))


def _spread(kernel: Kernel, channels: tuple[Axis, Axis]) -> Kernel:
    """Tiles of some channels each, their last axis in both stages, where there are too few tiles to share among threads."""
    tiles, extent = points(kernel.outer), channels[0].extent
    counts = [n for n in divisors(extent) if extent // n % LEAST_CHANNELS == 0]
    parts = next((n for n in counts if tiles * n >= ENOUGH_TILES), counts[-1]) if counts else 1
    if parts == 1:
        return kernel
    part, width = Axis("part", parts), extent // parts
    (tile,) = kernel.locals

    def split(stage: Stage, axis: Axis) -> Stage:
        place = {axis.name: part * width + axis}
        insts = tuple(i if isinstance(i, Load) and i.buffer == tile.name else inst_at(i, place) for i in stage.insts)
        stores = tuple(s if s.buffer == tile.name else replace(s, index=tuple(index_at(i, place) for i in s.index))
                       for s in stage.stores)
        return Stage(tuple(replace(a, extent=width) if a == axis else a for a in stage.axes), insts, stores)

    shape = (*tile.type.shape[:-1], width)
    return replace(kernel, stages=tuple(split(s, axis) for s, axis in zip(kernel.stages, channels)), outer=(*kernel.outer, part),
                   locals=(replace(tile, type=TensorType(shape, tile.type.dtype)),))


def _is_contraction(stage: Stage, buffer: str) -> bool:
    """Results stored once, at the map axes, into the buffer alone."""
    if product_sum(stage.insts) is None or len(stage.stores) != 1:
        return False
    store = stage.stores[0]
    return store.buffer == buffer and stores_at_axes(stage, store) and len(store.index) == len(stage.map_axes)


def _clash(made: Task, used: Task) -> bool:
    """Whether they see a buffer under different shapes."""
    types = {p.name: p.type for p in made.kernel.params}
    return any(types.get(p.name, p.type) != p.type for p in used.kernel.params)


def _tap_extent(window: _Window) -> int:
    assert window.tap is not None
    return window.tap.extent


def _windows(stage: Stage, buffer: str) -> list[_Window] | None:
    """How a stage reads the buffer, the same way in all loads; None if not by windows that lie apart."""
    if any(s.accumulate or s.masked for s in stage.stores):
        return None
    loads = {i.index: i for i in stage.insts if isinstance(i, Load) and i.buffer == buffer}
    if len(loads) != 1:
        return None
    (load,) = loads.values()
    axes = {a.name: a for a in stage.axes}
    if load.pad is not None:
        return None
    out = []
    for index in load.index:
        window = _window(index, axes)
        if window is None:
            return None
        out.append(window)
    used = [w.axis.name for w in out] + [w.tap.name for w in out if w.tap]
    return out if len(set(used)) == len(used) and out and out[-1].tap is None else None


def _window(index: Index, axes: dict[str, Axis]) -> _Window | None:
    if index.offset or index.values or index.div != 1 or any(a not in axes for a, _ in index.axes):
        return None
    maps = [(axes[a], c) for a, c in index.axes if not axes[a].reduce]
    taps = [(axes[a], c) for a, c in index.axes if axes[a].reduce]
    if len(maps) != 1 or len(taps) > 1 or (taps and (taps[0][1] != 1 or taps[0][0].extent > maps[0][1])):
        return None
    if not taps and maps[0][1] != 1:
        return None
    return _Window(maps[0][0], maps[0][1], taps[0][0] if taps else None)


def _producer(stage: Stage, windows: list[_Window], split: int, inside: list[int], tile: Param) -> Stage:
    """The contraction of one tile: its map axes run over the tile, from the outer point on."""
    maps = dict(zip(range(len(windows)), stage.map_axes))
    place, axes = dict[str, Index](), list[Axis]()
    for n, axis in maps.items():
        if n == split:
            place[axis.name] = windows[n].axis * windows[n].step + axis
            axes.append(replace(axis, extent=_tap_extent(windows[n])))
        elif n in inside:
            place[axis.name] = Index.of(axis)
            axes.append(replace(axis, extent=windows[n].reach))
        else:
            place[axis.name] = Index.of(windows[n].axis)
    insts = tuple(inst_at(i, place) for i in stage.insts)
    store = Store(tile.name, tuple(Index.of(maps[n]) for n in inside), stage.stores[0].value)
    return Stage((*axes, *stage.reduce_axes), insts, (store,))


def _consumer(stage: Stage, windows: list[_Window], split: int, inside: list[int], outer: tuple[Axis, ...], buffer: str,
              tile: Param) -> Stage:
    """The reduction over windows of one tile."""
    index = []
    for n in inside:
        window = windows[n]
        at = Index.of(window.tap) if n == split else window.index
        index.append(at)
    insts = tuple(replace(i, buffer=tile.name, index=tuple(index)) if isinstance(i, Load) and i.buffer == buffer else i
                  for i in stage.insts)
    return Stage(tuple(a for a in stage.axes if a not in outer), insts, stage.stores)
