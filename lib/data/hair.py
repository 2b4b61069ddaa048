from __future__ import annotations
import functools
import numpy as np
from PIL import Image
from scipy import ndimage

LONGEST_SIDE = 256
_HALF = 16          # line reaches so far to both sides
_ASIDE = 4
_ANGLES = 16
_SHARE = 0.85
_EDGE = 8
_SOFT = 0
_HAT = 6


def hair_mask(image):
    found = _search(image)
    if found.shape == image.shape[:2]:
        return found
    return np.asarray(Image.fromarray(found).resize(image.shape[1::-1], Image.Resampling.NEAREST))


def hair_share(image):
    return float(_search(image).mean())


def _line(k):
    a = np.pi * k / _ANGLES
    along = [(round(t * np.sin(a)), round(t * np.cos(a))) for t in range(-_HALF, _HALF + 1)]
    along = list(dict.fromkeys(along))
    aside = (round(_ASIDE * np.cos(a)), round(-_ASIDE * np.sin(a)))
    return along, aside


def _search(image):
    value = np.asarray(image).max(axis=2)
    h, w = value.shape
    s = LONGEST_SIDE / max(h, w)
    size = (max(1, round(w * s)), max(1, round(h * s)))
    value = np.asarray(Image.fromarray(value).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    h, w = value.shape
    f = np.pad(value, _ASIDE, mode="edge")
    near = np.zeros((h, w), bool)
    c = value.astype(np.int16) + _EDGE
    for k in range(_ANGLES):
        along, (ay, ax) = _line(k)
        left = f[_ASIDE + ay:_ASIDE + ay + h, _ASIDE + ax:_ASIDE + ax + w]
        right = f[_ASIDE - ay:_ASIDE - ay + h, _ASIDE - ax:_ASIDE - ax + w]
        dark = (np.minimum(left, right) >= c).view(np.uint8)
        if _SOFT: dark = ndimage.maximum_filter(dark, 3)
        dark = np.pad(dark, _HALF)
        total = np.zeros((h, w), np.uint8)
        for dy, dx in along:
            total += dark[_HALF + dy:_HALF + dy + h, _HALF + dx:_HALF + dx + w]
        hit = total >= _SHARE * len(along)
        rows, cols = np.nonzero(hit)
        if not len(rows): continue
        for dy, dx in along:
            y = rows + dy; x = cols + dx
            ok = (y >= 0) & (y < h) & (x >= 0) & (x < w)
            near[y[ok], x[ok]] = True
    if not near.any():
        return near
    near = ndimage.binary_dilation(near, np.ones((5, 5)))
    n = 2 * _ASIDE + 1
    hat = ndimage.minimum_filter(ndimage.maximum_filter(value, n), n) - value
    return near & (hat >= _HAT)
