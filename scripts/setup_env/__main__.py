"""Set up environments from the command line."""

import argparse

from .become import set_up
from .environments import ENVIRONMENTS

# The environments of `scripts/test` and `scripts/demo`
DEFAULT = ("pinned", "lowest", "sdk", "node", "demo")


def main() -> None:
    """Create the environments on the command line."""
    listing = "".join(f"  {name:8} {aim}\n" for name, aim in ENVIRONMENTS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/setup",
        description="Create environments below .venvs, or update outdated ones.",
        epilog=f"environments:\n{listing}\nWithout arguments: {', '.join(DEFAULT)}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("environment", nargs="*", help="one of the list below, or all")
    names = parser.parse_args().environment or DEFAULT
    if unknown := set(names) - {*ENVIRONMENTS, "all"}:
        parser.error(f"no such environment: {', '.join(sorted(unknown))}")
    set_up(*(ENVIRONMENTS if "all" in names else names))


if __name__ == "__main__":
    main()
