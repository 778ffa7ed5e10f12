"""The command line of the trace. Runs before the set-up too, so on Python 3.11 and alone."""

import argparse
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
DESCRIPTION = """\
Count what an event passes on its way through the client: functions, files, and changes
of file. A function counts once a scene, however often it is called; a change of file is
a call that comes after one of another file."""


def parse(arguments: Sequence[str] | None = None) -> Path:
    """Read the command line; return the checkout to trace."""
    parser = argparse.ArgumentParser(
        prog="scripts/trace",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--tree",
        type=Path,
        default=ROOT,
        help="another checkout, to compare with (default: this one)",
    )
    tree: Path = parser.parse_args(arguments).tree.resolve()
    return tree
