"""Draw the integration's icon: candlesticks inside the arrows of a reconnect.

Run it with the Python of an environment of `scripts/setup`, which has Pillow.
"""

import math
from pathlib import Path

from PIL import Image, ImageDraw

BRAND = Path(__file__).parents[1] / "custom_components" / "metaapi" / "brand"
SIZES = {"icon.png": 256, "icon@2x.png": 512}

UNIT = 256
OVERSAMPLING = 2048 // UNIT

TOP = (24, 169, 175)
BOTTOM = (26, 86, 168)
WHITE = (255, 255, 255)
MINT = (150, 250, 200)

CENTRE = 128.0
RING = 82.0
STROKE = 16.0
GAP = 28.0
"""Degrees that each arrow leaves open before the tail of the other."""
HEAD = 22.0


class Canvas:
    """A drawing in units of the small icon, enlarged for smooth edges."""

    def __init__(self) -> None:
        """Start with nothing: transparent."""
        side = UNIT * OVERSAMPLING
        self.image = Image.new("RGBA", (side, side))
        self._draw = ImageDraw.Draw(self.image)

    def tile(self) -> None:
        """Lay a tile with a gradient, so that the icon stands on light and dark alike."""
        side = self.image.width
        column = Image.new("RGB", (1, side))
        for y in range(side):
            share = y / side
            colour = tuple(
                round(a + (b - a) * share) for a, b in zip(TOP, BOTTOM, strict=True)
            )
            column.putpixel((0, y), colour)
        mask = Image.new("L", (side, side))
        ImageDraw.Draw(mask).rounded_rectangle(
            _scaled(2, 2, UNIT - 2, UNIT - 2), radius=56 * OVERSAMPLING, fill=255
        )
        self.image.paste(column.resize((side, side)), mask=mask)

    def arrow(self, start: float, end: float) -> None:
        """Draw a part of the ring, in degrees clockwise, that ends in an arrow head."""
        outer = RING + STROKE / 2
        self._draw.arc(
            _scaled(CENTRE - outer, CENTRE - outer, CENTRE + outer, CENTRE + outer),
            start,
            end,
            fill=WHITE,
            width=round(STROKE * OVERSAMPLING),
        )
        self._dot(*_on_ring(RING, start), STROKE / 2)
        reach = math.degrees(HEAD * 1.25 / RING)
        self._draw.polygon(
            [
                _scaled(*_on_ring(RING - HEAD, end)),
                _scaled(*_on_ring(RING + HEAD, end)),
                _scaled(*_on_ring(RING, end + reach)),
            ],
            fill=WHITE,
        )

    def candle(
        self,
        x: float,
        wick: tuple[float, float],
        body: tuple[float, float],
        colour: tuple[int, int, int],
    ) -> None:
        """Draw one candlestick around its vertical line."""
        self._bar(x, *wick, colour, half=4)
        self._bar(x, *body, colour, half=15, radius=5)

    def _bar(
        self,
        x: float,
        top: float,
        bottom: float,
        colour: tuple[int, int, int],
        *,
        half: float,
        radius: float | None = None,
    ) -> None:
        """Draw an upright bar with round corners."""
        self._draw.rounded_rectangle(
            _scaled(x - half, top, x + half, bottom),
            radius=(half if radius is None else radius) * OVERSAMPLING,
            fill=colour,
        )

    def _dot(self, x: float, y: float, radius: float) -> None:
        """Draw a round end of a line."""
        self._draw.ellipse(
            _scaled(x - radius, y - radius, x + radius, y + radius), fill=WHITE
        )


def _scaled(*values: float) -> tuple[float, ...]:
    """Return coordinates of the enlarged drawing."""
    return tuple(value * OVERSAMPLING for value in values)


def _on_ring(radius: float, degrees: float) -> tuple[float, float]:
    """Return a point around the centre."""
    angle = math.radians(degrees)
    return CENTRE + radius * math.cos(angle), CENTRE + radius * math.sin(angle)


def draw() -> Image.Image:
    """Return the icon, large."""
    canvas = Canvas()
    canvas.tile()
    for start in (-165.0, 15.0):
        canvas.arrow(start, start + 180 - GAP - 18)
    canvas.candle(106, wick=(92, 178), body=(112, 162), colour=WHITE)
    canvas.candle(150, wick=(78, 164), body=(94, 144), colour=MINT)
    return canvas.image


def main() -> None:
    """Write the icon in each of its sizes."""
    BRAND.mkdir(exist_ok=True)
    icon = draw()
    for name, side in SIZES.items():
        icon.resize((side, side), Image.Resampling.LANCZOS).save(
            BRAND / name, optimize=True
        )


if __name__ == "__main__":
    main()
