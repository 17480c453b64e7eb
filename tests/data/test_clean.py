"""Cleaning drops what was agreed to, repairs what was agreed to, and keeps all else as it was."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest

if any(find_spec(name) is None for name in ("cleanvision", "cleanlab", "PIL", "polars", "grain")):
    pytest.skip("needs leptonc[data]", allow_module_level=True)

from PIL import Image

from leptonc import data
from leptonc.errors import ArgumentError
from tests.data.planted import Planted, loops


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted") / "pictures"
    made = Planted(folder, np.random.default_rng(1), good=30, held_out=5, each=1)
    (folder / "train/readme.txt").write_text("not a picture")
    return made, data.report(folder)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_agreed_nothing_lost(planted, tmp_path):
    made, found = planted
    cleaned = data.clean(found, to=tmp_path / "new", log=tmp_path / "log.json")
    assert contents(tmp_path / "new") == contents(made.folder)
    log = json.loads((tmp_path / "log.json").read_text())
    assert log == cleaned.log and not log["dropped"] and not log["repaired"] and log["left"] == found.counts
    assert data.clean(found).data == cleaned.data


def test_what_is_dropped_is_what_was_agreed_to(planted, tmp_path):
    made, found = planted
    before = contents(made.folder)
    cleaned = data.clean(found, drop=["unreadable", "duplicate", "leakage"], to=tmp_path / "new")
    gone = made.expected["unreadable"] | made.expected["duplicate"] | made.expected["leakage"]
    assert contents(tmp_path / "new") == {name: content for name, content in before.items() if name not in gone}
    assert {entry["item"] for entry in cleaned.log["dropped"]} == gone and contents(made.folder) == before
    assert cleaned.log["kept"] + len(gone) == cleaned.log["count"] == found.count
    assert set(data.report(tmp_path / "new").counts) & {"unreadable", "duplicate", "leakage"} == set()


def test_single_items(planted):
    made, found = planted
    one = min(made.expected["unreadable"])
    cleaned = data.clean(found, drop={"unreadable": [one]})
    assert [entry["item"] for entry in cleaned.log["dropped"]] == [one] and one not in cleaned.data
    assert cleaned.log["left"]["unreadable"] == found.counts["unreadable"] - 1
    assert str(cleaned).startswith(f"kept {found.count - 1} of {found.count} pictures: 1 dropped")


def test_repairs(planted, tmp_path):
    made, found = planted
    cleaned = data.clean(found, drop={"mode": ["train/disc/deep0.png"]}, repair=["label", "rotated", "animated", "mode"],
                         to=tmp_path / "new")
    new, before = contents(tmp_path / "new"), contents(made.folder)
    now = {entry["item"]: entry["now"] for entry in cleaned.log["repaired"]}
    kinds = ("label", "rotated", "animated", "mode")
    repaired = {issue.item for kind in kinds for issue in found.of(kind)} - {"train/disc/deep0.png"}
    assert {*now} == repaired and now["train/bars/wrong0.png"] == "train/disc/wrong0-2.png"
    assert {*new} == {*before} - repaired - {"train/disc/deep0.png"} | {*now.values()}
    assert all(new[name] == before[name] for name in {*before} & {*new} - {*now.values()})
    assert new["train/disc/wrong0-2.png"] == before["train/bars/wrong0.png"]
    again = data.report(tmp_path / "new")
    assert set(again.counts) & {"rotated", "animated", "mode"} == set()
    with Image.open(made.folder / "train/bars/turned0.jpg") as old, Image.open(tmp_path / "new/train/bars/turned0.png") as upright:
        np.testing.assert_array_equal(np.asarray(upright), np.rot90(np.asarray(old), -1))


def test_links_stay_or_become_what_they_lead_to(tmp_path, rng):
    folder = tmp_path / "old"
    Planted(folder, rng, good=2, held_out=1, each=0)
    loops(folder)
    data.clean(data.report(folder), to=tmp_path / "new")
    assert (tmp_path / "new/nowhere.png").is_symlink() and not (tmp_path / "new/pipe.png").exists()
    assert len(contents(tmp_path / "new")) == 6


def test_no_half_folder_is_left(planted, tmp_path, monkeypatch):
    _, found = planted
    monkeypatch.setattr("shutil.copy2", lambda *paths: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        data.clean(found, to=tmp_path / "new")
    assert not [*tmp_path.iterdir()]


def test_arrays(rng):
    x = rng.normal(size=(60, 3)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    x[5], y[5] = x[4], y[4]
    x[7, 1], x[:, 2] = np.nan, 1
    found = data.report(x, y)
    kept_x, kept_y = data.clean(found).data
    np.testing.assert_array_equal(kept_x, x)
    np.testing.assert_array_equal(kept_y, y)
    new_x, new_y = data.clean(found, drop=["duplicate", "constant"], repair=["non_finite"]).data
    rows = np.delete(np.arange(60), 5)
    assert new_x.shape == (59, 2) and new_x[6, 1] == np.median(np.delete(x[:, 1], 7)).astype(np.float32)
    np.testing.assert_array_equal(np.delete(new_x, 6, 0), np.delete(x[rows][:, :2], 6, 0))
    np.testing.assert_array_equal(new_y, y[rows])
    dropped_x, _ = data.clean(found, drop=["non_finite"], repair=["non_finite"]).data
    np.testing.assert_array_equal(dropped_x, np.delete(x, 7, 0))


def test_labels_of_arrays_are_repaired(rng):
    x = rng.normal(size=(200, 2))
    y = np.eye(2, dtype=np.float32)[(x[:, 0] > 0).astype(int)]
    wrong = np.flatnonzero(np.abs(x[:, 0]) > 1.5)[:3]
    y[wrong] = y[wrong, ::-1]
    _, new = data.clean(data.report(x, y), repair={"label": wrong.tolist()}).data
    changed = np.flatnonzero((new != y).any(1))
    np.testing.assert_array_equal(changed, wrong)
    np.testing.assert_array_equal(new[wrong], y[wrong, ::-1])


@pytest.fixture
def csv(tmp_path):
    rows = [f"{n},{'ab'[n % 2]},{n / 2}" for n in range(30)]
    rows[3], rows[4], rows[5], rows[8], rows[21] = ",a,1", "x,b,2", "5, NA,2.5", "8,a,nan", rows[20]
    path = tmp_path / "a.csv"
    path.write_text("id,kind,price\n" + "\n".join(rows) + "\n")
    return path


def test_tables(csv, tmp_path):
    found = data.report(csv)
    kept = data.clean(found).data
    assert kept.height == 30 and kept["id"][3:6].to_list() == [None, "x", "5"] and kept["kind"][5] == " NA"
    dropped = data.clean(found, drop=["missing", "wrong_type", "duplicate"], to=tmp_path / "new.csv")
    assert dropped.log["rows"] == [3, 4, 5, 21] and dropped.data["id"].to_list() == [n for n in range(30) if n not in (3, 4, 5, 21)]
    assert data.report(tmp_path / "new.csv").counts == {"non_finite": 1}
    repaired = data.clean(found, drop={"missing": ["kind"]}, repair=["missing", "wrong_type", "non_finite"],
                          to=tmp_path / "b.parquet")
    assert repaired.log["rows"] == [5] and not {*data.report(tmp_path / "b.parquet").counts} - {"duplicate"}
    assert repaired.data["id"][2:5].to_list() == [2, 16, 16] and repaired.data["price"][7] == 7.5


REFUSED = {
    "kind": (lambda found, csv: data.clean(found, drop=["duplicates"]), "there is no kind of issue 'duplicates'"),
    "not here": (lambda found, csv: data.clean(found, drop=["blurry"]), "nothing that can be done"),
    "item": (lambda found, csv: data.clean(found, drop={"missing": ["price"]}), "has no such issue"),
    "there": (lambda found, csv: data.clean(found, to=csv), "is there already"),
    "ending": (lambda found, csv: data.clean(found, to=csv.with_suffix(".xls")), r"\.csv or \.parquet"),
}


@pytest.mark.parametrize("call, says", REFUSED.values(), ids=REFUSED)
def test_refused(call, says, csv):
    with pytest.raises(ArgumentError, match=says):
        call(data.report(csv), csv)


def test_a_folder_in_itself_or_there_already(planted, tmp_path):
    made, found = planted
    for to, says in ((made.folder / "new", "lies in the folder"), (tmp_path, "is there already")):
        with pytest.raises(ArgumentError, match=says):
            data.clean(found, to=to)
    with pytest.raises(ArgumentError, match="to= must name a new folder"):
        data.clean(found, repair=["mode"])
