"""Find a Python that Home Assistant runs on, or get one."""

from functools import cache
import os
from pathlib import Path
import shutil
import sys

from . import debian
from .groups import requirements
from .steps import VENVS, CommandError, SetupError, ask, step

WANTED = ">=3.14.2,<3.15"
SERIES = "3.14"

# What the set-up itself runs on.
BEGINNER = Path(sys.executable)

_RECORD = VENVS / "interpreter"
_OLDEST_UV = (0, 8)

_PROBE = """\
import sys, sysconfig
import ctypes, sqlite3, ssl
good = (3, 14, 2) <= sys.version_info < (3, 15)
if not good or sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit(1)
print(getattr(sys, "_base_executable", sys.executable))
"""

_PYTHON_ADVICE = (
    f"install Python {SERIES} (3.14.2 or newer) so that `python{SERIES}` is on the "
    "PATH, or let the download above through."
)
_UV_ADVICE = (
    "see that pip works (`python3 -m pip download uv`), or install uv so that it "
    "is on the PATH."
)


def recorded() -> Path | None:
    """Return the interpreter that an earlier set-up settled on, if it still is there."""
    try:
        path = Path(_RECORD.read_text().strip())
    except OSError:
        return None
    if path == debian.PYTHON and not debian.is_made():
        return None
    return path if os.access(path, os.X_OK) else None


def find_or_get() -> Path:
    """Return a suitable interpreter: one that is here, else a downloaded one."""
    path = recorded() or _find() or _download()
    _RECORD.write_text(f"{path}\n")
    return path


@cache
def uv() -> Path:
    """Return uv: the one on the PATH, else one of our own."""
    found = shutil.which("uv")
    if found and _is_recent(found):
        return Path(found)
    folder = VENVS / "uv"
    own = folder / "bin" / "uv"
    wanted = requirements("bootstrap")
    if _version(own) == wanted[0].partition("==")[2]:
        return own
    shutil.rmtree(folder, ignore_errors=True)
    with step(f"Installing {wanted[0]}", _UV_ADVICE) as current:
        pip = ("-m", "pip", "install", "--quiet", "--retries", "2")
        try:
            current.run(sys.executable, "-m", "venv", folder)
        except CommandError:
            # Some systems ship a Python that can make no environment with pip in it.
            shutil.rmtree(folder, ignore_errors=True)
            current.run(sys.executable, *pip, "--target", folder, *wanted)
        else:
            current.run(folder / "bin" / "python", *pip, *wanted)
    return own


def _version(path: str | Path) -> str:
    words = (ask(path, "--version") or "").split()
    return words[1] if len(words) > 1 else ""


def _is_recent(path: str) -> bool:
    try:
        major, minor = map(int, _version(path).split(".")[:2])
    except ValueError:
        return False
    return (major, minor) >= _OLDEST_UV


def _probe(path: str | Path | None) -> Path | None:
    """Return the real interpreter behind a command, if it is good enough."""
    answer = ask(path, "-c", _PROBE) if path else None
    return Path(answer) if answer else None


def _find() -> Path | None:
    if debian.is_made():
        return debian.PYTHON
    for name in (f"python{SERIES}", "python3"):
        if path := _probe(shutil.which(name)):
            return path
    return _find_by_uv()


def _find_by_uv() -> Path | None:
    return _probe(ask(uv(), "python", "find", "--system", "--no-project", WANTED))


def _download() -> Path:
    with step(f"Downloading Python {SERIES}", _PYTHON_ADVICE) as current:
        try:
            # No retries: where there is no way out, each costs seconds.
            current.run(
                uv(),
                "python",
                "install",
                "--no-bin",
                SERIES,
                env={"UV_HTTP_RETRIES": "0", "UV_HTTP_CONNECT_TIMEOUT": "5"},
                timeout=300,
            )
        except CommandError:
            if not debian.is_possible():
                raise
            current.outcome = "not possible here"
    if path := _find_by_uv():
        return path
    if not debian.is_possible():
        raise SetupError(f"Python 3.14.2 or newer is missing.\n  {_PYTHON_ADVICE}")
    with step(
        f"Unpacking Python {SERIES} from Debian {debian.SUITE}", _PYTHON_ADVICE
    ) as current:
        debian.make(current, uv())
    return debian.PYTHON
