"""Colour profiles made from their primaries, and pictures stored in them."""

import struct

import numpy as np
import numpy.typing as npt

D50 = (0.9642, 1.0, 0.8249)
SRGB = (
    (0.4360747, 0.3850649, 0.1430804),
    (0.2225045, 0.7168786, 0.0606169),
    (0.0139322, 0.0971045, 0.7141733),
)
P3 = (
    (0.5151187, 0.2919778, 0.1571035),
    (0.2411892, 0.6922441, 0.0665668),
    (-0.0010505, 0.0418791, 0.7840713),
)
ADOBE = (
    (0.6097559, 0.2052401, 0.1492240),
    (0.3111242, 0.6256560, 0.0632197),
    (0.0194811, 0.0608902, 0.7448387),
)
PROPHOTO = ((0.7976749, 0.1351917, 0.0313534), (0.2880402, 0.7118741, 0.0000857), (0.0, 0.0, 0.8252100))
"""RGB to XYZ under D50, one row for each of X, Y and Z."""

Matrix = tuple[tuple[float, ...], ...]


def profile(matrix: Matrix, gamma: float | None) -> bytes:
    """An ICC profile, version 2, of three primaries and one exponent; None for a table of sRGB's curve."""
    curve = b"curv\0\0\0\0" + (_table() if gamma is None else struct.pack(">IHH", 1, round(gamma * 256), 0))
    columns = np.array(matrix).T
    tags = [(b"rXYZ", _xyz(columns[0])), (b"gXYZ", _xyz(columns[1])), (b"bXYZ", _xyz(columns[2]))]
    tags += [(b"wtpt", _xyz(D50)), *((name, curve) for name in (b"rTRC", b"gTRC", b"bTRC"))]
    tags += [
        (b"desc", b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(79)),
        (b"cprt", b"text\0\0\0\0x\0\0\0"),
    ]
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags:
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = 128 + len(table) + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ") + bytes(12)
    header += b"acsp" + bytes(28) + _xyz(D50)[8:]
    return header.ljust(128, b"\0") + table + body


def stored_in(pixels: npt.NDArray[np.uint8], matrix: Matrix, gamma: float) -> npt.NDArray[np.uint8]:
    """sRGB pixels as a picture with that profile holds them."""
    value = pixels / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    there = light @ (np.linalg.inv(np.array(matrix)) @ np.array(SRGB)).T
    return np.asarray(np.rint(255 * there.clip(0, 1) ** (1 / gamma)), np.uint8)


def _table() -> bytes:
    value = np.linspace(0, 1, 64)
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return struct.pack(">I64H", 64, *np.rint(65535 * light).astype(int).tolist())


def _xyz(values: npt.ArrayLike) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * v) for v in np.asarray(values).tolist()))
