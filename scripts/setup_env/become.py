"""Set up, then become a module that runs in an environment, so that signals reach it.

Usage: python -m scripts.setup_env.become MODULE ENVIRONMENT... -- ARGUMENT...
"""

from importlib import import_module
import os
import sys

from .environments import ensure
from .steps import VENVS, SetupError


def set_up(*names: str) -> None:
    """Make environments; exit with the reason if that fails."""
    try:
        ensure(names)
    except SetupError as err:
        sys.exit(f"\n{err}")
    except KeyboardInterrupt:
        print("Interrupted; the next set-up continues from here.", file=sys.stderr)
        sys.exit(130)


def main() -> None:
    """Give way to the module."""
    end = sys.argv.index("--")
    module, *environments = sys.argv[1:end]
    arguments = sys.argv[end + 1 :]
    # Neither help nor a wrong argument is worth the minutes of a set-up
    import_module(f"{module}.options").parse(arguments)
    set_up(*environments)
    # Compiled once, a later start takes a third of the time; no trace in the sources
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(VENVS / "pycache")
    python = str(VENVS / environments[0] / "bin" / "python")
    os.execv(python, [python, "-m", module, *arguments])


if __name__ == "__main__":
    main()
