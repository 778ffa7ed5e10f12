"""The command line of the end-to-end check. Runs before the set-up too, so on Python 3.11 and alone."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.setup_env.steps import VENVS


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    to: Path = VENVS / "e2e"
    images: bool = False


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/e2e",
        description="Walk through all that people do with the integration, in a real browser.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--to",
        type=Path,
        default=Options.to,
        metavar="FOLDER",
        help="where the screenshots go (default: %(default)s)",
    )
    parser.add_argument(
        "--images",
        action="store_true",
        help="write those that the documentation shows to docs/images as well",
    )
    return Options(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    parse()
