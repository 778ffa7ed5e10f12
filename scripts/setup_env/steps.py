"""Run the steps of a set-up, with progress and advice for failures."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
import os
from pathlib import Path
import ssl
import subprocess
import time

ROOT = Path(__file__).resolve().parents[2]
VENVS = ROOT / ".venvs"

# The caller's active environment must not affect ours.
_FOREIGN = {"CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"}


class SetupError(Exception):
    """A set-up cannot continue; the message gives the reason and advice."""


class CommandError(Exception):
    """A command failed or does not exist; the message has the end of its output."""


@contextmanager
def step(title: str, advice: str) -> Iterator[None]:
    """Print a step and its duration; add advice if a command fails."""
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
    """Run a command and return its output."""
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
    # Let uv and Node trust the machine's certificates, as pip does
    paths = ssl.get_default_verify_paths()
    trust = {"UV_SYSTEM_CERTS": "true"} if paths.cafile or paths.capath else {}
    bundle = Path(paths.cafile or "/etc/ssl/certs/ca-certificates.crt")
    if bundle.is_file():
        trust["NODE_EXTRA_CA_CERTS"] = str(bundle)
    kept = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
    return trust | kept | dict(extra or {})
