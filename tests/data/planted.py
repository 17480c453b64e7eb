"""A folder of pictures with faults of every kind, and the names of the files that have them."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

SIDE = 64
CLASSES = ("bars", "disc")


def picture(rng: np.random.Generator, name: str, side: int = SIDE) -> Image.Image:
    """Noise on a random ground, with bars or a disc on it."""
    ground = Image.fromarray(rng.integers(60, 190, (5, 5, 3), np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    x = np.asarray(ground).astype(np.float64) + rng.normal(0, 12, (side, side, 1))
    down, right = np.mgrid[:side, :side]
    if name == "disc":
        middle = rng.integers(side // 3, side - side // 3, 2)
        shape = (down - middle[0])**2 + (right - middle[1])**2 < (side / 5)**2
    else:
        shape = (right + rng.integers(side)) // (side // 8) % 2 == 0
    x[shape] = rng.integers(200, 256, 3) if rng.random() < 0.5 else rng.integers(0, 50, 3)
    return Image.fromarray(x.clip(0, 255).astype(np.uint8))


class Planted:
    """``expected``: names of files by kind of issue. Each file has one kind of fault, but those that come in pairs."""

    def __init__(self, folder: Path, rng: np.random.Generator, good: int = 60, held_out: int = 15, each: int = 2):
        self.folder, self.rng = folder, rng
        self.expected: dict[str, set[str]] = {}
        for part, count in (("train", good), ("validation", held_out)):
            for name in CLASSES:
                for n in range(count):
                    self.save(picture(rng, name), f"{part}/{name}/{n:03}.png")
        for n in range(each):
            self._plant(n)

    def save(self, image: Image.Image, name: str, kind: str = "", **options: object) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, **options)
        if kind:
            self.expected.setdefault(kind, set()).add(name)
        return path

    def write(self, content: bytes, name: str, kind: str = "") -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if kind:
            self.expected.setdefault(kind, set()).add(name)

    def _plant(self, n: int) -> None:
        self._broken(n)
        self._copies(n)
        self._odd(n)
        self._peculiar(n)
        for name, other in (CLASSES, CLASSES[::-1]):
            self.save(picture(self.rng, other), f"train/{name}/wrong{n}.png", "label")

    def _broken(self, n: int) -> None:
        self.write(b"", f"train/disc/empty{n}.png", "unreadable")
        whole = BytesIO()
        picture(self.rng, "disc").save(whole, "JPEG")
        self.write(whole.getvalue()[:len(whole.getvalue()) // 2], f"train/disc/cut{n}.jpg", "unreadable")
        self.write(self.rng.bytes(500), f"train/disc/noise{n}.png", "unreadable")

    def _copies(self, n: int) -> None:
        original = self.folder / f"train/bars/{n:03}.png"
        self.write(original.read_bytes(), f"train/bars/copy{n}.png", "duplicate")
        with Image.open(original) as image:
            self.save(image, f"train/bars/same{n}.bmp", "duplicate")
        near = self.folder / f"train/disc/{n:03}.png"
        with Image.open(near) as image:
            self.save(image, f"train/disc/near{n}.jpg", "near_duplicate", quality=60)
            self.save(image.resize((60, 60)), f"train/disc/smaller{n}.png", "near_duplicate")
        leaked = self.folder / f"train/bars/{n + 10:03}.png"
        self.write(leaked.read_bytes(), f"validation/bars/leak{n}.png")
        self.expected.setdefault("leakage", set()).add(f"train/bars/{n + 10:03}.png")
        with Image.open(self.folder / f"train/disc/{n + 10:03}.png") as image:
            self.save(image, f"validation/disc/leak{n}.jpg", quality=60)
        self.expected.setdefault("near_leakage", set()).add(f"train/disc/{n + 10:03}.png")

    def _odd(self, n: int) -> None:
        for name in CLASSES:
            self.save(picture(self.rng, name).point(lambda value: value // 8), f"train/{name}/dark{n}.png", "dark")
            self.save(picture(self.rng, name).point(lambda value: 246 + value // 32), f"train/{name}/light{n}.png", "light")
        smooth = picture(self.rng, "disc").point(lambda value: 60 + value * 2 // 3)
        self.save(smooth.filter(ImageFilter.GaussianBlur(6)), f"train/disc/blurry{n}.png", "blurry")
        flat = Image.new("RGB", (SIDE, SIDE), (90 + 20 * n, 140, 100))
        self.save(flat, f"train/disc/flat{n}.png", "low_information")
        self.save(picture(self.rng, "disc", 400), f"train/disc/large{n}.png", "odd_size")
        self.save(picture(self.rng, "disc").resize((140, 30)), f"train/disc/wide{n}.png", "odd_aspect_ratio")

    def _peculiar(self, n: int) -> None:
        turned = picture(self.rng, "bars").transpose(Image.Transpose.ROTATE_90)
        exif = Image.Exif()
        exif[0x0112] = 6
        self.save(turned, f"train/bars/turned{n}.jpg", "rotated", exif=exif, quality=95)
        frames = [picture(self.rng, "disc") for _ in range(3)]
        self.save(frames[0], f"train/disc/moving{n}.webp", "animated", save_all=True, append_images=frames[1:], lossless=True)
        self.save(picture(self.rng, "bars").convert("CMYK"), f"train/bars/print{n}.tif", "mode")
        self.save(picture(self.rng, "bars").quantize(16), f"train/bars/palette{n}.png", "mode")
        grey = np.asarray(ImageOps.grayscale(picture(self.rng, "disc"))).astype(np.uint16) * 257
        self.save(Image.fromarray(grey), f"train/disc/deep{n}.png", "mode")
        self.save(picture(self.rng, "disc").convert("RGBA"), f"train/disc/alpha{n}.png", "mode")


def loops(folder: Path) -> None:
    """Links that lead back, to themselves, and nowhere."""
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "nowhere.png").symlink_to(folder / "missing.png")
    os.mkfifo(folder / "pipe.png")
