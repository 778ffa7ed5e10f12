"""The command line of the demo. Runs before the set-up too, so on Python 3.11 and alone."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

DESCRIPTION = """\
Start a real Home Assistant with the integration, from a configuration that is thrown
away at the end, and a simulator of MetaApi with accounts in different conditions.
Ctrl-C ends all of it."""


@dataclass
class Options:
    """What was asked for."""

    port: int | None = None
    live: bool = False
    check: bool = False
    empty: bool = False
    """A Home Assistant that does not even have the integration; not on the command line."""

    @property
    def kind(self) -> str:
        """Return the folder of what Home Assistant is configured with."""
        return "live" if self.live else "empty" if self.empty else "simulated"


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    port = "port of Home Assistant (default: 8123, or a free one if that is taken)"
    parser.add_argument("--port", type=_port, metavar="N", help=port)
    kind = parser.add_mutually_exclusive_group()
    live = "no simulator: you add the integration yourself, with your MetaApi token"
    kind.add_argument("--live", action="store_true", help=live)
    check = "check by itself that the demo works, and end"
    kind.add_argument("--check", action="store_true", help=check)
    return parser.parse_args(arguments, Options())


def _port(text: str) -> int:
    number = int(text)
    if not 0 < number < 65536:
        raise argparse.ArgumentTypeError("must be 1 to 65535")
    return number
