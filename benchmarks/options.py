"""The command line of the benchmark. Must run alone and on Python 3.11, before the setup."""

import argparse
from collections.abc import Sequence
from pathlib import Path

DESCRIPTION = """\
Measure what the integration costs, each figure beside its baseline on the same frames in the same
round, on this machine's Python. A figure is the median of the rounds. Ends with an error where a goal
is missed by more than a fifth."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=DESCRIPTION, allow_abbrev=False
    )
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--save", type=Path, help="write what was measured to a file")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="PAGE",
        help="measure nothing: put the table of some saved runs into a page, and the plot beside it",
    )
    parser.add_argument("--profile", action="store_true", help="where the time goes")
    parser.add_argument("runs", type=Path, nargs="*", help="for --write: saved runs")
    return parser.parse_args(arguments)
