"""The compiled call: donation, several Python threads, fork, odd arrays, damaged objects."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import leptonc
from leptonc.codegen.llvm.assemble import compile_object
from leptonc.codegen.step.module import emit_program
from leptonc.driver import lower, optimize
from leptonc.errors import CompileError, DonationError, LeptonError
from leptonc.runtime.elf import LoadedObject
from leptonc.runtime.system import aligned_bytes
from leptonc.target import host_target
from tests import models


def test_donated_arrays_are_updated_in_place():
    step = leptonc.jit(lambda p, g: p - 0.1 * g, donate_argnums=0)
    p, g = np.ones(1000, np.float32), np.full(1000, 2, np.float32)
    view = p
    out = step(p, g)
    assert np.shares_memory(out, view)
    np.testing.assert_allclose(view, 0.8)
    np.testing.assert_array_equal(g, 2)


def test_training_state_stays_where_it_is():
    params = models.init()
    state = models.optimizer.init(params)
    before = [leaf.ctypes.data for leaf in leptonc.tree.leaves((params, state))]
    step = leptonc.jit(models.step, donate_argnums=(0, 1))
    for _ in range(3):
        params, state, _ = step(params, state, *models.batch())
    assert [leaf.ctypes.data for leaf in leptonc.tree.leaves((params, state))] == before


def test_swapping_donated_arguments_is_right():
    swap = leptonc.jit(lambda a, b: (b + 0, a + 0), donate_argnums=(0, 1))
    a, b = np.arange(5.0), np.arange(5.0) + 10
    one, two = swap(a.copy(), b.copy())
    np.testing.assert_array_equal(one, b)
    np.testing.assert_array_equal(two, a)


def test_reading_after_the_write_is_right(rng):
    f = leptonc.jit(lambda a: (a * 2, a[::-1] + a.sum()), donate_argnums=0)
    a = rng.standard_normal(3000)
    one, two = f(a.copy())
    np.testing.assert_array_equal(one, a * 2)
    np.testing.assert_allclose(two, a[::-1] + a.sum(), atol=1e-9)


def test_donating_one_buffer_twice_is_an_error():
    f = leptonc.jit(lambda a, b: (a + 1, b + 1), donate_argnums=(0, 1))
    a = np.zeros(4)
    with pytest.raises(DonationError, match=r"a.*b|b.*a"):
        f(a, a)
    with pytest.raises(DonationError):
        f(a[:2], a[1:3])
    mixed = leptonc.jit(lambda a, b, c: (a + b.sum(), c + 1), donate_argnums=0)
    with pytest.raises(DonationError):
        mixed(a[1:3], a, np.ones(2))
    with pytest.raises(DonationError):
        mixed(a, np.ones(4), a[3:])
    mixed(np.zeros(4), a, a[1:])  # what is not donated may be shared


@pytest.mark.parametrize("donated", [np.zeros((4, 4))[:, ::2], np.broadcast_to(np.float64(1), (3,))])
def test_donating_what_cannot_be_given_is_an_error(donated):
    with pytest.raises(DonationError, match="donated"):
        leptonc.jit(lambda a: a + 1, donate_argnums=0)(donated)


def test_odd_arrays_give_right_values(rng):
    f = leptonc.jit(lambda x: x * 2 + 1)
    base = rng.standard_normal((6, 8))
    read_only = base.copy()
    read_only.flags.writeable = False
    raw = np.zeros(8 * 9 + 1, np.uint8)[1:1 + 64].view(np.float64)
    for x in (base[::2, ::-1], base.T, np.asfortranarray(base), base.astype(">f8"), read_only, raw, base[:0], np.float64(3.0)):
        np.testing.assert_array_equal(f(x), np.asarray(x) * 2 + 1)


def test_outputs_are_fresh_and_distinct():
    f = leptonc.jit(lambda x: (x, x, x + 0))
    x = np.arange(3.0)
    outs = f(x)
    outs[0][:] = 9
    np.testing.assert_array_equal(x, [0, 1, 2])
    np.testing.assert_array_equal(outs[1], [0, 1, 2])
    np.testing.assert_array_equal(leptonc.jit(lambda x, y: 2 * np.ones(3))(x, x), 2)
    np.testing.assert_array_equal(leptonc.jit(lambda x, y: x + y)(x, x), 2 * x)


def test_calls_from_several_python_threads(rng):
    f = leptonc.jit(lambda x: (x @ x).sum(0))
    inputs = [rng.standard_normal((128, 128)).astype(np.float32) for _ in range(8)]
    wanted = [f(x) for x in inputs]
    wrong = []

    def work(n):
        for _ in range(50):
            if f(inputs[n]).tobytes() != wanted[n].tobytes():
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


FORK = """
import os, sys, numpy as np, leptonc
leptonc.set_num_threads(2)
f = leptonc.jit(lambda x: (x @ x).sum())
x = np.ones((256, 256), np.float32)
wanted = f(x)
pid = os.fork()
if pid == 0:
    os._exit(0 if all(f(x) == wanted for _ in range(5)) and leptonc.jit(lambda x: x + 1)(x)[0, 0] == 2 else 1)
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) or int(f(x) != wanted))
"""


def test_a_forked_child_can_compile_and_run():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], timeout=60, capture_output=True)
    assert done.returncode == 0, done.stderr


CTRL_C = """
import signal, numpy as np, leptonc
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so do its children
f = leptonc.jit(lambda x: x @ x)
x = np.ones((512, 512), np.float32)
f(x)
try:
    print("ready", flush=True)
    while True:
        f(x)
except KeyboardInterrupt:
    print("stopped", float(f(x)[0, 0]), flush=True)
"""


def test_ctrl_c_between_steps_is_answered():
    with subprocess.Popen([sys.executable, "-c", CTRL_C], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert out == "stopped 512.0\n"


def test_more_threads_than_cores():
    leptonc.set_num_threads(4 * (os.cpu_count() or 1))
    try:
        x = np.ones((300, 300), np.float32)
        assert leptonc.jit(lambda x: (x @ x).max())(x) == 300
    finally:
        leptonc.set_num_threads(None)


def _object():
    program = lower(optimize(leptonc.make_graph(lambda x: x * 2)(np.ones(4))))
    return compile_object(emit_program(program, host_target()).text, host_target())


def test_damaged_objects_are_refused(rng):
    data = _object()
    assert LoadedObject(data).address("step")
    for cut in range(0, len(data), max(len(data) // 40, 1)):
        with pytest.raises(CompileError):
            LoadedObject(data[:cut]).address("step")
    with pytest.raises(CompileError, match="defines no"):
        LoadedObject(data).address("nothing")


def test_too_many_or_bad_thread_counts():
    for bad in (0, -1, 1.5, True, 10**9):
        with pytest.raises(LeptonError, match="set_num_threads"):
            leptonc.set_num_threads(bad)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_large_blocks_are_private_mappings_that_ask_for_huge_pages():
    """A shared mapping, Python's default, gets none, and every page of it is a fault of its own."""
    block = aligned_bytes(64 << 20)
    start = block.__array_interface__["data"][0]
    flags, inside = "", False
    with open("/proc/self/smaps", encoding="ascii") as file:
        for line in file:
            head = line.split(" ", 1)[0]
            if "-" in head and not head.endswith(":"):
                low, high = (int(x, 16) for x in head.split("-"))
                inside = low <= start < high
            elif inside and line.startswith("VmFlags:"):
                flags = line
    assert " sh" not in flags and " hg" in flags


def test_a_result_is_never_handed_out_twice_while_it_lives():
    """Results come from memory that was freed lately, not from memory in use."""
    double = leptonc.jit(lambda x: x + x)
    kept = [double(np.full(300_000, n, np.float32)) for n in range(8)]
    assert [float(k.min()) for k in kept] == [float(k.max()) for k in kept] == [2.0 * n for n in range(8)]
