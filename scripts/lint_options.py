"""The command line of the lint. Runs before the set-up, so on Python 3.11 and alone."""

import argparse


def main() -> None:
    """Read the command line, which has nothing but its help."""
    argparse.ArgumentParser(
        prog="scripts/lint",
        description="Check style, format and types, in about a minute.",
    ).parse_args()


if __name__ == "__main__":
    main()
