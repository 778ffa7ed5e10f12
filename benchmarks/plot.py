"""Draw what an event costs against the number of accounts, as a small SVG."""

from collections.abc import Iterable
from math import log10
from statistics import median

from .peers import COUNTS
from .runs import Samples

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 30, 50
COSTS = (1, 10, 100, 1000)
"""Microseconds, on the axis that goes up."""


def draw(samples: Samples) -> str:
    """Return the plot."""
    curves = {
        "a change, states written": (
            "#c0392b",
            [f"metaapi change {count}" for count in COUNTS],
        ),
        "unchanged status": ("#2471a3", [f"ours flood {count}" for count in COUNTS]),
    }
    levels = {
        "MetaApi's SDK": ("#7f8c8d", "sdk flood 1"),
        "python-socketio 5": ("#7f8c8d", "library flood 1"),
        "raw aiohttp + orjson": ("#7f8c8d", "raw flood 1"),
    }
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, TOP - 12, "CPU time of one event, µs"),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "accounts", "middle"),
    ]
    for mark in COSTS:
        parts += [
            _line([(LEFT, _y(mark)), (WIDTH - RIGHT, _y(mark))], "#dddddd"),
            _text(LEFT - 8, _y(mark) + 4, str(mark), "end"),
        ]
    parts += [
        _text(_x(count), HEIGHT - BOTTOM + 18, str(count), "middle") for count in COUNTS
    ]
    for label, (color, name) in levels.items():
        cost = _micro(samples, name)
        parts += [
            _line([(LEFT, _y(cost)), (WIDTH - RIGHT, _y(cost))], color, "4 4"),
            _text(WIDTH - RIGHT + 8, _y(cost) + 4, f"{label}: {cost:.1f}", color=color),
        ]
    for label, (color, names) in curves.items():
        costs = [_micro(samples, name) for name in names]
        points = [
            (_x(count), _y(cost)) for count, cost in zip(COUNTS, costs, strict=True)
        ]
        parts += [
            _line(points, color, width=2),
            *(
                f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3.5" fill="{color}"/>'
                for x, y in points
            ),
            _text(
                WIDTH - RIGHT + 8,
                points[-1][1] + 4,
                f"{label}: {costs[-1]:.1f}",
                color=color,
            ),
        ]
    return "\n".join([*parts, "</svg>\n"])


def _micro(samples: Samples, name: str) -> float:
    """Return a figure in microseconds."""
    return median(samples[name]) * 1e6


def _x(count: int) -> float:
    """Return where a number of accounts is."""
    share = log10(count / COUNTS[0]) / log10(COUNTS[-1] / COUNTS[0])
    return LEFT + 30 + share * (WIDTH - LEFT - RIGHT - 60)


def _y(cost: float) -> float:
    """Return where a cost is."""
    share = log10(cost / COSTS[0]) / log10(COSTS[-1] / COSTS[0])
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _text(
    x: float, y: float, text: str, anchor: str = "start", color: str = "#333333"
) -> str:
    """Return a text."""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{color}">{text}</text>'


def _line(
    points: Iterable[tuple[float, float]], color: str, dash: str = "", width: int = 1
) -> str:
    """Return a line through some points."""
    path = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
    return (
        f'<polyline points="{path}" fill="none" stroke="{color}" '
        f'stroke-width="{width}" stroke-dasharray="{dash}"/>'
    )
