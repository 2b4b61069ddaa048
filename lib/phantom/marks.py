"""Small shapes with soft edges: blobs, strokes, hairs. Each is computed only in the window that it touches.

Edges are softened by one pixel of the picture that is drawn, so a shape thinner than a pixel fades instead of breaking up.
"""

from __future__ import annotations

import numpy as np


class Canvas:
    """Coordinates of a square picture: x to the right, y down, both from −1 to 1 at the outer edges."""

    def __init__(
        self,
        size: int,                  # pixels per side
    ):
        self.size = size
        self.pixel = 2.0 / size
        self.axis = ((np.arange(size, dtype=np.float32) + 0.5) * self.pixel - 1).astype(np.float32)
        self.x = np.broadcast_to(self.axis[None, :], (size, size))
        self.y = np.broadcast_to(self.axis[:, None], (size, size))

    def zeros(self) -> np.ndarray:
        """An empty map [size, size] float32."""
        return np.zeros((self.size, self.size), dtype=np.float32)

    def _window(self, low_x: float, high_x: float, low_y: float, high_y: float) -> tuple[slice, slice] | None:
        first = [max(0, int(np.floor((low + 1) / self.pixel))) for low in (low_y, low_x)]
        last = [min(self.size, int(np.ceil((high + 1) / self.pixel)) + 1) for high in (high_y, high_x)]
        if first[0] >= last[0] or first[1] >= last[1]:
            return None
        return slice(first[0], last[0]), slice(first[1], last[1])

    def blob(
        self,
        target: np.ndarray,         # [size, size] map that is raised to the blob's height
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
        dx, dy = self.axis[window[1]][None, :] - x, self.axis[window[0]][:, None] - y
        cos, sin = np.cos(angle), np.sin(angle)
        distance = np.hypot((dx * cos + dy * sin) / stretch, dy * cos - dx * sin)
        edge = max(soft * radius, self.pixel)
        shape = np.clip((radius - distance) / edge + 0.5, 0, 1)
        if ring:
            shape = shape * np.clip((distance - 0.78 * radius) / edge + 0.5, 0, 1)
        faint = min(1.0, (2 * radius / self.pixel) ** 2) if radius < self.pixel / 2 else 1.0
        part = target[window]
        np.maximum(part, (shape * (height * faint)).astype(np.float32), out=part)

    def stroke(
        self,
        target: np.ndarray,         # [size, size] map that is raised along the line
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
        px, py = self.axis[window[1]][None, :] - x0, self.axis[window[0]][:, None] - y0
        along = np.clip((px * dx + py * dy) / length**2, 0, 1)
        middle = 4 * bow * along * (1 - along)
        across = np.hypot(px - along * dx - middle * (-dy / length), py - along * dy - middle * (dx / length))
        seen = max(width, self.pixel)                               # thinner than a pixel: one pixel wide and fainter
        shape = np.clip((seen / 2 - across) / self.pixel + 0.5, 0, 1) * (height * width / seen)
        part = target[window]
        np.maximum(part, shape.astype(np.float32), out=part)
