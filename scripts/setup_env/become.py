"""Set up environments, then replace this process by a module that runs in the first one.

Usage: python -m scripts.setup_env.become MODULE ENVIRONMENT... -- ARGUMENT...
"""

from importlib import import_module
import os
import sys

from .environments import ensure
from .steps import VENVS, SetupError


def set_up(*names: str) -> None:
    """Create environments; exit with the reason if that fails."""
    try:
        ensure(names)
    except SetupError as err:
        sys.exit(f"\n{err}")
    except KeyboardInterrupt:
        print("Interrupted; the next set-up continues from here.", file=sys.stderr)
        sys.exit(130)


def main() -> None:
    """Set up, then execute the module, so that signals reach it directly."""
    end = sys.argv.index("--")
    module, *environments = sys.argv[1:end]
    arguments = sys.argv[end + 1 :]
    # Parse first: --help and wrong arguments must not wait minutes for a set-up
    import_module(f"{module}.options").parse(arguments)
    set_up(*environments)
    # Cached bytecode makes later starts three times as fast; it stays outside of the sources
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(VENVS / "pycache")
    python = str(VENVS / environments[0] / "bin" / "python")
    os.execv(python, [python, "-m", module, *arguments])


if __name__ == "__main__":
    main()
