"""The command line of the benchmark. Runs before the set-up too, so on Python 3.11 and alone."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DESCRIPTION = """\
Measure what the integration costs, each figure beside its baseline on the same frames in the same
round, on this machine's Python. What counts is the CPU time of the client's process. A figure is the
median of the rounds, with the lowest and the highest; a ratio is that of each round."""


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    rounds: int = 3
    json: bool = False
    profile: bool = False
    plot: Path | None = None


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--rounds", type=int, default=Options.rounds, help="default: %(default)s"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="one round, and where its time went; the figures of such a round are worth little",
    )
    parser.add_argument("--plot", type=Path, help="draw cost against accounts, as SVG")
    return Options(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    parse()
