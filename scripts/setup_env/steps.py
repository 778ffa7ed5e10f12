"""Run the steps of a set-up: tell what happens, keep a log, explain a failure."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
import fcntl
import os
from pathlib import Path
import re
import ssl
import subprocess
import time

ROOT = Path(__file__).resolve().parents[2]
VENVS = ROOT / ".venvs"
LOGS = VENVS / "logs"

TAIL_LINES = 20

# An environment that is active in the caller's shell must not leak into ours.
_FOREIGN = {"CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"}


class SetupError(Exception):
    """A set-up cannot go on; the text says why and what to do."""


class CommandError(Exception):
    """A command failed, took too long or does not exist."""


class Step:
    """One step of a set-up, with its log."""

    def __init__(self, log: Path) -> None:
        """Start an empty log."""
        self.log = log
        self.outcome = "done"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")

    def run(
        self,
        *args: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        timeout: float = 1800,
    ) -> None:
        """Run a command, its output going to the log."""
        with self.log.open("a") as log:
            log.write(f"$ {' '.join(map(str, args))}\n")
            log.flush()
            try:
                result = subprocess.run(
                    args,
                    cwd=cwd,
                    env=environ(env),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    timeout=timeout,
                    check=False,
                )
            except subprocess.TimeoutExpired as err:
                raise CommandError(f"no end after {timeout:.0f} s") from err
            except OSError as err:
                raise CommandError(str(err)) from err
        if result.returncode:
            raise CommandError(f"{Path(args[0]).name} ended with {result.returncode}")

    def tail(self) -> str:
        """Return the last command in the log and the last lines that it printed."""
        lines = self.log.read_text(errors="replace").splitlines()
        starts = [at for at, line in enumerate(lines) if line.startswith("$ ")]
        lines = lines[starts[-1] :] if starts else lines
        shown = [*lines[:1], *lines[1:][-TAIL_LINES:]]
        return "\n".join(f"    {line}" for line in shown)


@contextmanager
def step(title: str, advice: str) -> Iterator[Step]:
    """Tell of a step and how long it took; turn its failure into advice."""
    slug = re.sub(r"[^a-z0-9.]+", "-", title.partition(" (")[0].lower())
    current = Step(LOGS / f"{slug}.log")
    print(f"  {title} ... ", end="", flush=True)
    start = time.monotonic()
    try:
        yield current
    except CommandError as err:
        print(f"failed ({time.monotonic() - start:.1f} s)", flush=True)
        raise SetupError(
            f"{title}: {err}\n{current.tail()}\n"
            f"  What to do: {advice} Then run this again; it goes on from here.\n"
            f"  The whole log: {current.log}"
        ) from err
    except BaseException:
        print(flush=True)
        raise
    print(f"{current.outcome} ({time.monotonic() - start:.1f} s)", flush=True)


def environ(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that a command of ours gets."""
    kept = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
    return _trust() | kept | dict(extra or {})


def _trust() -> dict[str, str]:
    """Let uv and Node trust the certificates that the machine trusts, as pip does."""
    paths = ssl.get_default_verify_paths()
    trust: dict[str, str] = {}
    if paths.cafile or paths.capath:
        trust["UV_SYSTEM_CERTS"] = "true"
    bundle = Path(paths.cafile or "/etc/ssl/certs/ca-certificates.crt")
    if bundle.is_file():
        trust["NODE_EXTRA_CA_CERTS"] = str(bundle)
    return trust


def ask(*args: str | Path, timeout: float = 20) -> str | None:
    """Return what a command prints, or None when it fails."""
    try:
        result = subprocess.run(
            args,
            cwd=ROOT,
            env=environ({"UV_PYTHON_DOWNLOADS": "never"}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if result.returncode else result.stdout.strip()


@contextmanager
def locked() -> Iterator[None]:
    """Let one set-up at a time work in this checkout."""
    VENVS.mkdir(exist_ok=True)
    with (VENVS / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up works in this checkout; waiting for it.", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_stamped(folder: Path, stamp: str) -> bool:
    """Tell whether a folder was finished, and from just this."""
    try:
        return (folder / ".stamp").read_text() == stamp
    except OSError:
        return False


@contextmanager
def stamping(folder: Path, stamp: str) -> Iterator[None]:
    """Mark a folder as unfinished until the work on it is done."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".stamp").unlink(missing_ok=True)
    yield
    (folder / ".stamp").write_text(stamp)
