"""Small shapes with soft edges: blobs, strokes, hairs. Each is computed only near where it is.

All shapes of a call share one size of window, so that many are drawn by a few array operations: numpy's price is per call.

Edges are softened by one pixel of the picture that is drawn, so a shape thinner than a pixel fades instead of breaking up.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

Window = tuple[slice, slice]        # rows, columns
BATCH = 32_768                      # pixels drawn in one go: more would leave the processor's cache


class Canvas:
    """Coordinates of a square picture or of a window of it: x to the right, y down, both from −1 to 1 at the picture's outer edges."""

    def __init__(
        self,
        size:   int,                    # pixels per side of the whole picture
        window: Window | None = None,   # rows and columns that this canvas covers; default: all
    ):
        self.size = size
        self.pixel = 2.0 / size
        axis = _axis(size)
        rows, columns = window or (slice(0, size), slice(0, size))
        self.top, self.left = rows.start, columns.start
        self.x, self.y = axis[None, columns], axis[rows, None]      # [1, W] and [H, 1]; they broadcast to the picture
        self.shape = (self.y.shape[0], self.x.shape[1])

    def zeros(self) -> np.ndarray:
        """An empty map [H, W] float32."""
        return np.zeros(self.shape, dtype=np.float32)

    def around(
        self,
        x:     float,
        y:     float,
        reach: float,                   # half the window's side
    ) -> Window:
        """The window of this canvas that holds everything within `reach` of a point; at least one pixel."""
        top, left = max(0, int((y - reach + 1) / self.pixel) - self.top), max(0, int((x - reach + 1) / self.pixel) - self.left)
        bottom = min(self.shape[0], int((y + reach + 1) / self.pixel) + 2 - self.top)
        right = min(self.shape[1], int((x + reach + 1) / self.pixel) + 2 - self.left)
        return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else (slice(0, 1), slice(0, 1))

    def blobs(
        self,
        target:  np.ndarray,        # [H, W] map that is raised to the blobs' height
        x:       np.ndarray,        # [N]; this and what follows float64
        y:       np.ndarray,        # [N]
        radius:  np.ndarray,        # [N]
        height:  np.ndarray,        # [N]
        *,
        stretch: np.ndarray | None = None,  # [N] longer axis over shorter axis; default: 1
        angle:   np.ndarray | None = None,  # [N] radians, of the longer axis; default: 0
        soft:    float = 0.3,       # width of the edge as a share of the radius
        ring:    bool  = False,     # only the rim
    ) -> None:
        """Raise `target` to ellipses with soft edges."""
        stretch, angle = np.ones_like(x) if stretch is None else stretch, np.zeros_like(x) if angle is None else angle
        reach = radius * stretch * (1 + soft) + self.pixel
        edge = np.maximum(soft * radius, self.pixel).astype(np.float32)
        faint = np.where(radius < self.pixel / 2, np.minimum(1.0, (2 * radius / self.pixel) ** 2), 1.0)
        floats = (x, y, np.cos(angle), np.sin(angle), stretch, height * faint)
        numbers = np.array(floats, dtype=np.float32)[:, :, None, None]
        radius, edge = radius[:, None, None], edge[:, None, None]
        for batch, windows, columns, rows in self._windows(x - reach, x + reach, y - reach, y + reach):
            middle_x, middle_y, cos, sin, longer, raised = numbers[:, batch]
            dx, dy = columns - middle_x, rows - middle_y
            distance = (dx * cos + dy * sin) / longer
            distance *= distance
            across = dy * cos - dx * sin
            across *= across
            distance += across
            np.sqrt(distance, out=distance)
            shape = _ramp(radius[batch] - distance, edge[batch])
            if ring:
                shape *= _ramp(distance - 0.78 * radius[batch], edge[batch])
            shape *= raised
            _raise(target, windows, shape)

    def strokes(
        self,
        target: np.ndarray,         # [H, W] map that is raised along the lines
        x0:     np.ndarray,         # [N]; this and what follows float64
        y0:     np.ndarray,         # [N]
        x1:     np.ndarray,         # [N]
        y1:     np.ndarray,         # [N]
        width:  np.ndarray,         # [N] full width
        height: np.ndarray,         # [N]
        bow:    np.ndarray,         # [N] how far the middle of a line stands off the straight one
    ) -> None:
        """Raise `target` along (bowed) lines of constant width."""
        dx, dy = x1 - x0, y1 - y0
        length = np.maximum(np.hypot(dx, dy), 1e-6)
        reach = width + np.abs(bow) + self.pixel
        seen = np.maximum(width, self.pixel)                        # thinner than a pixel: one pixel wide and fainter
        floats = (x0, y0, dx / length, dy / length, length, 4 * bow / length**2, 0.5 * seen / self.pixel + 0.5, height * width / seen)
        numbers = np.array(floats, dtype=np.float32)[:, :, None, None]
        spans = np.minimum(x0, x1) - reach, np.maximum(x0, x1) + reach, np.minimum(y0, y1) - reach, np.maximum(y0, y1) + reach
        for batch, windows, columns, rows in self._windows(*spans):
            from_x, from_y, ux, uy, end, bend, full, raised = numbers[:, batch]
            px, py = columns - from_x, rows - from_y
            ahead, aside = px * ux + py * uy, py * ux - px * uy     # along the line and across it
            along = ahead.clip(0, end)
            bowed = bend * along
            bowed *= end - along
            aside -= bowed
            ahead -= along
            ahead *= ahead
            aside *= aside
            ahead += aside
            across = np.sqrt(ahead, out=ahead)
            across *= np.float32(-1 / self.pixel)
            across += full
            across.clip(0, 1, out=across)
            across *= raised
            _raise(target, windows, across)

    def _windows(
        self,
        low_x:  np.ndarray,         # [N] left ends of the shapes
        high_x: np.ndarray,         # [N]
        low_y:  np.ndarray,         # [N]
        high_y: np.ndarray,         # [N]
    ) -> Iterator[tuple[slice, list[Window], np.ndarray, np.ndarray]]:
        """Batches of shapes with their windows, all of one size, and the coordinates there, [n, 1, w] and [n, h, 1]."""
        if not len(low_x):
            return
        top, high = self._span(low_y, high_y, self.top, self.shape[0])
        left, wide = self._span(low_x, high_x, self.left, self.shape[1])
        columns, rows = self.x[0].take(left[:, None] + np.arange(wide)), self.y[:, 0].take(top[:, None] + np.arange(high))
        windows = [(slice(i, i + high), slice(j, j + wide)) for i, j in zip(top.tolist(), left.tolist(), strict=True)]
        step = max(1, BATCH // (high * wide))
        for start in range(0, len(windows), step):
            batch = slice(start, start + step)
            yield batch, windows[batch], columns[batch, None, :], rows[batch, :, None]

    def _span(self, low: np.ndarray, high: np.ndarray, origin: int, count: int) -> tuple[np.ndarray, int]:
        """First row of every window and how many rows the largest one needs; a window is pushed back onto the canvas."""
        first = ((low + 1) / self.pixel).astype(np.intp) - origin
        last = ((high + 1) / self.pixel).astype(np.intp) + 2 - origin
        most = min(count, int((last - first).max()))
        return first.clip(0, count - most), most


@lru_cache(maxsize=8)
def _axis(size: int) -> np.ndarray:
    axis = ((np.arange(size) + 0.5) * (2.0 / size) - 1).astype(np.float32)
    axis.flags.writeable = False
    return axis


def _ramp(distance: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """0 outside, 1 inside, ½ where the distance to the border is 0; changes its argument."""
    distance /= edge
    distance += np.float32(0.5)
    return distance.clip(0, 1, out=distance)


def _raise(target: np.ndarray, windows: list[Window], shapes: np.ndarray) -> None:
    for window, shape in zip(windows, shapes, strict=True):
        part = target[window]
        np.maximum(part, shape, out=part, casting="same_kind")
