"""What a developer runs says how to use it, on a machine that has nothing yet."""

import os
from pathlib import Path
import shutil
import subprocess

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(
    path.name
    for path in (ROOT / "scripts").iterdir()
    if path.is_file() and os.access(path, os.X_OK)
)


@pytest.fixture(name="checkout", scope="module")
def checkout_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what is ours, where no environment can be made."""
    checkout = tmp_path_factory.mktemp("checkout")
    for folder in ("benchmarks", "scripts", "tests"):
        shutil.copytree(
            ROOT / folder,
            checkout / folder,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    (checkout / ".venvs").touch()
    return checkout


def run(checkout: Path, script: str, argument: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a home that is empty, and stays so."""
    home = checkout / "home"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [checkout / "scripts" / script, argument],
        env={
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        # A fraction of a second, where the machine has nothing else to do
        timeout=15,
        check=False,
    )
    assert not list(home.iterdir())
    return done


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("argument", ["--help", "-h"])
def test_help(checkout: Path, script: str, argument: str) -> None:
    """Help is there at once."""
    done = run(checkout, script, argument)
    assert done.stdout.startswith(f"usage: scripts/{script} ")
    assert (done.stderr, done.returncode) == ("", 0)


# What it does not know is for pytest
@pytest.mark.parametrize("script", [name for name in SCRIPTS if name != "test"])
def test_wrong_argument(checkout: Path, script: str) -> None:
    """A wrong argument is told at once."""
    done = run(checkout, script, "--no-such-argument")
    assert done.stderr.startswith(f"usage: scripts/{script} ")
    assert (done.stdout, done.returncode) == ("", 2)
