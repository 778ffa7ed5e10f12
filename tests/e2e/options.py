"""The command line of the end-to-end test. Must run alone and on Python 3.11, before the setup."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.setup_env.steps import VENVS

DESCRIPTION = "Walk through all that people do with the integration, in a real browser."


@dataclass
class Options:
    """The parsed command line."""

    to: Path = VENVS / "e2e"
    images: bool = False
    count: bool = False
    draw: int = 0


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/e2e", description=DESCRIPTION, allow_abbrev=False
    )
    to = f"where the screenshots go (default: {Options.to})"
    parser.add_argument("--to", type=Path, metavar="FOLDER", help=to)
    images = "write those that the documentation shows to docs/images as well"
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--images", action="store_true", help=images)
    count = "count the clicks and minutes from an empty Home Assistant to dashboard and alarm"
    kind.add_argument("--count", action="store_true", help=count)
    draw = (
        "measure how long the browser takes to draw the dashboard of so many accounts"
    )
    kind.add_argument("--draw", type=int, metavar="N", help=draw)
    return parser.parse_args(arguments, Options())
