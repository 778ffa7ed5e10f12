"""Test that scripts print their usage on a machine without any environment."""

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
    """Return a copy of the repository in which no environment can be created."""
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
    """Run a script with an empty home folder, and check that it stays empty."""
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
        # Ends what hangs: on an idle machine it takes a fraction of a second
        timeout=300,
        check=False,
    )
    assert not list(home.iterdir())
    return done


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("argument", ["--help", "-h"])
def test_help(checkout: Path, script: str, argument: str) -> None:
    """Help is printed at once."""
    done = run(checkout, script, argument)
    assert done.stdout.startswith(f"usage: scripts/{script} ")
    assert (done.stderr, done.returncode) == ("", 0)


# `scripts/test` passes unknown arguments to pytest
@pytest.mark.parametrize("script", [name for name in SCRIPTS if name != "test"])
def test_wrong_argument(checkout: Path, script: str) -> None:
    """A wrong argument is reported at once."""
    done = run(checkout, script, "--no-such-argument")
    assert done.stderr.startswith(f"usage: scripts/{script} ")
    assert (done.stdout, done.returncode) == ("", 2)
