"""Photometric augmentation: occlusion, lighting, greyscale, blur, noise, JPEG compression."""

import cv2
import numpy as np

from mien.pipeline.images import Pixels
from mien.training.detection.labels import Picture

HIDDEN = 0.12
"""Share of faces that are partly occluded artificially."""


def spoil(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Apply randomly drawn degradations to a uint8 RGB picture (height, width, 3)."""
    if random.random() < 0.3:
        pixels = _hide(pixels, random)
    pixels = _light(pixels, random)
    if random.random() < 0.25:
        pixels = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, 2).astype(np.uint8)
    if random.random() < 0.25:
        pixels = _blur(pixels, random)
    if random.random() < 0.15:
        noise = random.normal(0, random.uniform(2, 14), pixels.shape).astype(np.float32)
        pixels = (pixels + noise).clip(0, 255).astype(np.uint8)
    if random.random() < 0.35:
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(20, 90))])
        pixels = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return pixels


def hide_faces(scene: Picture, random: np.random.Generator) -> Pixels:
    """Return a scene's pixels with some faces partly occluded, as by hands, hair, hats and microphones.

    The occluder is an ellipse filled with one colour or with another part of the scene. It enters from one
    side of the face and leaves at least half of the face visible.
    """
    pixels, side = scene.pixels.copy(), scene.pixels.shape[0]
    for box in scene.boxes[random.random(len(scene.boxes)) < HIDDEN]:
        size = box[2:] - box[:2]
        direction = np.array([[0, -1], [0, 1], [-1, 0], [1, 0]])[random.integers(4)]
        reach = random.uniform(0.2, 0.45)
        middle = (box[:2] + box[2:]) / 2 + direction * size * (1 - reach)
        across = np.where(direction == 0, random.uniform(0.25, 0.7), 0.5)
        axes = (size * across).clip(1, 2 * side).astype(int)
        mask = np.zeros((side, side), np.uint8)
        centre = (int(middle[0]), int(middle[1]))
        cv2.ellipse(mask, centre, (int(axes[0]), int(axes[1])), random.uniform(-25, 25), 0, 360, 1, -1)
        if random.random() < 0.5:
            cover = np.full_like(pixels, random.integers(0, 256, 3))
        else:
            cover = np.roll(scene.pixels, tuple(random.integers(side // 4, side, 2)), (0, 1))
        pixels = np.where(mask[..., None] > 0, cover, pixels)
    return pixels


def _light(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Change brightness, contrast, gamma and colour cast by a lookup table per channel; darken one in ten."""
    ramp = np.arange(256, dtype=np.float32) / 255
    gamma = float(np.exp(random.normal(0, 0.3)))
    gain, offset = random.uniform(0.7, 1.35), random.uniform(-0.12, 0.12)
    if random.random() < 0.1:
        gain, offset = random.uniform(0.15, 0.5), 0.0
    casts = random.uniform(0.88, 1.12, 3) if random.random() < 0.6 else np.ones(3)
    table = [(255 * ((ramp**gamma - 0.5) * gain * cast + 0.5 * min(1, gain) + offset)) for cast in casts]
    lookup = np.stack(table, 1).clip(0, 255).astype(np.uint8)[:, None]
    return np.asarray(cv2.LUT(pixels, lookup.reshape(1, 256, 3)), np.uint8)


def _blur(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Blur by defocus, by motion, or by enlarging a smaller copy."""
    draw = random.random()
    if draw < 0.4:
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), random.uniform(0.5, 2.2)), np.uint8)
    if draw < 0.7:
        side = pixels.shape[0]
        small = cv2.resize(
            pixels, None, fx=(f := random.uniform(0.35, 0.8)), fy=f, interpolation=cv2.INTER_AREA
        )
        return np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
    length = int(random.integers(3, 9))
    kernel = np.zeros((length, length), np.float32)
    cv2.line(kernel, (0, int(random.integers(length))), (length - 1, int(random.integers(length))), 1.0)
    return np.asarray(cv2.filter2D(pixels, -1, kernel / kernel.sum()), np.uint8)


def _hide(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Cover the picture with one to three rectangles, each of a single random colour."""
    pixels, side = pixels.copy(), pixels.shape[0]
    for _ in range(int(random.integers(1, 4))):
        width, height = (side * random.uniform(0.03, 0.22, 2)).astype(int)
        x, y = random.integers(0, side, 2)
        pixels[y : y + height, x : x + width] = random.integers(0, 256, 3)
    return pixels
