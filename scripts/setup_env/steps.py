"""Run the steps of a set-up: show progress, and explain a failure."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
import os
from pathlib import Path
import ssl
import subprocess
import time

ROOT = Path(__file__).resolve().parents[2]
VENVS = ROOT / ".venvs"

# An environment that is active in the caller's shell must not leak into ours.
_FOREIGN = {"CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"}


class SetupError(Exception):
    """A set-up cannot go on; the text says why and what to do."""


class CommandError(Exception):
    """A command failed or does not exist; the text has the end of its output."""


@contextmanager
def step(title: str, advice: str) -> Iterator[None]:
    """Print a step and how long it took; turn the failure of a command into advice."""
    print(f"  {title} ... ", end="", flush=True)
    start = time.monotonic()
    try:
        yield
    except CommandError as err:
        print("failed", flush=True)
        raise SetupError(
            f"{title}: {err}\n"
            f"What to do: {advice} Then run this again; it continues from here."
        ) from err
    print(f"done ({time.monotonic() - start:.1f} s)", flush=True)


def run(*args: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it printed."""
    try:
        result = subprocess.run(
            args,
            cwd=ROOT,
            env=environ(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            errors="replace",
            timeout=1800,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        raise CommandError(str(err)) from err
    if result.returncode:
        tail = result.stdout.splitlines()[-20:]
        command = " ".join(map(str, args))
        raise CommandError("\n    ".join([f"`{command}` failed:", *tail]))
    return result.stdout.strip()


def environ(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables for a command."""
    # uv and Node trust the certificates that the machine trusts, as pip does
    paths = ssl.get_default_verify_paths()
    trust = {"UV_SYSTEM_CERTS": "true"} if paths.cafile or paths.capath else {}
    bundle = Path(paths.cafile or "/etc/ssl/certs/ca-certificates.crt")
    if bundle.is_file():
        trust["NODE_EXTRA_CA_CERTS"] = str(bundle)
    kept = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
    return trust | kept | dict(extra or {})
