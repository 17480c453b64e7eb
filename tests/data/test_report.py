"""Faults planted in folders, arrays and tables: each is found, and nothing else is."""

from __future__ import annotations

import html
import json
import re
from importlib.util import find_spec

import numpy as np
import pytest

if any(find_spec(name) is None for name in ("cleanvision", "cleanlab", "PIL", "polars", "grain")):
    pytest.skip("needs leptonc[data]", allow_module_level=True)

from PIL import Image

from leptonc import data
from leptonc.data.findings import KINDS
from leptonc.data.text import width
from leptonc.errors import ArgumentError, LeptonError
from tests.data.planted import CLASSES, Planted, loops, picture


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    made = Planted(folder / "pictures", np.random.default_rng(0))
    return made, data.report(folder / "pictures")


def test_each_planted_fault_is_found_and_nothing_else(planted):
    made, found = planted
    assert found.counts == {kind: len(made.expected[kind]) for kind in KINDS if kind in made.expected}
    for kind, names in made.expected.items():
        assert {issue.item for issue in found.of(kind)} == names, kind


def test_classes_are_counted_by_part(planted):
    made, found = planted
    unreadable = len(made.expected["unreadable"])
    assert list(found.classes) == ["train", "validation"] and list(found.classes["train"]) == list(CLASSES)
    assert sum(sum(names.values()) for names in found.classes.values()) == found.count - unreadable


def test_a_terminal_of_80_columns_json_and_a_page(planted, tmp_path):
    made, found = planted
    lines = str(found).splitlines()
    assert max(map(width, lines)) <= 80 and all(KINDS[kind].title in str(found) for kind in made.expected)
    assert json.loads(found.to_json(tmp_path / "report.json")) == json.loads((tmp_path / "report.json").read_text())
    assert json.loads(found.to_json())["counts"] == found.counts
    page = found.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == page
    assert page.count("data:image/jpeg;base64,") >= sum(found.counts.values()) - found.counts["unreadable"]
    assert not re.search(r"(src|href)=\"(?!data:|#)", page) and "<script" not in page


def test_labels_are_suggested(planted):
    _, found = planted
    assert all(issue.suggestion == CLASSES[issue.item.startswith("train/bars")] for issue in found.of("label"))


def test_a_report_is_the_same_again(planted):
    made, found = planted
    assert data.report(made.folder) == found


def test_names_of_every_kind(tmp_path, rng):
    names = ["a b.png", "<img src=x onerror=alert(1)>.png", "ünï 漢字.png", "tab\tand\x1b[31m.png", "&amp;'\".png"]
    for name in (*names, b"\xff\xfe.png".decode("utf-8", "surrogateescape")):
        image = Image.new("RGB", (20, 20))
        with open(tmp_path / name, "wb") as file:
            image.save(file, "PNG")
    found = data.report(tmp_path)
    assert found.count == 6 and found.counts["duplicate"] == 5
    page = found.to_html(tmp_path / "page.html")
    assert "<img src=x" not in page and html.escape(names[1]) in page and "\x1b" not in page + str(found)
    assert max(map(width, str(found).splitlines())) <= 80
    assert {issue["item"] for issue in json.loads(found.to_json())["issues"]} >= {*names} - {min(names)}


def test_links_in_circles_pipes_and_other_files(tmp_path, rng):
    for n in range(3):
        picture(rng, "disc").save(tmp_path / f"{n}.png")
    loops(tmp_path)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    found = data.report(tmp_path)
    assert found.count == 6 and {issue.item for issue in found.of("unreadable")} == {"self.png", "nowhere.png", "pipe.png"}
    notes = " ".join(found.notes)
    assert "notes.txt" in notes and ".hidden.png" in notes and "loop (a link to a folder around it)" in notes


def test_an_empty_folder_and_one_picture(tmp_path, rng):
    empty = data.report(tmp_path)
    assert empty.count == 0 and not empty.issues and "there are no pictures" in str(empty)
    assert "Nothing was found" in empty.to_html()
    picture(rng, "disc").save(tmp_path / "one.png")
    assert data.report(tmp_path).count == 1 and not data.report(tmp_path).issues


def test_a_decompression_bomb_is_not_decoded(tmp_path):
    Image.new("1", (30_000, 30_000)).save(tmp_path / "bomb.png")
    Image.new("1", (12_000, 9_000)).save(tmp_path / "large.png")
    found = data.report(tmp_path)
    assert [issue.kind for issue in found.issues] == ["unreadable"] * 2 and "12000 x 9000" in found.of("unreadable")[1].why


def test_deep_and_float_pictures_are_scaled(tmp_path):
    from leptonc.data.images import read
    ramp = np.arange(64 * 64, dtype=np.float32).reshape(64, 64)
    Image.fromarray((ramp * 16).astype(np.uint16)).save(tmp_path / "16.png")
    Image.fromarray(ramp * 1e-3 - 2).save(tmp_path / "float.tif")
    Image.fromarray((ramp * 1000).astype(np.int32)).save(tmp_path / "32.tif")
    for name in ("16.png", "float.tif", "32.tif"):
        levels = np.asarray(read(tmp_path / name).image)
        expected, off = (ramp / 16, 1) if name == "16.png" else (ramp * (255 / 4095), 0.51)
        assert levels.shape == (64, 64) and np.abs(levels - expected).max() <= off, name


def test_two_folders(tmp_path, rng):
    for part in ("a", "b"):
        for n in range(4):
            (tmp_path / part / "disc").mkdir(parents=True, exist_ok=True)
            picture(rng, "disc").save(tmp_path / part / "disc" / f"{n}.png")
    (tmp_path / "b/disc/9.png").write_bytes((tmp_path / "a/disc/1.png").read_bytes())
    found = data.report(tmp_path / "a", validation=tmp_path / "b")
    (leak,) = found.issues
    assert (leak.kind, leak.item, leak.related) == ("leakage", "disc/1.png", ("validation/disc/9.png",))
    assert found.thumbnail("validation/disc/9.png") and found.classes["validation"] == {"disc": 5}


def test_small_classes(tmp_path, rng):
    x = np.concatenate([rng.normal(0, 1, (40, 3)), rng.normal(9, 1, (3, 3))])
    (small,) = data.report(x, [0] * 40 + [1] * 3, names=("often", "seldom")).issues
    assert (small.kind, small.item) == ("imbalance", "seldom")


def test_arrays_of_pictures(rng):
    x = np.stack([np.asarray(picture(rng, CLASSES[n % 2], 32)) for n in range(24)]) / np.float32(255)
    x[7], x[9] = x[3], np.clip(x[4] * 0.95 + 0.01, 0, 1)
    x[11] *= 0.1
    x[13, 2, 2] = np.nan
    found = data.report(x, validation=(x[5:6], None))
    assert found.what == "pictures"
    assert {kind: [issue.item for issue in found.of(kind)] for kind in found.counts} == {
        "duplicate": [7], "near_duplicate": [9], "leakage": [5], "dark": [11], "non_finite": [13]}
    assert found.to_html().count("data:image/jpeg") == 8


def test_arrays_of_numbers(rng):
    x = rng.normal(size=(300, 4))
    y = (x[:, 0] + x[:, 1] > 0).astype(np.int32)
    certain = np.flatnonzero(np.abs(x[:, 0] + x[:, 1]) > 1.5)[:5]
    y[certain] = 1 - y[certain]
    x[:, 3] = 7
    x[290], x[280, 0] = x[291], np.inf
    y[290] = y[291]
    found = data.report(x, y)
    assert {issue.item for issue in found.of("label")} >= {*certain.tolist()} and found.counts["label"] <= 8
    assert [(issue.kind, issue.item) for issue in found.issues if issue.kind != "label"] == [
        ("non_finite", 280), ("duplicate", 291), ("constant", "column 3")]


@pytest.mark.parametrize("y", [np.eye(2)[np.arange(40) % 2], np.arange(40) % 2, (np.arange(40) % 2).astype(np.float32),
                               np.array(["0", "1"] * 20)])
def test_forms_of_labels(rng, y):
    assert data.report(rng.normal(size=(40, 2)), y).classes == {"all": {"0": 20, "1": 20}}


def test_quantities_are_no_classes(rng):
    assert data.report(rng.normal(size=(40, 2)), rng.normal(size=40)).classes == {}


TABLE = "age,city,price,same,kind\n" + "\n".join(
    f"{20 + n % 37},{['Bonn', 'Köln'][n % 2]},{1.5 * n},x,{'ab'[n % 2]}" for n in range(60)) + "\n"


def written(path, lines: dict[int, str]) -> object:
    rows = TABLE.splitlines()
    for n, row in lines.items():
        rows[n + 1] = row
    path.write_text("\n".join(rows) + "\n")
    return path


def test_tables(tmp_path):
    path = written(tmp_path / "a.csv", {3: ",Bonn,1,x,a", 5: "NA,,2,x,a", 7: "old,Bonn,3,x,b", 9: "31,Bonn,inf,x,b",
                                        11: "29,Köln,0,x,a", 12: "29,Köln,0,x,a"})
    held = written(tmp_path / "b.csv", {n: f"{n},Ulm,{-n - 1},x,a" for n in range(59)})
    found = data.report(path, label="kind", validation=held)
    assert {issue.item for issue in found.of("label")} <= {7, 9, 11, 12}  # the kind goes with the city, but there
    assert {(issue.kind, issue.item): issue.rows for issue in found.issues if issue.kind != "label"} == {
        ("missing", "age"): (3, 5), ("wrong_type", "age"): (7,), ("missing", "city"): (5,), ("non_finite", "price"): (9,),
        ("constant", "same"): (), ("constant", "validation/same"): (), ("duplicate", 12): (), ("leakage", 59): (),
        ("imbalance", "validation/b"): ()}


def test_labels_of_a_table(rng):
    x = rng.normal(size=(240, 2))
    kind = np.where(x[:, 0] > 0, "warm", "cold")
    wrong = np.flatnonzero(np.abs(x[:, 0]) > 1)[:4]
    kind[wrong] = np.where(kind[wrong] == "warm", "cold", "warm")
    found = data.report({"u": x[:, 0], "v": x[:, 1], "kind": kind.tolist()}, label="kind")
    assert {issue.item for issue in found.of("label")} >= {*wrong.tolist()} and found.counts["label"] <= 7


def test_a_table_without_a_header_or_with_other_separators(tmp_path):
    (tmp_path / "a.csv").write_text("1;2,5;x\n3;4;y\n5;6;z\n\n")
    found = data.report(tmp_path / "a.csv")
    assert found.count == 3 and [issue.kind for issue in found.issues] == ["no_header"] and "blank lines left out: 1" in found.notes
    assert data.report(tmp_path / "a.csv", header=True).count == 2
    (tmp_path / "b.tsv").write_bytes("\ufeffa\ta\t\n1\t2\t3\n4\t5\t6\n".encode())
    assert data.clean(data.report(tmp_path / "b.tsv")).data.columns == ["a", "a_", "column_2"]


def test_parquet_and_polars(tmp_path):
    import polars
    frame = polars.DataFrame({"a": [1.0, float("nan"), 3.0], "b": [1, 2, None]})
    frame.write_parquet(tmp_path / "a.parquet")
    for source in (frame, tmp_path / "a.parquet"):
        assert data.report(source).counts == {"missing": 1, "non_finite": 1}


@pytest.mark.parametrize("content", ["", "\n", "a,b\n1,2,3\n"])
def test_a_broken_csv(tmp_path, content):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(ArgumentError, match=r"a\.csv' is (empty|no table that can be read)"):
        data.report(tmp_path / "a.csv")


WRONG = {
    "nowhere": (lambda: data.report("/nowhere/at/all"), "is not there"),
    "no table": (lambda: data.report(__file__), "neither a folder of pictures nor a table"),
    "no numbers": (lambda: data.report([["a", "b"]]), "numbers with examples along the first axis"),
    "labels": (lambda: data.report(np.ones((3, 2)), [1, 2]), "one for each example"),
    "names": (lambda: data.report(np.ones((3, 2)), [0, 1, 2], names=("a", "b")), "2 names"),
    "shapes": (lambda: data.report(np.ones((3, 2)), validation=np.ones((3, 4))), "different shapes"),
    "label": (lambda: data.report({"price": [1, 2]}, label="prize"), "price"),
    "columns": (lambda: data.report({"a": [1, 2]}, validation={"b": [1, 2]}), "columns of validation are b"),
    "kind": (lambda: data.report(np.ones((3, 2))).of("duplicates"), "duplicate"),
    "cleaned": (lambda: data.clean("folder"), "what data.report returns"),
}


@pytest.mark.parametrize("call, says", WRONG.values(), ids=WRONG)
def test_wrong_calls(call, says):
    with pytest.raises(LeptonError, match=says):
        call()


def test_the_command_line(tmp_path, rng, capsys):
    from leptonc import cli
    (tmp_path / "pictures/disc").mkdir(parents=True)
    picture(rng, "disc").save(tmp_path / "pictures/disc/a.png")
    (tmp_path / "pictures/disc/b.png").write_bytes(b"")
    call = ["data", "report", str(tmp_path / "pictures"), "--html", str(tmp_path / "a.html"), "--json", str(tmp_path / "a.json")]
    assert cli.main(call) == 0 and "can't be read" in capsys.readouterr().out
    assert json.loads((tmp_path / "a.json").read_text())["counts"] == {"unreadable": 1}
    assert "data:image" not in (tmp_path / "a.html").read_text()
    assert cli.main(["data", "report", str(tmp_path / "nothing")]) == 1 and "is not there" in capsys.readouterr().err
    assert cli.main([*call[:3], "--html", str(tmp_path / "no/where.html")]) == 2 and "cannot write" in capsys.readouterr().err
