"""Every rule of the verifier by the smallest text that breaks it; the same text with the fault mended is accepted."""

from __future__ import annotations

import pytest

from leptonc.errors import IRError
from leptonc.ir import parse
from leptonc.ir.verify import verify_memory


def kernel(body: str, params: str = "in x: f32[4], in n: i64[4], out r: f32[4]", axes: str = "i: 4", outer: str = "") -> str:
    lines = "\n".join(f"    {line.strip()}" for line in body.strip().splitlines())
    return f"kernel @k({params}){outer} {{\n  stage ({axes}) {{\n{lines}\n  }}\n}}"


ONE, ZEROS = "in x: f32[4], out r: f32[1]", "in x: f32[4], in n: i64[4], out r: f32[4] init 0"
ALL, FOLD = "i: 4 reduce", "j: 4, i: 4 reduce"
COPY = "%0 = load f32 x[i]\nstore r[i] = %0"

# (what is wrong, the fault's text, the mended text, words of the message)
KERNELS = [
    ("a load of another dtype", kernel("%0 = load f64 x[i]\n%1 = cast f32 %0\nstore r[i] = %1"), kernel(COPY), "a load of f64"),
    ("f64 into f32", kernel("%0 = load f32 x[i]\n%1 = cast f64 %0\nstore r[i] = %1"), kernel(COPY), "of f64 into r"),
    ("operands that differ", kernel("%0 = load f32 x[i]\n%1 = load i64 n[i]\n%2 = add f32 %1, %0\nstore r[i] = %2"),
     kernel("%0 = load f32 x[i]\n%1 = load i64 n[i]\n%2 = cast f32 %1\n%3 = add f32 %2, %0\nstore r[i] = %3"),
     "operands of add are i64, f32"),
    ("a result of another dtype", kernel("%0 = load f32 x[i]\n%1 = lt f32 %0, %0\nstore r[i] = %1"),
     kernel("%0 = load f32 x[i]\n%1 = lt bool %0, %0\n%2 = cast f32 %1\nstore r[i] = %2"), "gives bool"),
    ("an op on integers that has none", kernel("%0 = load i64 n[i]\n%1 = exp i64 %0\n%2 = cast f32 %1\nstore r[i] = %2"),
     kernel("%0 = load i64 n[i]\n%1 = neg i64 %0\n%2 = cast f32 %1\nstore r[i] = %2"), "exp does not take i64"),
    ("a select by a number", kernel("%0 = load f32 x[i]\n%1 = select f32 %0, %0, %0\nstore r[i] = %1"),
     kernel("%0 = load f32 x[i]\n%1 = ne bool %0, %0\n%2 = select f32 %1, %0, %0\nstore r[i] = %2"), "no bool"),
    ("too few operands", kernel("%0 = load f32 x[i]\n%1 = add f32 %0\nstore r[i] = %1"),
     kernel("%0 = load f32 x[i]\n%1 = neg f32 %0\nstore r[i] = %1"), "takes 2 operands"),
    ("a constant out of range", kernel("%0 = const u8 256\n%1 = cast f32 %0\nstore r[i] = %1"),
     kernel("%0 = const u8 255\n%1 = cast f32 %0\nstore r[i] = %1"), "256 is no u8"),
    ("nan as an integer", kernel("%0 = const i64 nan\n%1 = cast f32 %0\nstore r[i] = %1"),
     kernel("%0 = const i64 1\n%1 = cast f32 %0\nstore r[i] = %1"), "nan is no i64"),
    ("a pad that is none", kernel("%0 = load i64 n[i - 1] pad 0.5\n%1 = cast f32 %0\nstore r[i] = %1"),
     kernel("%0 = load i64 n[i - 1] pad 5\n%1 = cast f32 %0\nstore r[i] = %1"), "pad 0.5 is no i64"),
    ("an index that is no integer", kernel("%0 = load f32 x[i]\n%1 = load f32 x[%0] pad 0.0\nstore r[i] = %1"),
     kernel("%0 = load i64 n[i]\n%1 = load f32 x[%0] pad 0.0\nstore r[i] = %1"), "no integer"),
    ("a computed index without a guard", kernel("%0 = load i64 n[i]\n%1 = load f32 x[%0]\nstore r[i] = %1"),
     kernel("%0 = load i64 n[i]\n%1 = const i64 3\n%2 = min i64 %0, %1\n%3 = const i64 0\n%4 = max i64 %2, %3\n"
            "%5 = load f32 x[%4]\nstore r[i] = %5"), "outside of [0, 4)"),
    ("a clamp to one too many", kernel("%0 = load i64 n[i]\n%1 = const i64 4\n%2 = min i64 %0, %1\n%3 = const i64 0\n"
                                       "%4 = max i64 %2, %3\n%5 = load f32 x[%4]\nstore r[i] = %5"),
     kernel("%0 = load i64 n[i]\n%1 = const i64 4\n%2 = mod i64 %0, %1\n%3 = load f32 x[%2]\nstore r[i] = %3"), "[0, 4]"),
    ("a computed store without a mask", kernel("%0 = load i64 n[i]\n%1 = load f32 x[i]\nstore r[%0] += %1", ZEROS),
     kernel("%0 = load i64 n[i]\n%1 = load f32 x[i]\nstore r[%0] += %1 masked", ZEROS),
     "outside of [0, 4)"),
    ("a divided load without a pad", kernel("%0 = load f32 x[(i)/2]\nstore r[i] = %0"),
     kernel("%0 = load f32 x[(i)/2] pad 0.0\nstore r[i] = %0"), "has no pad"),
    ("an index out of range", kernel("%0 = load f32 x[i + 1]\nstore r[i] = %0"), kernel(COPY), "runs over [1, 4]"),
    ("numerators beyond 64 bits", kernel("%0 = load f32 x[i*4611686018427387904] pad 0.0\nstore r[i] = %0"),
     kernel("%0 = load f32 x[i*4611686018427387] pad 0.0\nstore r[i] = %0"), "64 bits"),
    ("points that meet", kernel("%0 = load f32 x[i]\nstore r[0] = %0", axes="i: 4", params=ONE),
     kernel("%0 = load f32 x[i]\n%1 = reduce sum f32 %0\nstore r[0] = %1", axes=ALL, params=ONE),
     "two points may write one element"),
    ("stores that meet", kernel(f"{COPY}\nstore r[-i + 3] = %0"), kernel(f"{COPY}\nstore r[i] = %0"), "at another point"),
    ("a store along a folded axis", kernel("%0 = load f32 x[i]\n%1 = reduce sum f32 %0\nstore r[i] = %1", axes=ALL),
     kernel("%0 = load f32 x[i]\n%1 = reduce sum f32 %0\nstore r[j] = %1", axes=FOLD), "axis that is folded"),
    ("an epilogue along a folded axis",
     kernel("%0 = load f32 x[i]\n%1 = reduce sum f32 %0\n%2 = mul f32 %0, %1\n%3 = reduce max f32 %2\n"
                                               "store r[j] = %3", axes=FOLD),
     kernel("%0 = load f32 x[i]\n%1 = reduce sum f32 %0\n%2 = mul f32 %1, %1\nstore r[j] = %2", axes=FOLD), "folded"),
    ("any of numbers",
     kernel("%0 = load f32 x[i]\n%1 = reduce any bool %0\n%2 = cast f32 %1\nstore r[j] = %2", axes=FOLD),
     kernel("%0 = load f32 x[i]\n%1 = reduce argmax i64 %0\n%2 = cast f32 %1\nstore r[j] = %2", axes=FOLD),
     "any does not take"),
    ("a result that is not written", kernel("%0 = load f32 x[i]\nstore r[i*2] = %0", "in x: f32[4], out r: f32[8]"),
     kernel("%0 = load f32 x[i]\nstore r[i*2] = %0", "in x: f32[4], out r: f32[8] init 0.0"), "no initial value"),
    ("adding to nothing", kernel("%0 = load f32 x[i]\nstore r[0] += %0", "in x: f32[4], out r: f32[1]"),
     kernel("%0 = load f32 x[i]\nstore r[0] += %0", "in x: f32[4], out r: f32[1] init 0.0"), "adds to r"),
    ("how to accumulate", kernel("%0 = load f32 x[i]\nstore r[i] += %0 by blend", "in x: f32[4], out r: f32[4] init 0.0"),
     kernel("%0 = load f32 x[i]\nstore r[i] += %0 by max", "in x: f32[4], out r: f32[4] init 0.0"),
     "no way to accumulate by blend"),
    ("what is replaced", kernel("%0 = load f32 x[i]\nstore r[i] = %0 by max", "in x: f32[4], out r: f32[4] init 0.0"),
     kernel("%0 = load f32 x[i]\nstore r[i] += %0 by set", "in x: f32[4], out r: f32[4] init 0.0"),
     "replaces what is there"),
    ("a role that is none", kernel(COPY, "in x: f32[4], local r: f32[4]"), kernel(COPY, "in x: f32[4], out r: f32[4]"),
     "role 'local'"),
    ("an initial value that is none", kernel(COPY, "in x: f32[4], out r: f32[4] init true"),
     kernel(COPY, "in x: f32[4], out r: f32[4] init 1"), "initial value"),
    ("a buffer that is written in the stage that reads it", kernel(f"{COPY}\n%1 = load f32 r[i]\n"), kernel(COPY),
     "in the same stage"),
    ("a division of what may be negative", kernel("%0 = index i64 (i - 1)/2\n%1 = cast f32 %0\nstore r[i] = %1"),
     kernel("%0 = index i64 (i + 1)/2\n%1 = cast f32 %0\nstore r[i] = %1"), "may be negative"),
    ("a division by nothing", kernel("%0 = load f32 x[(i)/0] pad 0.0\nstore r[i] = %0"),
     kernel("%0 = load f32 x[(i)/1] pad 0.0\nstore r[i] = %0"), "division by 0"),
]


@pytest.mark.parametrize("wrong, right, words", [k[1:] for k in KERNELS], ids=[k[0] for k in KERNELS])
def test_kernels(wrong: str, right: str, words: str):
    with pytest.raises(IRError) as error:
        parse(wrong)
    assert words in str(error.value) and str(error.value).startswith("line "), error.value
    found = parse(right)
    assert parse(str(found)) == found


TILED = """kernel @k(in x: f32[4,4], out r: f32[4,4]) outer (o: 4) locals (local t: f32[4]) {{
  stage (i: 4) {{
    %0 = load f32 x[o, i]
    store t[{written}] = %0
  }}
  stage (i: {extent}) {{
    %0 = load f32 t[i]
    store r[{at}] = %0
  }}
}}"""


def test_kernels_of_tiles():
    assert parse(TILED.format(written="i", extent=4, at="o, i"))
    for wrong, words in (({"at": "i, i"}, "two points may write"), ({"written": "0"}, "two points may write"),
                         ({"extent": 3}, None), ({"at": "3, i"}, "two points may write")):
        texts = {"written": "i", "extent": 4, "at": "o, i"} | wrong
        if words is None:
            assert parse(TILED.format(**texts))
            continue
        with pytest.raises(IRError, match=words):
            parse(TILED.format(**texts))


def test_local_buffers_are_read_where_they_are_written():
    text = TILED.format(written="i", extent=4, at="o, i").replace("(i: 4)", "(i: 3)", 1)
    with pytest.raises(IRError, match="may be read where nothing has written it"):
        parse(text)


def test_outer_points_stay_apart():
    """Two stages of outer points that run at once may not share an element of a result."""
    text = TILED.format(written="i", extent=4, at="o, i")
    both = text[:-1] + "  stage (i: 4) {\n    %0 = load f32 t[i]\n    store r[-o + 3, i] = %0\n  }\n}"
    with pytest.raises(IRError, match="two outer points may touch"):
        parse(both)


# Programs

ADD = """
k0 = kernel @add(in a0: f32[4], in a1: f32[4], out r0: f32[4]) {
  stage (i: 4) {
    %0 = load f32 a0[i]
    %1 = load f32 a1[i]
    %2 = add f32 %0, %1
    store r0[i] = %2
  }
}
"""


def program(calls: str, temps: str = "  b2: temp f32[4]\n  b3: temp f32[4]\n", arena: int = 0, output: str = "output f32[4]",
            kernels: str = ADD) -> str:
    lines = "".join(f"  call k{call}\n" for call in calls.split("; "))
    inputs = "  b0: input f32[4]\n  b1: input f32[4]\n"
    return f"program @p(b0, b1) -> (b4) arena {arena} {{\n{inputs}{temps}  b4: {output}\n{lines}}}\n{kernels}"


GOOD = "0(b0, b1, b2); 0(b2, b1, b3); 0(b3, b3, b4)"
PLACED = "  b2: temp f32[4] at 0\n  b3: temp f32[4] at {}\n"
PROGRAMS = [
    ("written twice", program("0(b0, b1, b2); 0(b2, b1, b2); 0(b2, b2, b4)"), program(GOOD), "written before"),
    ("a result bound twice", program("0(b0, b1, b2); 0(b0, b3, b3); 0(b2, b2, b4)"), program(GOOD),
     "which nothing has written|bound twice"),
    ("read before it is written", program("0(b0, b3, b2); 0(b2, b1, b3); 0(b3, b3, b4)"), program(GOOD), "nothing has written"),
    ("an input is written", program("0(b0, b1, b2); 0(b2, b1, b1); 0(b2, b2, b4)"), program(GOOD), "writes b1, an input"),
    ("an output that is not written", program("0(b0, b1, b2); 0(b2, b1, b3)"), program(GOOD), "output b4 is never written"),
    ("behind the arena", program(GOOD, PLACED.format(64), 64), program(GOOD, PLACED.format(64), 128), "behind the arena"),
    ("no place", program(GOOD, "  b2: temp f32[4] at 0\n  b3: temp f32[4]\n", 128), program(GOOD), "without a place"),
    ("a crooked place", program(GOOD, PLACED.format(68), 128), program(GOOD, PLACED.format(64), 128), "multiple of 64"),
    ("one lies over another", program("0(b0, b1, b2); 0(b0, b1, b3); 0(b2, b3, b4)", PLACED.format(0), 64),
     program(GOOD, PLACED.format(0), 64), "lies over b2"),
    ("overwritten before it is read",
     program("0(b0, b1, b2); 1(b2, b1, b3); 0(b3, b3, b4)", PLACED.format(0), 64,
             kernels=ADD + ADD.replace("k0", "\nk1").replace("a0[i]", "a0[-i + 3]")),
     program(GOOD, PLACED.format(0), 64), "lies over b2"),
    ("donated and read later",
     program("0(b0, b1, b4); 0(b0, b1, b2); 0(b2, b1, b3)", PLACED.format(64), 128, "output f32[4] donated b0"),
     program(GOOD, PLACED.format(64), 128, "output f32[4] donated b0"),
     "written over b0"),
    ("another type's memory", program(GOOD, output="output f32[4] donated b2"), program(GOOD, output="output f32[4] donated b1"),
     "takes the memory of an input"),
    ("an input that is none", program(GOOD).replace("@p(b0, b1)", "@p(b0, b2)"), program(GOOD), "inputs are"),
]


@pytest.mark.parametrize("wrong, right, words", [p[1:] for p in PROGRAMS], ids=[p[0] for p in PROGRAMS])
def test_programs(wrong: str, right: str, words: str):
    with pytest.raises(IRError, match=f"line \\d+: .*({words})"):
        parse(wrong)
    found = parse(right)
    assert parse(str(found)) == found


def test_what_is_compiled_has_its_memory_planned():
    with pytest.raises(IRError, match="without a place in the arena"):
        verify_memory(parse(program(GOOD)))


def test_part_of_a_buffer_may_be_written_if_no_more_is_read():
    """The rows that keep strides from being powers of two are never written."""
    def text(place: str) -> str:
        part = ADD.replace("out r0: f32[4]", "out r0: f32[6]")
        reading = ADD.replace("k0", "k1").replace("in a0: f32[4]", "in a0: f32[6]").replace("a0[i]", f"a0[{place}]")
        temps = "  b2: temp f32[6]\n  b3: temp f32[6]\n"
        return program("0(b0, b1, b2); 0(b1, b0, b3); 1(b2, b1, b4)", temps, kernels=part + reading)

    assert parse(text("i"))
    with pytest.raises(IRError, match="reads of b2 what nothing has written"):
        parse(text("i + 1"))


@pytest.mark.parametrize("text, words", [
    ("graph @g(%0: i64[inf]) {\n  return %0\n}", "no integer"),
    ("graph @g() {\n  %0: i64[] = constant() {value = i64[]<nan>}\n  return %0\n}", "nan is no element"),
    ("graph @g(%0: f32[4611686018427387904,4]) {\n  return %0\n}", "no array has the shape"),
    ("graph @g(%0: f32[2]) {\n  %1: f32[2] = neg(%0) {a = 1, a = 2}\n  return %1\n}", "given twice"),
    ("kernel @k(in x: f32[\u0664]) {\n}", "cannot read"),
    ("graph @g(%0: f32[2]) {\n  %1: f32[2] = sub(%0)\n  return %1\n}", "takes 2 operands"),
    ("graph @g(%0: f32[2,3]) {\n  %1: f32[2,3] = cumsum(%0) {axis = false, reverse = false}\n  return %1\n}", "a bool in it"),
])
def test_strange_numbers(text: str, words: str):
    with pytest.raises(IRError, match=f"line \\d+: .*{words}"):
        parse(text)


def test_pads_and_initial_values_are_compared_by_their_bits():
    zero, minus = (parse(kernel(f"%0 = load f32 x[i - 1] pad {pad}\nstore r[i] = %0")) for pad in ("0.0", "-0.0"))
    assert zero != minus
    nan = kernel("%0 = load f32 x[i - 1] pad nan\nstore r[i] = %0")
    assert parse(nan) == parse(nan) and hash(parse(nan)) == hash(parse(nan))
