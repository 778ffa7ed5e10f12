"""Run the set-up from the command line."""

import argparse
import sys

from .environments import DEFAULT, ENVIRONMENTS, ensure
from .steps import SetupError


def main() -> int:
    """Make the environments that were asked for."""
    listing = "\n".join(
        f"  {environment.name:8} {environment.purpose}"
        for environment in ENVIRONMENTS.values()
    )
    parser = argparse.ArgumentParser(
        prog="scripts/setup",
        description="Make environments below .venvs, or update those that are outdated.",
        epilog=f"environments:\n{listing}\n\nWithout arguments: {', '.join(DEFAULT)}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("environment", nargs="*", help="one of those below, or all")
    names = parser.parse_args().environment or DEFAULT
    if unknown := set(names) - {*ENVIRONMENTS, "all"}:
        parser.error(f"no such environment: {', '.join(sorted(unknown))}")
    try:
        ensure(ENVIRONMENTS if "all" in names else names)
    except SetupError as err:
        print(f"\n{err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the next set-up goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
