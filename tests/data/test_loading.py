"""Loaders: the same batches for the same seed, all of the data in each epoch, other orders in the next, and ``fit`` on them."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

if any(find_spec(name) is None for name in ("PIL", "polars", "grain")):
    pytest.skip("needs leptonc[data]", allow_module_level=True)

from PIL import Image

from leptonc import data
from leptonc.errors import ArgumentError

FLIPPED = [data.random_flip, data.RandomShift(2), data.RandomBrightness(0.2)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures whose red is their number."""
    root = tmp_path_factory.mktemp("numbered")
    for n in range(30):
        path = root / f"class{n % 3}" / f"{n:02}.png"
        path.parent.mkdir(exist_ok=True)
        ramp = np.full((8, 12, 3), n, np.uint8)
        ramp[..., 1] = np.arange(12) * 20
        Image.fromarray(ramp).save(path)
    return root


def numbers(batches) -> list[int]:
    return [int(x[0, 0, 0]) for batch, _ in batches for x in batch]


def test_pictures_and_classes(folder):
    made = data.image_dataset(folder, image_size=(8, 12), batch_size=7)
    assert len(made) == 5 and made.class_names == ["class0", "class1", "class2"]
    x, y = made[0]
    assert x.shape == (7, 8, 12, 3) and x.dtype == np.float32 and y.dtype == np.int32
    np.testing.assert_array_equal(y, x[:, 0, 0, 0] % 3)
    np.testing.assert_array_equal(x[0, 3, :, 1], np.arange(12) * 20)


def test_each_epoch_has_all_in_an_order_of_its_own(folder):
    made = data.image_dataset(folder, image_size=(8, 12), batch_size=7)
    epochs = [numbers(made[epoch * 5 + n] for n in range(5)) for epoch in range(3)]
    assert all(sorted(epoch) == [*range(30)] for epoch in epochs) and len({*map(tuple, epochs)}) == 3
    assert numbers(made) == epochs[0]
    still = data.image_dataset(folder, image_size=(8, 12), batch_size=7, shuffle=False)
    assert [n % 3 for n in numbers(still)] == sorted(n % 3 for n in range(30))


def test_the_seed_decides_all(folder):
    def first(seed):
        return [data.image_dataset(folder, image_size=(8, 12), augment=FLIPPED, seed=seed)[n] for n in (0, 1)]

    for (x, y), (again, labels) in zip(first(3), first(3)):
        np.testing.assert_array_equal(x, again)
        np.testing.assert_array_equal(y, labels)
    assert not np.array_equal(first(3)[0][0], first(4)[0][0]) and not np.array_equal(first(3)[0][0], first(3)[1][0])


def test_threads_do_not_change_it(folder):
    import grain
    made = data.image_dataset(folder, image_size=(8, 12), batch_size=4, augment=FLIPPED)
    runs = [[x for x, _ in made.to_iter_dataset(grain.ReadOptions(threads, 4))] for threads in (1, 3)]
    assert all(np.array_equal(a, b) for a, b in zip(*runs, strict=True))


def test_it_goes_on_where_it_was(folder):
    made = data.image_dataset(folder, image_size=(8, 12), batch_size=4, augment=FLIPPED)
    walk = iter(made)
    next(walk), next(walk)
    state = walk.get_state()
    rest = [x for x, _ in walk]
    again = iter(made)
    again.set_state(state)
    assert all(np.array_equal(a, b) for a, b in zip(rest, (x for x, _ in again), strict=True)) and len(rest) == 6


def test_shards_and_subsets_share_nothing(folder):
    options = {"image_size": (8, 12), "batch_size": 4}
    shards = [numbers(data.image_dataset(folder, shard=(n, 4), **options)) for n in range(4)]
    assert sorted([n for shard in shards for n in shard]) == [*range(30)] and {*map(len, shards)} == {7, 8}
    parts = [numbers(data.image_dataset(folder, validation_split=0.2, subset=name, **options))
             for name in ("training", "validation")]
    assert sorted([n for part in parts for n in part]) == [*range(30)] and [*map(len, parts)] == [24, 6]


def test_options_of_pictures(folder):
    grey, rows = data.image_dataset(folder, image_size=(4, 4), color_mode="grayscale", label_mode="categorical", batch_size=30,
                                    drop_remainder=True)[0]
    assert grey.shape == (30, 4, 4, 1) and rows.shape == (30, 3) and rows.dtype == np.float32
    assert data.image_dataset(folder, label_mode=None, batch_size=None, image_size=(5, 6))[0].shape == (5, 6, 3)
    some = data.image_dataset(folder, image_size=(8, 12), only=["class0/00.png", "class0/03.png"], class_names=["class1", "class0"])
    assert sorted(numbers(some)) == [0, 3] and some[0][1].tolist() == [1, 1]
    assert some.file_names == ["class0/00.png", "class0/03.png"]
    held = data.image_dataset(folder, image_size=(8, 12), validation_split=0.2, subset="validation", shuffle=False)
    assert numbers(held) == [int(name[-6:-4]) for name in held.file_names] and len(held.file_names) == 6


def test_augmentations(rng):
    x = rng.random((6, 7, 3)).astype(np.float32) * 255
    assert {np.array_equal(data.random_flip(x, rng), x) for _ in range(20)} == {True, False}
    shifted = [data.RandomShift(1)(x, rng) for _ in range(50)]
    assert len({y.tobytes() for y in shifted}) == 9 and any(np.array_equal(y[1:, 1:], x[:-1, :-1]) for y in shifted)
    brighter = data.RandomBrightness(0.5)(x, rng)
    assert brighter.dtype == np.float32 and brighter.max() <= 255 and brighter.shape == x.shape


CSV = "u,city,price\n" + "".join(f"{n},{'Bonn' if n % 2 else 'Ulm'},{n / 4}\n" for n in range(20))


def test_rows(tmp_path):
    (tmp_path / "a.csv").write_text(CSV)
    made = data.table_dataset(tmp_path / "a.csv", "price", batch_size=8)
    assert made.feature_names == ["u", "city=Bonn", "city=Ulm"] and made.class_names is None and len(made) == 3
    x, y = map(np.concatenate, zip(*made))
    np.testing.assert_array_equal(x[:, 0] / 4, y[:, 0])
    np.testing.assert_array_equal(x[:, 1], x[:, 0] % 2)
    assert x.dtype == y.dtype == np.float32 and sorted(x[:, 0]) == [*range(20)]
    held = data.table_dataset({"u": [3.0], "city": ["Ulm"], "price": [1.0]}, like=made)
    np.testing.assert_array_equal(held[0][0], [[3, 0, 1]])
    np.testing.assert_array_equal(held.encode({"city": ["Bonn", "Ulm"], "u": [7.0, 3.0]}), [[7, 1, 0], [3, 0, 1]])
    with pytest.raises(ArgumentError, match="no column 'u'"):
        made.encode({"city": ["Ulm"]})
    with pytest.raises(ArgumentError, match="'Jena', which was not there before"):
        made.encode({"u": [1.0], "city": ["Jena"]})
    kinds = data.table_dataset(tmp_path / "a.csv", "city", features=["u"], shuffle=False, batch_size=None)
    assert kinds.class_names == ["Bonn", "Ulm"] and kinds[3][1] == 0 and kinds[4][1] == 1


TEXTS = {"good/a.txt": "A good film, don't miss it.", "good/b.txt": "Good good!", "bad/a.txt": "A bad film", "bad/b.txt": ""}


def test_texts(tmp_path):
    for name, text in TEXTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    made = data.text_dataset(tmp_path, length=4, shuffle=False, batch_size=4)
    assert made.class_names == ["bad", "good"] and made.vocabulary[:5] == ["", "[UNK]", "good", "a", "film"]
    x, y = made[0]
    assert x.dtype == np.int32 and y.tolist() == [0, 0, 1, 1] and x[1].tolist() == [0] * 4 and x[3].tolist() == [2, 2, 0, 0]
    assert [made.vocabulary[n] for n in x[2]] == ["a", "good", "film", "don't"]
    small = data.text_dataset(tmp_path, length=4, shuffle=False, vocabulary=made.vocabulary[:3], split="word")
    assert small[0][0][2].tolist() == [1, 2, 1, 1]


def test_a_column_of_texts_and_one_long_text(tmp_path):
    (tmp_path / "a.csv").write_text('text,stars\n"good, good",1\nbad,0\n')
    x, y = data.text_dataset(tmp_path / "a.csv", text="text", label="stars", length=3, shuffle=False)[0]
    assert x.tolist() == [[2, 2, 0], [3, 0, 0]] and y.tolist() == [1, 0]
    (tmp_path / "long.txt").write_text("abcabcabcabc")
    x, y = data.text_dataset(tmp_path / "long.txt", length=4, split="character", shuffle=False)[0]
    assert x.shape == (2, 4)
    np.testing.assert_array_equal(x.ravel()[1:], y.ravel()[:-1])


WRONG = {
    "shard": (lambda path: data.image_dataset(path, shard=(2, 2)), "index < count"),
    "subset": (lambda path: data.image_dataset(path, subset="validation"), "go together"),
    "empty": (lambda path: data.image_dataset(path, part="test"), "no pictures"),
    "color": (lambda path: data.image_dataset(path, color_mode="grey"), "color_mode='grey' is none of 'rgb'"),
    "only": (lambda path: data.image_dataset(path, only=["x.png"]), "'x.png', which is no picture"),
    "file": (lambda path: data.image_dataset(path / "nothing"), "is not there"),
    "gap": (lambda path: data.table_dataset({"a": [1.0, None], "b": [1, 2]}, "b"), "column 'a' has 1 cells that are no numbers"),
    "column": (lambda path: data.table_dataset({"price": [1.0]}, "prize"), "price"),
    "words": (lambda path: data.table_dataset({"a": [*map(str, map(chr, range(97, 122)))]}), "25 different texts"),
    "text": (lambda path: data.text_dataset(path, length=0), "at least 1"),
}


@pytest.mark.parametrize("call, says", WRONG.values(), ids=WRONG)
def test_wrong_options(call, says, folder):
    with pytest.raises(ArgumentError, match=says):
        call(folder)


def test_a_broken_picture_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.png").write_bytes(b"no")
    with pytest.raises(ArgumentError, match=r"b\.png' can't be read: not a picture that Pillow knows; fix: data\.clean"):
        data.image_dataset(tmp_path)[0]


@pytest.mark.parametrize("name, package", [("image_dataset", "PIL"), ("table_dataset", "polars"), ("text_dataset", "grain")])
def test_what_is_missing_is_named(name, package):
    program = (f"import sys; sys.modules[{package!r}] = None\nfrom leptonc import data\n"
               f"try: data.{name}\nexcept AttributeError as e: print(e)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert re.search(rf"with {package}, which is not installed; fix: pip install 'leptonc\[data\]'", done.stdout), done.stderr


def test_importing_costs_nothing_of_the_extra():
    program = ("import sys, leptonc.data; "
               "print(*{'cleanvision', 'cleanlab', 'PIL', 'polars', 'grain', 'pandas'} & {*sys.modules})")
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120).stdout.strip() == ""


# In Keras.


@pytest.fixture
def keras():
    if find_spec("keras") is None:
        pytest.skip("Keras is not installed")
    from leptonc import keras
    yield keras
    gc.collect()


def spied(keras, made):
    """A model on one number, and which numbers each batch of training had: grain may read ahead, the model sees what it sees."""
    seen = []

    class Spy(keras.Sequential):
        def train_step(self, data):
            seen.append([int(n) for n in data[0][:, 0]])
            return super().train_step(data)

    keras.utils.set_random_seed(0)
    model = Spy([keras.layers.Input((1,)), keras.layers.Rescaling(0.01), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    return model, seen


@pytest.fixture
def rows():
    return data.table_dataset({"n": [float(n) for n in range(20)], "y": [n / 2 for n in range(20)]}, "y", batch_size=8)


def test_fit_goes_through_the_epochs_of_a_dataset(keras, rows, capsys):
    model, seen = spied(keras, rows)
    model.fit(rows, epochs=3, validation_data=rows, verbose=2)
    assert [len(batch) for batch in seen] == [8, 8, 4] * 3 and "3/3 - " in capsys.readouterr().out
    epochs = [[one for batch in seen[n:n + 3] for one in batch] for n in (0, 3, 6)]
    assert all(sorted(epoch) == [*range(20)] for epoch in epochs) and len({*map(tuple, epochs)}) == 3
    assert epochs[1] == [int(n) for batch in (3, 4, 5) for n in rows[batch][0][:, 0]]
    assert model.evaluate(rows, verbose=0) == model.evaluate(rows, verbose=0) and model.predict(rows, verbose=0).shape == (20, 1)


def test_an_endless_dataset(keras, rows):
    model, seen = spied(keras, rows)
    model.fit(rows.repeat(), steps_per_epoch=2, epochs=3, verbose=0)
    assert [len(batch) for batch in seen] == [8, 8, 4] * 2


def test_a_run_goes_on_from_its_checkpoint(keras, rows, tmp_path):
    from leptonc.callbacks import Checkpoint

    class Killed(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations.numpy() == 5:
                raise KeyboardInterrupt

    model, whole = spied(keras, rows)
    model.fit(rows, epochs=3, verbose=0)
    first, before = spied(keras, rows)
    with pytest.raises(KeyboardInterrupt):
        first.fit(rows, epochs=3, verbose=0, callbacks=[Checkpoint(tmp_path / "run.ckpt", every=1), Killed()])
    second, after = spied(keras, rows)
    second.fit(rows, epochs=3, verbose=0, callbacks=[Checkpoint(tmp_path / "run.ckpt", every=1)])
    assert before + after in (whole, before + whole[4:], before + whole[5:]) and after
    for a, b in zip(model.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_grains_own_loader_and_iterators(keras, rows):
    import grain

    class Source:
        def __len__(self):
            return 12

        def __getitem__(self, n):
            return np.full(1, n, np.float32), np.full(1, n / 2, np.float32)

    sampler = grain.samplers.IndexSampler(12, shuffle=True, seed=0, num_epochs=1)
    loader = grain.DataLoader(data_source=Source(), sampler=sampler, operations=[grain.transforms.Batch(4)], worker_count=0)
    for made, batches in ((loader, 3), (rows.to_iter_dataset(), 3)):
        model, seen = spied(keras, made)
        model.fit(made, epochs=2, verbose=0)  # data without a length: an epoch is as long as it is
        assert len(seen) == 2 * batches


def test_few_batches_are_read_ahead(keras):
    import grain

    from leptonc import config
    from leptonc.keras.src.indexed import PER_THREAD, Epochs
    read = []
    made = grain.MapDataset.range(1000).map(lambda n: (read.append(n), n)[1])
    walk = iter(Epochs(made))
    next(walk)
    assert len(read) <= PER_THREAD * config.num_threads() + 1
    walk.close()


def test_waiting_for_grain_says_what_helps(keras):
    from leptonc.keras.src.batches import Batches
    from leptonc.keras.src.waiting import Waiting
    made = data.table_dataset({"n": [1.0, 2.0], "y": [1.0, 2.5]}, "y")
    batches = Batches(made)
    waiting = Waiting(batches)
    waiting.start()
    waiting._all, waiting._all_waited = 10.0, 9.0
    assert "90% of the time" in waiting.hint and "grain.ReadOptions" in waiting.hint
