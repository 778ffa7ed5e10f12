"""Set up, then become a module that runs in the demo's environment.

Runs on the Python that there is, 3.11 or newer.
"""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from scripts.setup_env import ENVIRONMENTS, VENVS, SetupError, ensure


def main() -> NoReturn:
    """Give way to the module, or tell why not."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        ensure(["demo"])
    except SetupError as err:
        sys.exit(f"\n{err}")
    except KeyboardInterrupt:
        print("Interrupted; the next set-up goes on from here.", file=sys.stderr)
        sys.exit(130)
    # Compiled once, a later start takes a third of the time; no trace in the sources.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(VENVS / "pycache")
    python = str(ENVIRONMENTS["demo"].python)
    os.execv(python, [python, "-m", *sys.argv[1:]])


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End a command in progress, as Ctrl-C would."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
