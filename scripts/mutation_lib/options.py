"""The command line; also runs before the set-up, so on Python 3.11 without packages."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

DESCRIPTION = """\
Run mutation tests on a copy of the client. Prints the survivors and a line per file;
docs/mutation.md explains which ones may survive."""


@dataclass
class Options:
    """The options of the mutation run."""

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
    add("--cores", type=int, help="how many mutants run at once (default: 1)")
    add(
        "--only",
        metavar="PATTERN",
        help="only mutants of functions with matching names",
    )
    least = "the score that each file needs (default: 95)"
    add("--least", type=float, metavar="PERCENT", help=least)
    return parser.parse_args(arguments, Options())
