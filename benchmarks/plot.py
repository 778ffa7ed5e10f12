"""Draw the cost of an event against the number of accounts, as a small SVG."""

from collections.abc import Sequence
from math import log10
from statistics import median

from .runs import COUNTS, Samples

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 60, 430, 30, 310
COSTS = (1, 10, 100)
"""Microseconds marked on the vertical axis; both axes are logarithmic."""
CURVES = {
    "a change: {:.0f}": ("#c0392b", [f"change metaapi {count}" for count in COUNTS]),
    "a change, least client: {:.0f}": (
        "#e59866",
        [f"change raw {count}" for count in COUNTS],
    ),
    "unchanged status: {:.1f}": ("#2471a3", [f"unchanged {count}" for count in COUNTS]),
    "its client alone: {:.1f}": ("#7fb3d5", ["flood ours"] * 3),
    "raw aiohttp + orjson: {:.1f}": ("#7f8c8d", ["flood raw"] * 3),
    "MetaApi's SDK: {:.0f}": ("#7f8c8d", ["flood sdk"] * 3),
}


def draw(runs: Sequence[Samples]) -> str:
    """Return the plot of some runs as SVG."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12"',
        f'fill="#333333" viewBox="0 0 {WIDTH} {HEIGHT}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="{TOP - 12}">CPU time of one event, µs</text>',
        f'<text x="{RIGHT - 60}" y="{BOTTOM + 36}">accounts</text>',
    ]
    for cost in COSTS:
        parts += [_line([(LEFT, _y(cost)), (RIGHT, _y(cost))], "#dddddd")]
        parts += [f'<text x="{LEFT - 30}" y="{_y(cost) + 4:.0f}">{cost}</text>']
    for count in COUNTS:
        parts += [f'<text x="{_x(count) - 8:.0f}" y="{BOTTOM + 18}">{count}</text>']
    floor = float(HEIGHT)
    ends = {label: _costs(runs, names)[-1] for label, (_, names) in CURVES.items()}
    for label in sorted(ends, key=ends.__getitem__):
        color, names = CURVES[label]
        costs = _costs(runs, names)
        parts += [_line([*zip(map(_x, COUNTS), map(_y, costs), strict=True)], color)]
        # Labels must not overlap
        floor = min(_y(costs[-1]) + 4, floor - 14)
        text = label.format(costs[-1])
        parts += [f'<text x="{RIGHT}" y="{floor:.0f}" fill="{color}">{text}</text>']
    return "\n".join([*parts, "</svg>\n"])


def _costs(runs: Sequence[Samples], names: list[str]) -> list[float]:
    """Return the values of a curve in microseconds."""
    return [median(median(run[name]) for run in runs) * 1e6 for name in names]


def _x(count: float) -> float:
    """Return the horizontal position of a number of accounts."""
    return LEFT + 20 + (log10(count) - 1) / 2 * (RIGHT - LEFT - 40)


def _y(cost: float) -> float:
    """Return the vertical position of a cost."""
    return BOTTOM - log10(cost) / 2.3 * (BOTTOM - TOP)


def _line(points: list[tuple[float, float]], color: str) -> str:
    """Return a line through the points."""
    path = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>'
