"""The command line; also runs before the set-up, so on Python 3.11 without packages."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """The options of the chaos run."""

    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    faults: int = 200
    minutes: float = 0.0


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Test the client with random faults from seeds.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--seeds",
        type=_numbers,
        default=Options.seeds,
        help="comma-separated seeds (default: 1,2,3,4,5)",
    )
    parser.add_argument(
        "--faults",
        type=int,
        default=Options.faults,
        help="faults per seed (default: %(default)s)",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=Options.minutes,
        help="continue with further seeds for this time",
    )
    return Options(**vars(parser.parse_args(arguments)))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


if __name__ == "__main__":
    parse()
