"""The command line of the trace. Runs before the set-up too, so on Python 3.11 and alone."""

import argparse
from pathlib import Path

DESCRIPTION = """\
Count what an event passes on its way through the client: functions, files, and changes
of file. A function counts once a scene, however often it is called; a change of file is
a call that comes after one of another file."""


def parse() -> Path:
    """Read the command line; return the checkout to trace."""
    parser = argparse.ArgumentParser(
        prog="scripts/trace",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--tree",
        type=Path,
        default=Path(__file__).parents[1],
        help="another checkout, to compare with (default: this one)",
    )
    tree: Path = parser.parse_args().tree.resolve()
    return tree


if __name__ == "__main__":
    parse()
