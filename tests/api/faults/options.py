"""The command line of the chaos run. Runs before the set-up too, so on Python 3.11 and alone."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    faults: int = 200
    minutes: float = 0.0


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Random faults, and what they did to the client.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--seeds",
        type=_numbers,
        default=Options.seeds,
        help="seeds with commas between (default: 1,2,3,4,5)",
    )
    parser.add_argument(
        "--faults",
        type=int,
        default=Options.faults,
        help="faults of each run (default: %(default)s)",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=Options.minutes,
        help="go on with further seeds for so many minutes",
    )
    return Options(**vars(parser.parse_args(arguments)))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


if __name__ == "__main__":
    parse()
