"""Draw the cost of an event against the number of accounts, as a small SVG."""

from collections.abc import Sequence
from math import log10
from statistics import median

from .runs import COUNTS, Samples

LEFT, RIGHT, TOP, BOTTOM = 60, 430, 30, 310
COSTS = (1, 10, 100)
"""Microseconds marked on the vertical axis; both axes are logarithmic."""
CURVES = {
    "a change: {:.0f}": ("#c0392b", "change metaapi {}"),
    "a change, least client: {:.0f}": ("#e59866", "change raw {}"),
    "unchanged status: {:.1f}": ("#2471a3", "unchanged {}"),
    "its client alone: {:.1f}": ("#7fb3d5", "flood ours"),
    "raw aiohttp + orjson: {:.1f}": ("#7f8c8d", "flood raw"),
    "MetaApi's SDK: {:.0f}": ("#7f8c8d", "flood sdk"),
}
"""Color and figure by label; a figure without a count is the same for every number of accounts."""


def draw(runs: Sequence[Samples]) -> str:
    """Return the plot of some runs as SVG."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12"',
        'fill="#333333" viewBox="0 0 640 360"><rect width="640" height="360" fill="white"/>',
        _text(LEFT, TOP - 12, "CPU time of one event, µs"),
        _text(RIGHT - 60, BOTTOM + 36, "accounts"),
    ]
    for cost in COSTS:
        parts.append(_line([(LEFT, _y(cost)), (RIGHT, _y(cost))], "#dddddd"))
        parts.append(_text(LEFT - 30, _y(cost) + 4, str(cost)))
    parts += [_text(_x(count) - 8, BOTTOM + 18, str(count)) for count in COUNTS]
    curves = []
    for label, (color, name) in CURVES.items():
        names = [name.format(count) for count in COUNTS]
        costs = [median(median(run[one]) for run in runs) * 1e6 for one in names]
        curves.append((costs, label.format(costs[-1]), color))
    lowest = float("inf")
    for costs, label, color in sorted(curves, key=lambda curve: curve[0][-1]):
        points = zip(map(_x, COUNTS), map(_y, costs), strict=True)
        # Labels must not overlap
        lowest = min(_y(costs[-1]) + 4, lowest - 14)
        parts += [_line([*points], color), _text(RIGHT, lowest, label, color)]
    return "\n".join([*parts, "</svg>\n"])


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


def _text(x: float, y: float, text: str, color: str = "#333333") -> str:
    """Return a text that begins at a position."""
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{color}">{text}</text>'
