"""Small shapes with soft edges: blobs, strokes, hairs. Each is computed only in the window that it touches.

Edges are softened by one pixel of the picture that is drawn, so a shape thinner than a pixel fades instead of breaking up.
"""

from __future__ import annotations

import numpy as np

Window = tuple[slice, slice]        # rows, columns


class Canvas:
    """Coordinates of a square picture or of a window of it: x to the right, y down, both from −1 to 1 at the picture's outer edges."""

    def __init__(
        self,
        size:   int,                    # pixels per side of the whole picture
        window: Window | None = None,   # rows and columns that this canvas covers; default: all
    ):
        self.size = size
        self.pixel = 2.0 / size
        axis = ((np.arange(size) + 0.5) * self.pixel - 1).astype(np.float32)
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
        return self._window(x - reach, x + reach, y - reach, y + reach) or (slice(0, 1), slice(0, 1))

    def _window(self, low_x: float, high_x: float, low_y: float, high_y: float) -> Window | None:
        top, left = max(0, int((low_y + 1) / self.pixel) - self.top), max(0, int((low_x + 1) / self.pixel) - self.left)
        bottom = min(self.shape[0], int((high_y + 1) / self.pixel) + 2 - self.top)
        right = min(self.shape[1], int((high_x + 1) / self.pixel) + 2 - self.left)
        return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None

    def blob(
        self,
        target: np.ndarray,         # [H, W] map that is raised to the blob's height
        x:      float,
        y:      float,
        radius: float,
        *,
        height:  float = 1.0,
        stretch: float = 1.0,       # longer axis over shorter axis
        angle:   float = 0.0,       # radians, of the longer axis
        soft:    float = 0.3,       # width of the edge as a share of the radius
        ring:    bool  = False,     # only the rim
    ) -> None:
        """Raise `target` to an ellipse with a soft edge."""
        reach = radius * stretch * (1 + soft) + self.pixel
        window = self._window(x - reach, x + reach, y - reach, y + reach)
        if window is None:
            return
        dx, dy = self.x[:, window[1]] - np.float32(x), self.y[window[0]] - np.float32(y)
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        distance = np.sqrt(((dx * cos + dy * sin) / np.float32(stretch)) ** 2 + (dy * cos - dx * sin) ** 2)
        edge = max(soft * radius, self.pixel)
        shape = ((radius - distance) / np.float32(edge) + np.float32(0.5)).clip(0, 1)
        if ring:
            shape *= ((distance - 0.78 * radius) / np.float32(edge) + np.float32(0.5)).clip(0, 1)
        faint = min(1.0, (2 * radius / self.pixel) ** 2) if radius < self.pixel / 2 else 1.0
        part = target[window]
        np.maximum(part, shape * np.float32(height * faint), out=part)

    def stroke(
        self,
        target: np.ndarray,         # [H, W] map that is raised along the line
        x0:     float,
        y0:     float,
        x1:     float,
        y1:     float,
        width:  float,              # full width
        *,
        height: float = 1.0,
        bow:    float = 0.0,        # how far the middle of the line stands off the straight one
    ) -> None:
        """Raise `target` along a (bowed) line of constant width."""
        dx, dy = x1 - x0, y1 - y0
        length = max(float(np.hypot(dx, dy)), 1e-6)
        reach = width + abs(bow) + self.pixel
        window = self._window(min(x0, x1) - reach, max(x0, x1) + reach, min(y0, y1) - reach, max(y0, y1) + reach)
        if window is None:
            return
        ux, uy = np.float32(dx / length), np.float32(dy / length)
        px, py = self.x[:, window[1]] - np.float32(x0), self.y[window[0]] - np.float32(y0)
        ahead, aside = px * ux + py * uy, py * ux - px * uy         # along the line and across it
        along = ahead.clip(0, np.float32(length))
        if bow:
            aside -= np.float32(4 * bow / length**2) * along * (np.float32(length) - along)
        ahead -= along
        across = np.sqrt(ahead * ahead + aside * aside)
        seen = max(width, self.pixel)                               # thinner than a pixel: one pixel wide and fainter
        across *= np.float32(-1 / self.pixel)
        across += np.float32(0.5 * seen / self.pixel + 0.5)
        part = target[window]
        np.maximum(part, across.clip(0, 1) * np.float32(height * width / seen), out=part)
