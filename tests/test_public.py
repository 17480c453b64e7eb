"""Tracebacks: the user's frames alone, unless asked for, or unless leptonc itself may be at fault."""

from __future__ import annotations

import pickle
import threading
import traceback

import numpy as np
import pytest

import leptonc
from leptonc import lax, nn, optim, tree
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError, IRError, LeptonError, ShapeError
from leptonc.frames import is_own
from leptonc.public import public


def files(error: BaseException) -> list[str]:
    """Whose frames a traceback shows: "leptonc" or the name of the function."""
    return ["leptonc" if is_own(entry.tb_frame) else entry.tb_frame.f_code.co_name for entry in entries(error.__traceback__)]


def entries(entry):
    while entry is not None:
        yield entry
        entry = entry.tb_next


def caught(f, *args):
    with pytest.raises(Exception) as error:
        f(*args)
    return error.value


def layer(x, w):
    return nn.conv(x, w)


def lookup(x):
    return {}["missing"]


CALLS = {
    "conv in jit": (lambda: leptonc.jit(layer)(np.ones((1, 4, 4, 3)), np.ones((3, 3, 2, 2))), ["layer"]),
    "user's error in jit": (lambda: leptonc.jit(lookup)(1.0), ["lookup"]),
    "user's error in grad": (lambda: leptonc.grad(lookup)(1.0), ["lookup"]),
    "user's error in NumPy in jit": (lambda: leptonc.jit(lambda x: np.linalg.inv(np.zeros((2, 2))))(1.0), None),
    "eager": (lambda: lnp.sum(np.ones(3), axis=4), []),
    "operator": (lambda: leptonc.jit(lambda x: x @ x)(np.ones((2, 3))), ["<lambda>"]),
    "at": (lambda: leptonc.jit(lambda x: x.at[9].set(0))(np.ones(3)), ["<lambda>"]),
    "signature": (lambda: lnp.sum(np.ones(3), axes=1), []),
    "no argument": (lambda: lnp.sum(), []),
    "missing name": (lambda: lnp.norm, []),
    "pull": (lambda: leptonc.vjp(lambda x: x, np.ones(3))[1](np.ones(4)), []),
    "optimizer": (lambda: optim.adam(0.1).update(np.ones(3), None), []),
    "tree": (lambda: tree.map(lambda a, b: a, [1], [1, 2]), []),
    "scan": (lambda: lax.scan(lambda c, x: (c, {}["missing"]), 0.0, np.ones(3)), ["<lambda>"]),
    "compiled": (lambda: leptonc.jit(lambda x: x).trace(np.ones(3)).compile()(np.ones(4)), []),
    "frozen": (lambda: leptonc.freeze(lambda w, x: w @ x, np.ones((3, 2)))(np.ones(3)), ["<lambda>"]),
    "disabled": (lambda: disabled(lookup), ["disabled", "lookup"]),
}


def disabled(f):
    with leptonc.disable_jit():
        leptonc.jit(f)(1.0)


@pytest.mark.parametrize("call, inner", CALLS.values(), ids=CALLS)
def test_leptoncs_frames_are_hidden(monkeypatch, call, inner):
    monkeypatch.delenv("LEPTONC_TRACEBACK", raising=False)
    found = files(caught(call))
    assert "leptonc" not in found, found
    assert found[:2] == ["caught", "<lambda>"] and (inner is None or found[2:] == inner)
    monkeypatch.setenv("LEPTONC_TRACEBACK", "full")
    assert "leptonc" in files(caught(call))


def test_faults_of_leptonc_keep_their_frames(monkeypatch):
    monkeypatch.delenv("LEPTONC_TRACEBACK", raising=False)
    broken = public(eval("lambda: {}['inside']", {"__name__": "leptonc.broken"}))
    assert files(caught(broken)).count("leptonc") == 2
    assert "leptonc" in files(caught(leptonc.ir.parse, "graph"))
    assert isinstance(caught(leptonc.ir.parse, "graph"), IRError)


def test_causes_are_kept(monkeypatch):
    monkeypatch.delenv("LEPTONC_TRACEBACK", raising=False)

    def step(x):
        try:
            return {}["missing"]
        except KeyError as error:
            raise ValueError("mine") from error

    error = caught(leptonc.jit(step), 1.0)
    assert isinstance(error, ValueError) and isinstance(error.__cause__, KeyError)
    assert files(error.__cause__) == ["step"]
    text = "".join(traceback.format_exception(error))
    assert "direct cause" in text and "leptonc/jit.py" not in text


def test_a_mismatch_is_no_type_error_of_the_users_function():
    def step(x):
        return step()

    error = caught(leptonc.jit(step), 1.0)
    assert type(error) is TypeError and "missing 1 required" in str(error)
    assert isinstance(caught(lambda: nn.relu()), ArgumentError)


def test_the_line_is_the_users():
    def inner(x):
        return lnp.reshape(x, (7,))

    line = inner.__code__.co_firstlineno + 1
    for f in (
        inner,
        leptonc.jit(inner),
        leptonc.grad(lambda x: inner(x).sum()),
        lambda x: list(map(inner, [x])),
        lambda x: tree.map(inner, {"a": x}),
    ):
        error = caught(f, np.ones(3))
        assert isinstance(error, ShapeError) and str(error).endswith(f"(test_public.py:{line})"), str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_without_a_line_of_the_users():
    found = []
    compiled = leptonc.jit(lambda x: x).trace(np.ones(3)).compile()
    thread = threading.Thread(target=lambda: found.append(caught(compiled, 3)))
    thread.start()
    thread.join()
    assert isinstance(found[0], LeptonError)


def test_what_is_given_by_name_stands_behind_a_star():
    x = np.zeros((1, 4, 4, 1), "f4")
    with pytest.raises(ArgumentError, match=r"max_pool: too many positional arguments; it takes \(x, window, \*, stride, "):
        leptonc.nn.max_pool(x, (2, 2), (2, 2))
