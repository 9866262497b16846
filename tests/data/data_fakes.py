"""Pictures of noise, folders like the data sets', and manifests of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from mien.data.manifest import check_manifest

Draw = Callable[..., Path]

UTKFACE_NAMES = (
    "1_0_2_20161219140623097.jpg.chip.jpg",
    "24_0_1_20170116220224657 .jpg.chip.jpg",
    "26_1_0_20170116184024662.jpg.chip.jpg",
    "39_1_20170116174525125.jpg.chip.jpg",
    "55_0_0_20170116232725357jpg.chip.jpg",
)


def noise_in(folder: Path) -> Draw:
    """A function that saves a picture of coarse noise, the same for the same seed, and returns its path."""

    def save(name: str, seed: int, size: int = 64, **options: Any) -> Path:
        noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC).save(path, **options)
        return path

    return save


def utkface_in(folder: Path) -> Path:
    """A folder of five UTKFace-like pictures, three of them misnamed, and one without labels."""
    for seed, name in enumerate((*UTKFACE_NAMES, "holiday.jpg")):
        noise_in(folder)(f"UTKFace/{name}", seed)
    return folder / "UTKFace"


def fairface_in(folder: Path) -> Path:
    """A folder like FairFace's, with two labelled pictures, one unlabelled and one missing."""
    for seed in range(3):
        noise_in(folder)(f"fairface/images/{seed}.webp", seed)
    rows = ("0.webp,3-9,Male,East Asian", "1.webp,70+,Female,Middle Eastern", "9.webp,0-2,Male,White")
    lines = ["file,age,gender,race", *(f"images/{row}" for row in rows), ""]
    (folder / "fairface" / "labels.csv").write_text("\n".join(lines))
    return folder / "fairface"


def face_table(paths: list[Path], **columns: Any) -> pd.DataFrame:
    """A checked manifest of pictures, aged 30 unless told otherwise."""
    table = pd.DataFrame({"path": [str(path) for path in paths], "age": 30.0}).assign(**columns)
    return check_manifest(table, "test", Path("/"))
