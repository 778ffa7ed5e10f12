"""The command line of the demo. Runs before the set-up too, so on Python 3.11 and alone."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

DESCRIPTION = """\
Start a real Home Assistant with the integration, from a configuration that is thrown
away at the end, and a simulator of MetaApi with accounts in different conditions.
Ctrl-C ends all of it."""


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    port: int | None = None
    live: bool = False
    check: bool = False


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--port",
        type=port,
        metavar="N",
        help="port of Home Assistant (default: 8123, or a free one if that is taken)",
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--live",
        action="store_true",
        help="no simulator: you add the integration yourself, with your MetaApi token",
    )
    kind.add_argument(
        "--check",
        action="store_true",
        help="see by itself that the demo works, and end",
    )
    return Options(**vars(parser.parse_args(arguments)))


def port(text: str) -> int:
    """Read a port."""
    number = int(text)
    if not 0 < number < 65536:
        raise argparse.ArgumentTypeError("must be 1 to 65535")
    return number


if __name__ == "__main__":
    parse()
