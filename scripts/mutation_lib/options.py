"""The command line of the mutation run. Runs before the set-up too, so on Python 3.11 and alone."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

DESCRIPTION = """\
Break the client in a copy, bit by bit, and see whether the tests notice. Prints what
survived and a line for each file; docs/mutation.md says why it may."""


@dataclass
class Options:
    """What was asked for."""

    cores: int = 1
    only: str | None = None
    least: float = 95.0


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/mutation",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--cores", type=int, help="mutants that run at once (default: 1)")
    add("--only", metavar="PATTERN", help="only mutants of functions with such names")
    least = "the score that is enough for a file (default: 95)"
    add("--least", type=float, metavar="PERCENT", help=least)
    return parser.parse_args(arguments, Options())
