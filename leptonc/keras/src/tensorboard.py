"""Keras's TensorBoard callback without TensorFlow: what it writes goes through tensorboardX (extra ``tensorboard``).

Written are scalars of epochs and batches, histograms and images of weights, the model as Keras describes it, the ops of the
compiled step in their layers, embeddings, and a trace of the batches of ``profile_batch`` (a Chrome trace, as TensorBoard's profile
plugin takes it). What a model writes by itself with ``tf.summary`` needs TensorFlow.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib
import itertools
import json
import os
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from leptonc.ir.graph import Graph, Node
from leptonc.jit import Jitted

IMAGES = 3  # of one weight, as TensorFlow's image summaries have at most
_numbers = itertools.count()


def _tensorboardx(part: str = "") -> Any:
    """A module of tensorboardX, which is imported no sooner. Raises ImportError."""
    try:
        return importlib.import_module(f"tensorboardX{part}")
    except ModuleNotFoundError as error:
        if error.name not in ("tensorboardX", "google", "google.protobuf"):
            raise
        raise ImportError("keras.callbacks.TensorBoard writes with tensorboardX, which is not installed; "
                          "fix: pip install leptonc[tensorboard]") from None


class Writer:
    """A folder's event file. ``as_default``: inside, it is where summaries without a writer of their own go."""

    def __init__(self, summary: Summary, folder: str):
        self._summary = summary
        suffix = f".{os.getpid()}.{next(_numbers)}"  # a file is named by its second, and two fits may begin in one
        self.events = _tensorboardx().SummaryWriter(folder, filename_suffix=suffix)

    @contextlib.contextmanager
    def as_default(self, step: Any = None) -> Iterator[Writer]:
        self._summary.writers.append(self)
        try:
            yield self
        finally:
            self._summary.writers.remove(self)

    def flush(self) -> None:
        self.events.flush()

    def close(self) -> None:
        self.events.close()


class Summary:
    """What the callback uses of ``tensorflow.summary``. Writes nothing without a default writer, nor if ``record_if`` says no."""

    def __init__(self) -> None:
        self.writers: list[Writer] = []
        self._conditions: list[Callable[[], bool]] = []

    def create_file_writer(self, folder: str) -> Writer:
        return Writer(self, folder)

    @contextlib.contextmanager
    def record_if(self, condition: Callable[[], bool]) -> Iterator[None]:
        self._conditions.append(condition)
        try:
            yield
        finally:
            self._conditions.remove(condition)

    def _events(self) -> Any:
        """Where to write to; None if nothing is to be written."""
        wanted = self.writers and (not self._conditions or self._conditions[-1]())
        return self.writers[-1].events if wanted else None

    def scalar(self, name: str, data: Any, step: Any = None) -> None:
        events = self._events()
        if events is not None:
            events.add_scalar(name, float(np.asarray(data)), _step(step))

    def histogram(self, name: str, data: Any, step: Any = None) -> None:
        """Of what is finite; nothing of an empty array."""
        events, values = self._events(), np.asarray(data, np.float64).reshape(-1)
        values = values[np.isfinite(values)]
        if events is not None and values.size:
            events.add_histogram(name, values, _step(step))

    def image(self, name: str, data: Any, step: Any = None) -> None:
        """The first of a batch [n, height, width, channels], its range stretched to black and white: weights are small."""
        events, images = self._events(), np.nan_to_num(np.asarray(data, np.float32), posinf=0, neginf=0)[:IMAGES]
        if events is None or not images.size:
            return
        images = (images - images.min()) / (float(np.ptp(images)) or 1.0)
        for n, image in enumerate(images):
            events.add_image(f"{name}/{n}" if len(images) > 1 else name, image, _step(step), dataformats="HWC")

    def trace_on(self, graph: bool = True, profiler: bool = False) -> None:
        """The step's graph is written anyway."""

    def trace_export(self, name: str, step: Any = None) -> None:
        """As ``trace_on``."""


def _step(step: Any) -> int | None:
    return None if step is None else int(np.asarray(step))


class WithoutTensorFlow:
    """Mixin before Keras's callback: the places where that imports TensorFlow."""

    model: Any  # and the others are Keras's
    embeddings_metadata: Any
    _train_writer: Any
    _log_write_dir: str
    _init_profile_batch: Callable[[Any], None]

    def __init__(self, log_dir: Any = "logs", histogram_freq: int = 0, write_graph: bool = True, write_images: bool = False,
                 write_steps_per_second: bool = False, update_freq: Any = "epoch", profile_batch: Any = 0, embeddings_freq: int = 0,
                 embeddings_metadata: Any = None) -> None:
        _tensorboardx()
        super().__init__(log_dir, histogram_freq, write_graph, write_images, write_steps_per_second, update_freq,  # type: ignore
                         0, embeddings_freq, embeddings_metadata)
        self._init_profile_batch(profile_batch)  # Keras knows two backends that have profiles
        self._summary_module = Summary()

    def _write_keras_model_summary(self) -> None:
        """The model as JSON, which TensorBoard draws as "conceptual graph"."""
        if type(self.model).__name__ not in ("Functional", "Sequential"):
            return
        proto = _tensorboardx(".proto.summary_pb2")
        tensors = _tensorboardx(".proto.tensor_pb2")
        plugin = proto.SummaryMetadata.PluginData(plugin_name="graph_keras_model", content=b"1")
        text = tensors.TensorProto(dtype="DT_STRING", string_val=[self.model.to_json().encode()])
        value = proto.Summary.Value(tag="keras", metadata=proto.SummaryMetadata(plugin_data=plugin), tensor=text)
        self._train_writer.events.file_writer.add_summary(proto.Summary(value=[value]), 0)

    def _write_keras_model_train_graph(self) -> None:
        """The ops of the compiled step, each in its layer."""
        graph = _traced(self.model.train_function)
        if graph is not None:
            event = _tensorboardx(".proto.event_pb2").Event(graph_def=graph_def(graph).SerializeToString())
            self._train_writer.events.file_writer.add_event(event)

    def _configure_embeddings(self) -> None:
        """Raises ValueError for metadata of layers that are no Embedding."""
        if isinstance(self.embeddings_metadata, dict):
            unknown = sorted(set(self.embeddings_metadata) - {layer.name for layer in self._embeddings()})
            if unknown:
                raise ValueError("Unrecognized `Embedding` layer names passed to `keras.callbacks.TensorBoard` "
                                 f"`embeddings_metadata` argument: {unknown}")

    def _embeddings(self) -> list[Any]:
        return [layer for layer in self.model._flatten_layers() if type(layer).__name__ == "Embedding"]

    def _log_embeddings(self, epoch: int) -> None:
        for layer in self._embeddings():
            table = layer.embeddings.numpy()
            self._train_writer.events.add_embedding(table, self._labels(layer, len(table)), global_step=epoch, tag=layer.name)

    def _labels(self, layer: Any, count: int) -> list[str] | None:
        """Of the rows: the lines of the metadata file; None if there is none, as Keras does not ask for it."""
        given = self.embeddings_metadata
        path = given.get(layer.name) if isinstance(given, dict) else given
        if path is None or not os.path.exists(os.path.join(self._log_write_dir, path)):
            return None
        with open(os.path.join(self._log_write_dir, path)) as file:
            lines = file.read().splitlines()
        if len(lines) != count:
            raise ValueError(f"TensorBoard: {path} has {len(lines)} lines, and layer {layer.name} has {count} rows")
        return lines


def without_tensorflow(callback: type) -> type:
    """Keras's class, as this backend has it."""
    return type("TensorBoard", (WithoutTensorFlow, callback), {"__doc__": callback.__doc__, "__module__": callback.__module__})


def _traced(step: Any) -> Graph | None:
    """The graph of a step that has run; None if it runs eagerly."""
    run = getattr(step, "_run", None)
    programs = list(run._programs.values()) if isinstance(run, Jitted) else []
    return programs[-1].traced.graph if programs else None


def graph_def(graph: Graph) -> Any:
    """A leptonc Graph as TensorFlow's GraphDef, nodes named by the layers they are in."""
    nodes = _tensorboardx(".proto.node_def_pb2").NodeDef
    names: dict[int, str] = {}
    found = []
    for n, value in enumerate(graph.inputs):
        given = graph.input_names[n] if n < len(graph.input_names) else ""
        names[value] = f"inputs/{_plain(given) or 'input'}_{n}"
        found.append(_node_def(nodes, names[value], "Placeholder", [], str(graph.input_types[n])))
    used: dict[str, int] = defaultdict(int)
    for node in graph.nodes:
        name = _place(node)
        used[name] += 1
        name += f"_{used[name]}" if used[name] > 1 else ""
        found.append(_node_def(nodes, name, node.op, [names[value] for value in node.operands], ", ".join(map(str, node.types))))
        names.update({value: name for value in node.results})
    versions = _tensorboardx(".proto.versions_pb2").VersionDef(producer=22)
    return _tensorboardx(".proto.graph_pb2").GraphDef(node=found, versions=versions)


def _place(node: Node) -> str:
    scope = "/".join(_plain(part) for part in (node.loc.scope if node.loc else "").split("/"))
    return f"{scope or 'step'}/{node.op}"


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "_-." else "_" for c in name).strip("_")


def _node_def(kind: Any, name: str, op: str, inputs: list[str], types: str) -> Any:
    value = _tensorboardx(".proto.attr_value_pb2").AttrValue(s=types.encode())
    return kind(name=name, op=op, input=inputs, attr={"types": value})


# What Keras asks a backend for, to profile.

_profiles: list[tuple[str, list[dict[str, Any]]]] = []


def start_trace(logdir: str) -> None:
    """Batches from now on are noted. Without a folder it does nothing: it was to warm up."""
    if logdir:
        _profiles.append((logdir, []))


def stop_trace(save: bool) -> None:
    """Write what was noted, to ``plugins/profile/TIME/HOST.trace.json.gz``."""
    if not _profiles:
        return
    logdir, events = _profiles.pop()
    if save:
        folder = os.path.join(logdir, "plugins", "profile", time.strftime("%Y_%m_%d_%H_%M_%S"))
        os.makedirs(folder, exist_ok=True)
        with gzip.open(os.path.join(folder, f"{socket.gethostname()}.trace.json.gz"), "wt") as file:
            json.dump({"displayTimeUnit": "ms", "traceEvents": [
                {"ph": "M", "pid": os.getpid(), "name": "process_name", "args": {"name": "leptonc"}}, *events]}, file)


def start_batch_trace(batch: int) -> tuple[int, float]:
    return batch, time.perf_counter()


def stop_batch_trace(batch_trace_context: tuple[int, float]) -> None:
    batch, start = batch_trace_context
    for _, events in _profiles[-1:]:
        events.append({"ph": "X", "pid": os.getpid(), "tid": threading.get_native_id(), "name": f"batch {batch}", "ts": start * 1e6,
                       "dur": (time.perf_counter() - start) * 1e6})
