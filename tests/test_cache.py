"""The cache of compiled code: found again by another process, and never trusted."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import leptonc
from leptonc import cache, driver
from leptonc.runtime.code import from_bytes, to_bytes

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
    for seed in ("0", "1", "77"):
        os.environ["LEPTONC_CACHE_DIR"] = str(directory / seed)  # monkeypatch restores it
        run(PYTHONHASHSEED=seed)
        objects.add(tuple(sorted((p.name, p.read_bytes()) for p in (directory / seed).iterdir())))
    assert len(objects) == 1


def test_a_narrower_target_has_its_own_entry(directory):
    wide, narrow = run(), run(LEPTONC_TARGET="sse")
    assert narrow[2] == "True"
    assert wide[2] == "True"


def f(x):
    return (x @ x).sum(0) * 2


def compiled(rng) -> bool:
    """Whether a fresh jit compiles, rather than loading."""
    x = rng.standard_normal((30, 30)).astype(np.float32)
    made = leptonc.jit(f).trace(x).compile()
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
    lambda data: b"LEPTONC\x02" + data[8:],
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


def test_the_oldest_entries_go(directory, monkeypatch):
    monkeypatch.setattr(cache, "MAX_BYTES", 1000)
    for n in range(6):
        cache.store(f"entry{n}", bytes(260))
        os.utime(directory / f"entry{n}.code", ns=(n, n))
    assert sorted(p.stem for p in directory.iterdir()) == ["entry3", "entry4", "entry5"]


def test_code_to_bytes_and_back(rng):
    table = rng.standard_normal(5)
    graph = leptonc.make_graph(lambda x, y: (x + table, y * 2))(np.zeros(5), np.ones((2, 3), np.int32))
    code = driver.compile_program(driver.lower(driver.optimize(graph), {0: 0})).code
    again = from_bytes(to_bytes(code))
    assert (again.data, again.entry, again.inputs, again.outputs) == (code.data, code.entry, code.inputs, code.outputs)
    assert [c.tobytes() for c in again.constants] == [c.tobytes() for c in code.constants]
