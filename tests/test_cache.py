"""The cache of compiled code: found again by another process, and never trusted."""

from __future__ import annotations

import functools
import os
import resource
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import leptonc
from leptonc import cache, driver
from leptonc.runtime.code import from_bytes, to_bytes
from leptonc.target import SSE, host_target
from tests.setting import ROOT

PROGRAM = """
import sys
import numpy as np
import leptonc
rng = np.random.default_rng(0)
w = rng.standard_normal((3, 3, 4, 20)).astype(np.float32)
x = rng.standard_normal((2, 14, 14, 4)).astype(np.float32)
table = np.arange(20, dtype=np.float32)

def loss(w, x):
    y = leptonc.nn.max_pool(leptonc.nn.relu(leptonc.nn.conv(x, w)), window=2)
    return ((y * table) ** 2).mean()

value, grad = leptonc.jit(leptonc.value_and_grad(loss))(w, x)
print(value.tobytes().hex(), __import__("hashlib").sha256(grad.tobytes()).hexdigest(), "llvmlite" in sys.modules)
"""


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv("LEPTONC_CACHE", "1")
    monkeypatch.setenv("LEPTONC_CACHE_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


def run(**environment: str) -> list[str]:
    done = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], env={**os.environ, **environment}, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_new_process_starts_without_llvm_and_gives_the_same_bits(directory):
    first, second, third = run(), run(), run(LEPTONC_NUM_THREADS="3")
    assert first[2] == "True" and second[2] == "False" and third[2] == "False"
    assert first[:2] == second[:2] == third[:2]
    assert directory.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in directory.iterdir())


def test_the_same_object_for_any_hash_seed(directory):
    objects = set()
    for seed in ("1", "77"):
        os.environ["LEPTONC_CACHE_DIR"] = str(directory / seed)  # monkeypatch restores it
        run(PYTHONHASHSEED=seed)
        objects.add(tuple(sorted((p.name, p.read_bytes()) for p in (directory / seed).iterdir())))
    assert len(objects) == 1


def programs(directory) -> set[str]:
    """The entries that hold a program; the thread pool's is no such."""
    return {path.stem for path in directory.glob("*.code") if _is_program(cache.load(path.stem))}


def _is_program(data: bytes | None) -> bool:
    try:
        return bool(from_bytes(data or b"").inputs)
    except ValueError:
        return False


def test_a_narrower_target_has_its_own_entry(directory, monkeypatch, rng):
    assert compiled(rng)
    wide = programs(directory)
    monkeypatch.setenv("LEPTONC_TARGET", "sse" if host_target() is not SSE else "avx2")
    assert compiled(rng, run=host_target() is SSE)
    assert len(wide) == 1 and len(programs(directory)) == 2
    monkeypatch.delenv("LEPTONC_TARGET")
    assert not compiled(rng)


@pytest.mark.parametrize("change", [
    ("leptonc.cache.compiler_digest", lambda: b"another version of leptonc"),
    ("numpy.__version__", "2.0.0"),
    ("leptonc.driver.host_target", lambda: replace(host_target(), l2_bytes=300 * 1024)),
], ids=["compiler", "numpy", "cache sizes"])
def test_the_key_depends_on(directory, monkeypatch, rng, change):
    assert compiled(rng)
    monkeypatch.setattr(*change)
    assert compiled(rng) and not compiled(rng)


def test_the_key_depends_on_what_is_given_away(directory):
    x, y = np.ones(4, np.float32), np.full(4, 3, np.float32)
    for donated in ((), (0,), (1,), (0, 1)):
        step = leptonc.jit(lambda x, y: (x + y, x - y), donate_argnums=donated)
        a, b = x.copy(), y.copy()
        total, difference = step(a, b)
        np.testing.assert_array_equal([total, difference], [[4] * 4, [-2] * 4])
        assert [np.shares_memory(total, a) or np.shares_memory(difference, a),
                np.shares_memory(total, b) or np.shares_memory(difference, b)] == [0 in donated, 1 in donated]
    assert len(programs(directory)) == 4


def test_the_key_depends_on_every_part_and_where_it_ends():
    parts = [[b"ab", b"c"], [b"a", b"bc"], [b"abc"], [b"ab", b"c", b""], [b"ab"]]
    assert len({cache.key_of(p) for p in parts}) == len(parts)


def f(x):
    return (x @ x).sum(0) * 2


def compiled(rng, run: bool = True) -> bool:
    """Whether a fresh jit compiles, rather than loading."""
    x = rng.standard_normal((30, 30)).astype(np.float32)
    made = leptonc.jit(f).trace(x).compile()
    if run:
        np.testing.assert_allclose(made(x), f(x), rtol=1e-4, atol=1e-4)
    return "program" in made.executable.__dict__


def test_found_again(directory, rng):
    assert compiled(rng) and not compiled(rng)


def test_off(directory, rng, monkeypatch):
    monkeypatch.setenv("LEPTONC_CACHE", "0")
    assert compiled(rng) and compiled(rng) and not directory.exists()


@pytest.mark.parametrize("damage", [
    lambda data: b"",
    lambda data: data[:50],
    lambda data: data[:-1],
    lambda data: data + b"x",
    lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
    lambda data: b"LEPTONC\x01" + data[8:],
    lambda data: os.urandom(len(data)),
])
def test_a_damaged_entry_is_a_miss_and_mended(directory, rng, damage):
    assert compiled(rng)
    (path,) = directory.glob("*.code")
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert compiled(rng)
    assert path.read_bytes() == whole and not compiled(rng)


def test_an_entry_of_other_bytes_with_a_right_checksum_is_a_miss(directory, rng):
    """As an older format would be."""
    assert compiled(rng)
    (path,) = directory.glob("*.code")
    for data in (b"", b"nothing", len(b"{}").to_bytes(8, "little") + b"{}"):
        cache.store(path.stem, data)
        assert compiled(rng) and not compiled(rng)


def test_others_may_not_write_there(directory, rng):
    directory.mkdir(mode=0o700)
    directory.chmod(0o777)
    assert compiled(rng) and not list(directory.iterdir())
    directory.chmod(0o755)  # they may read
    assert compiled(rng) and not compiled(rng)
    (path,) = directory.glob("*.code")
    path.chmod(0o666)
    assert compiled(rng)


def test_links_are_not_followed(directory, rng, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    directory.symlink_to(tmp_path / "elsewhere")
    assert compiled(rng) and not list((tmp_path / "elsewhere").iterdir())
    directory.unlink()
    assert compiled(rng)
    (path,) = directory.glob("*.code")
    path.rename(tmp_path / "entry")
    path.symlink_to(tmp_path / "entry")
    assert compiled(rng)


def test_a_place_that_cannot_be_written_does_not_stop_anything(monkeypatch, rng):
    monkeypatch.setenv("LEPTONC_CACHE", "1")
    monkeypatch.setenv("LEPTONC_CACHE_DIR", "/proc/nowhere")
    assert compiled(rng) and compiled(rng)


def name(n: int) -> str:
    """A key as keys are."""
    return f"{n:064x}"


def test_the_oldest_entries_go(directory, monkeypatch):
    monkeypatch.setattr(cache, "MAX_BYTES", 1000)
    for n in range(6):
        cache.store(name(n), bytes(260))
        os.utime(directory / f"{name(n)}.code", ns=(n, n))
    assert sorted(p.stem for p in directory.iterdir()) == [name(3), name(4), name(5)]
    assert cache.load(name(3)) is not None
    cache.store(name(6), bytes(260))  # the one just read is the youngest but one
    assert sorted(p.stem for p in directory.iterdir()) == [name(3), name(5), name(6)]


def test_an_entry_larger_than_all_may_be_is_not_kept(directory, monkeypatch):
    monkeypatch.setattr(cache, "MAX_BYTES", 1000)
    cache.store(name(1), bytes(100))
    cache.store(name(2), bytes(1000))
    assert [p.stem for p in directory.iterdir()] == [name(1)]


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


def test_nothing_is_deleted_that_is_not_its_own(directory, monkeypatch):
    """A user may have set the directory to one with other things in it."""
    monkeypatch.setattr(cache, "MAX_BYTES", 1000)
    cache.store(name(0), bytes(10))
    dead = dead_process()
    others = {
        "thesis.tex": b"x" * 5000,
        "model.code": cache.MARK + b"x" * 5000,  # another name
        f"{name(1)}.code": b"x" * 5000,  # the name, but no entry
        f"{name(1)}.code.bak": cache.MARK,
        f"{name(2)}.part": cache.MARK,
        f"{name(3)}.{dead}.0123456789abcdef.part": b"not begun as an entry is",
        f"{name(4)}.{os.getpid()}.0123456789abcdef.part": cache.MARK,  # its writer lives
        "tmpabc123.part": b"",
    }
    for file, data in others.items():
        (directory / file).write_bytes(data)
        os.utime(directory / file, (1, 1))
    (directory / "notes").mkdir()
    (directory / f"{name(7)}.code").symlink_to(directory / "thesis.tex")
    young = directory / f"{name(5)}.{dead}.0123456789abcdef.part"
    young.write_bytes(cache.MARK)
    for n in range(8, 12):
        cache.store(name(n), bytes(400))
    left = {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}
    assert {file: left.get(file) for file in others} == others
    assert (directory / "notes").is_dir() and (directory / f"{name(7)}.code").is_symlink() and young.exists()
    assert not (directory / f"{name(0)}.code").exists(), "what is its own goes"


@pytest.mark.parametrize("begun", [b"", cache.MARK[:3], cache.MARK + b"half of an entry", b"LEPTONC\x01 of another version"])
def test_what_a_dead_writer_left_is_deleted(directory, begun):
    cache.store(name(0), b"")
    part = directory / f"{name(1)}.{dead_process()}.0123456789abcdef.part"
    part.write_bytes(begun)
    os.utime(part, (1, 1))
    cache.store(name(2), b"")
    assert sorted(p.stem for p in directory.iterdir()) == [name(0), name(2)]


def test_an_interrupted_write_leaves_nothing(directory, monkeypatch):
    cache.store(name(0), b"")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cache.store(name(1), b"data")
    assert [p.stem for p in directory.iterdir()] == [name(0)]


def test_an_entry_under_another_name_is_a_miss(directory, rng):
    """Two programs of one interface; the first's code under the second's name would answer for it."""
    x = rng.standard_normal(9)
    assert leptonc.jit(lambda x: x + 1)(x) is not None
    (first,) = programs(directory)
    np.testing.assert_array_equal(leptonc.jit(lambda x: x * 3)(x), x * 3)
    (second,) = programs(directory) - {first}
    whole = (directory / f"{first}.code").read_bytes()
    (directory / f"{second}.code").write_bytes(whole)
    assert cache.load(second) is None and cache.load(first) is not None
    np.testing.assert_array_equal(leptonc.jit(lambda x: x * 3)(x), x * 3)


def test_an_entry_of_another_interface_is_a_miss(directory, rng):
    """However it came to have the right key."""
    assert compiled(rng)
    (key,) = programs(directory)
    code = from_bytes(cache.load(key))
    slot = code.inputs[0]
    for other in (replace(slot, shape=(30, 31)), replace(slot, dtype=np.dtype(np.float64)), replace(slot, donated=True)):
        cache.store(key, to_bytes(replace(code, inputs=(other,))))
        assert compiled(rng) and not compiled(rng)


@pytest.mark.parametrize("what", ["fifo", "directory", "sparse", "unreadable"])
def test_what_is_no_file_with_an_entry_is_a_miss(directory, rng, what):
    assert compiled(rng)
    (key,) = programs(directory)
    path = directory / f"{key}.code"
    whole = path.read_bytes()
    path.unlink()
    if what == "fifo":
        os.mkfifo(path, 0o600)  # to open it for reading would wait for a writer
    elif what == "directory":
        path.mkdir()
    elif what == "sparse":
        path.touch(0o600)
        os.truncate(path, 20 << 30)
    else:
        path.write_bytes(whole)
        path.chmod(0)
    assert cache.load(key) is None or os.geteuid() == 0
    assert compiled(rng) or (what == "unreadable" and os.geteuid() == 0)
    assert what == "directory" or not compiled(rng)


def test_a_directory_whose_name_is_too_long(monkeypatch, rng):
    monkeypatch.setenv("LEPTONC_CACHE", "1")
    for name in ("/tmp/" + "d" * 5000, "/tmp/" + "d/" * 4000):
        monkeypatch.setenv("LEPTONC_CACHE_DIR", name)
        assert compiled(rng) and compiled(rng)


def test_no_free_file_descriptor(directory, rng, monkeypatch):
    assert compiled(rng)
    monkeypatch.setattr(cache, "compiler_digest", functools.cache(cache.compiler_digest.__wrapped__))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        found = compiled(rng)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found and not compiled(rng)


COLD = """
import resource, sys
import numpy as np, leptonc
f = leptonc.jit(lambda x: (x @ x).sum(0))
x = np.ones((64, 64), np.float32)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
for free in range(3):
    resource.setrlimit(resource.RLIMIT_NOFILE, (3 + free, hard))
    try:
        assert (f(x) == 4096).all()
    except leptonc.errors.CompileError as error:
        assert "Too many open files" in str(error), error
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
assert (f(x) == 4096).all()
print(leptonc.target.host_target().name)
"""


def test_no_free_file_descriptor_at_the_first_call(directory):
    """An error that says so, and nothing that is remembered: not a CPU that could not be asked, nor half of an import."""
    done = subprocess.run([sys.executable, "-c", COLD], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert (done.returncode, done.stdout.split()) == (0, [host_target().name]), done.stderr


def test_a_bad_entry_of_the_thread_pool_is_mended(directory):
    """Its checksum is right, as when something else wrote it."""
    made = driver._pool_object()
    (entry,) = directory.glob("*.code")
    whole = cache.load(entry.stem)
    for data in (b"", b"no object", whole[:len(whole) // 2], whole.replace(b"leptonc_worker", b"leptonc_walker")):
        cache.store(entry.stem, data)
        assert driver._pool_object().address("leptonc_run") != made.address("leptonc_run")
        assert cache.load(entry.stem) == whole


OP = """
import numpy as np, leptonc
from leptonc.ir.op import get_op, register
from leptonc.ops.elementwise import Smooth
{helper}

@register
class scaled(Smooth):
    name = "scaled"

    def body(self, s, x):
        return s.mul(x, {factor})

    def slope(self, x, y):
        raise NotImplementedError

print(*leptonc.jit(lambda x: leptonc.trace.bind("scaled", x))(np.arange(3.0)))
"""


@pytest.mark.parametrize("helper, factors, kept", [
    ("", ("2", "3"), 2),
    ("import factors", ("factors.get()", "factors.get()"), 0),  # a user's module: what it does is not known
], ids=["body", "module"])
def test_an_edited_op_from_outside_is_a_miss(directory, tmp_path, helper, factors, kept):
    for n, factor in enumerate(factors):
        (tmp_path / "factors.py").write_text(f"def get(): return {n + 2}\n")
        script = tmp_path / "script.py"
        script.write_text(OP.format(helper=helper, factor=factor))
        done = subprocess.run([sys.executable, "-B", str(script)], capture_output=True, text=True, timeout=120, check=True,
                              env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])})
        assert done.stdout.split() == [str(x * (n + 2)) for x in (0.0, 1.0, 2.0)]
    assert len(programs(directory)) == kept


def test_code_to_bytes_and_back(rng):
    table = rng.standard_normal(5)
    graph = leptonc.make_graph(lambda x, y: (x + table, y * 2))(np.zeros(5), np.ones((2, 3), np.int32))
    code = driver.compile_program(driver.lower(driver.optimize(graph), {0: 0})).code
    again = from_bytes(to_bytes(code))
    assert (again.data, again.entry, again.inputs, again.outputs) == (code.data, code.entry, code.inputs, code.outputs)
    assert [c.tobytes() for c in again.constants] == [c.tobytes() for c in code.constants]
