"""The compiled call: donation, several Python threads, fork, odd arrays, damaged objects."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp
from leptonc import stages
from leptonc.codegen.llvm.assemble import compile_object
from leptonc.codegen.step.module import emit_program
from leptonc.driver import lower, optimize
from leptonc.errors import CompileError, DonationError, LeptonError
from leptonc.ir.verify.known import Known
from leptonc.runtime import frame, pool, system
from leptonc.runtime.elf import LoadedObject
from leptonc.runtime.executable import Executable
from leptonc.runtime.system import aligned_bytes
from leptonc.target import host_target
from tests import models
from tests.attack.memory import limited


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
    """Parallel steps with intermediates, one program and many: what they share would show."""
    f = leptonc.jit(lambda x: (lnp.tanh(x @ x) @ x).sum(0))
    inputs = [rng.standard_normal((128 - 8 * (n % 2), 128 - 8 * (n % 2))).astype(np.float32) for n in range(8)]
    wanted = [f(x) for x in inputs]
    assert f.compiled_for(inputs[0]).executable.executable.parallel
    wrong, done = [], []

    def work(n):
        for _ in range(50):
            if f(inputs[n]).tobytes() != wanted[n].tobytes():
                wrong.append(n)
        done.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and sorted(done) == list(range(8))


FORK = """
import os, sys, numpy as np, leptonc
from leptonc.runtime.pool import shared_pool
leptonc.set_num_threads(2)
f = leptonc.jit(lambda x: (x @ x).sum())
x = np.ones((256, 256), np.float32)
wanted = f(x)
assert shared_pool()._ready == 2
pid = os.fork()
if pid == 0:
    alone = shared_pool()._ready == 1
    right = all(f(x) == wanted for _ in range(5)) and leptonc.jit(lambda x: x + 1)(x)[0, 0] == 2
    os._exit(0 if right and alone and shared_pool()._ready == 2 else 1)
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


def test_a_process_without_memory_says_so_and_goes_on(rng):
    """The large program is the one called last, so the short way tries it first, for arguments of every shape."""
    f = leptonc.jit(lambda x: (x[:, None] * x[None, :]).sum(1) + (x[:, None] + x[None, :]).max(0))
    outer = leptonc.jit(lambda x: x[:, None] * x[None, :])
    small, large = np.ones(4, np.float32), np.ones(40_000, np.float32)
    for jitted in (f, outer):
        wanted = jitted(small)
        with limited(16 << 20):
            for _ in range(2):
                with pytest.raises(MemoryError):
                    outer(large)
                np.testing.assert_array_equal(jitted(small), wanted)


def test_memory_is_asked_for_when_the_arguments_are_right(monkeypatch):
    f = leptonc.jit(lambda x: (x @ x.T).sum())
    x, other = np.ones((200, 3), np.float32), np.ones((4, 3), np.float32)
    f(x)
    f.compiled_for(x).executable.executable.rest()
    asked = []
    monkeypatch.setattr(frame, "aligned_bytes", lambda n: asked.append(n) or aligned_bytes(n))
    assert f._shortcut(((other,), {})) == (False, None) and not asked
    assert f(other) == 48


def test_what_failed_is_not_what_is_tried_first(monkeypatch):
    f = leptonc.jit(lambda x: x + 1)
    f(np.ones(3))
    before = f._shortcut

    def fail(self, leaves):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(stages.Compiled, "run", fail)
        with pytest.raises(MemoryError):
            f(np.ones(4))
    assert f._shortcut is before
    np.testing.assert_array_equal(f(np.ones(4)), 2)


@pytest.mark.parametrize("error", [OSError(12, "no"), OverflowError("no")])
def test_a_mapping_that_is_refused_is_a_memory_error(monkeypatch, error):
    def refuse(*args, **kwargs):
        raise error

    monkeypatch.setattr(system.mmap, "mmap", refuse)
    with pytest.raises(MemoryError, match="cannot map"):
        aligned_bytes(64 << 20)


def test_a_kernel_without_huge_pages_will_do(monkeypatch):
    class Mapping(mmap.mmap):
        def madvise(self, *args):
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(system.mmap, "mmap", Mapping)
    block = aligned_bytes(4 << 20)
    assert not block.any() and block.nbytes == 4 << 20


def test_without_threads_to_have_a_step_runs_alone(monkeypatch):
    """A limit on processes, or an interpreter that ends."""
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    f = leptonc.jit(lambda x: (x @ x).sum(0))
    x = np.ones((256, 256), np.float32)
    monkeypatch.setattr(pool, "_pool", pool.Pool(pool.support()))
    monkeypatch.setattr(pool._thread, "start_new_thread", refuse)
    leptonc.set_num_threads(3)
    try:
        np.testing.assert_array_equal(f(x), 256 * 256)
        assert pool.shared_pool().threads(3) == 1
    finally:
        leptonc.set_num_threads(None)


def test_a_job_for_threads_that_are_not_there_is_refused():
    """Else a child, forked between a call's lines, would wait for its parent's threads."""
    fresh = pool.Pool(pool.support())
    assert not fresh.run(0, 0, 2)
    assert not fresh.repeat(0, 0, 2, 1, 0, np.zeros((0, 2), np.int64), np.zeros((3, 0), np.int64))
    grown = pool.Pool(pool.support())
    assert grown.threads(3) == 3 and grown.threads(2) == 2
    grown.lose_threads()
    assert not grown.run(0, 0, 2)


def test_a_frame_is_given_back_by_a_call_that_succeeded_alone():
    f = leptonc.jit(lambda x: (x @ x).sum(0))
    x = np.ones((64, 64), np.float32)
    f(x)
    frames = f.compiled_for(x).executable.executable._frames
    (first,) = frames.spare
    f(x)
    assert frames.spare == [first]
    executable = f.compiled_for(x).executable.executable
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Executable, "_run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            executable([x])
    assert not frames.spare
    np.testing.assert_array_equal(f(x), 64 * 64)


def test_calls_at_once_have_memory_of_their_own():
    """A step of a handler in the midst of a step."""
    f = leptonc.jit(lambda x: ((x @ x) * 2 + x).sum(0))
    x = np.ones((64, 64), np.float32)
    executable = f.compiled_for(x).executable.executable
    frames = executable._frames
    one, two = frames.take(1), frames.take(1)
    assert not any(np.shares_memory(a, b) for a in (one.args, one.arena, *one.held) for b in (two.args, two.arena, *two.held))
    frames.give_back(one)
    frames.give_back(two)
    assert frames.take(1) is two


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
        f = leptonc.jit(lambda x: (x @ x).max())
        assert f(x) == 300
        (frame,) = f.compiled_for(x).executable.executable._frames.spare
        assert frame.threads == 4 * (os.cpu_count() or 1)
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


def test_no_python_runs_where_something_dies():
    """What is raised in a weak reference's callback is lost: a Ctrl-C that arrives in one would be swallowed."""
    frames = []
    known, keys = Known(), [leptonc.jit(lambda x: x + 1) for _ in range(3)]
    for key in keys:
        known.set(key, 1)
    del key
    sys.setprofile(lambda frame, event, arg: frames.append(frame.f_code.co_name) if event == "call" else None)
    try:
        keys.clear()
    finally:
        sys.setprofile(None)
    assert not frames and not known._table



@pytest.mark.parametrize("dtype", ["f8", "c16", "f4", "i8"])
def test_numpy_numbers_are_read_from_memory_that_is_there(dtype):
    """Of an executable that is called by itself."""
    compiled = leptonc.jit(lambda c, x: (c * x, x)).compiled_for(np.ones(3, dtype), np.array(2, dtype))
    for n in range(2, 6):
        product, number = compiled.executable.executable([np.ones(3, dtype), np.dtype(dtype).type(n)])
        assert number == n and (product == n).all()


def test_the_address_of_a_number_is_an_error():
    """It would be that of memory that is gone."""
    x = np.arange(3.0)
    assert system.address(x[1:]) == x.ctypes.data + 8 and system.address(x[1, ...]) == x.ctypes.data + 8
    for number in (x[1], np.complex128(1j), 1.0):
        with pytest.raises(TypeError):
            system.address(number)
