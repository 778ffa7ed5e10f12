"""What the set-up and the test runner decide: which environments, and where Python comes from."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import platform
import sys

import pytest

from scripts.run_tests import (
    CLIENT_ONLY,
    PEERS,
    Job,
    run_and_report,
    selected,
    whole_runs,
)
from scripts.setup_env import environments, python314
from scripts.setup_env.steps import CommandError, SetupError, run, step

DEBIAN = {"ID": "debian", "VERSION_CODENAME": "bookworm", "PRETTY_NAME": "Debian 12"}


@pytest.mark.parametrize(
    ("arguments", "needs"),
    [
        (["tests/api/test_token.py"], ("lowest",)),
        (["tests/api/test_token.py::test_one", "-k", "ping"], ("lowest",)),
        (["tests/api", "tests/peers"], ("lowest", *PEERS)),
        (["tests/test_button.py"], ("pinned",)),
        (["tests/api", "tests/test_button.py"], ("pinned",)),
        (["tests"], ("pinned", *PEERS)),
        (["-k", "ping"], ("pinned", *PEERS)),
    ],
)
def test_a_selection_needs_no_more_than_it_runs(
    arguments: list[str], needs: tuple[str, ...]
) -> None:
    """One test of the client needs no Home Assistant, and one of a button no Node."""
    job = selected(arguments, None)
    assert job.needs == needs
    ((*_, last),) = job.commands
    assert last == arguments[-1]
    assert (CLIENT_ONLY[0] in job.commands[0]) is (needs[0] == "lowest")


def test_a_person_may_choose_the_environment() -> None:
    """A test of the client runs beside Home Assistant where that is asked for."""
    assert selected(["tests/api"], "floor").needs == ("floor",)


def test_whatever_runs_exists() -> None:
    """Every job runs in an environment that the set-up can make, and finds its tests."""
    jobs = [*whole_runs(None, every=False), *whole_runs(None, every=True)]
    jobs += whole_runs("canary", every=False)
    for job in jobs:
        assert set(job.needs) <= set(environments.ENVIRONMENTS)
        for command in job.commands:
            for argument in command:
                path = argument.removeprefix("--ignore=")
                assert not path.startswith("tests/") or Path(path).exists()


def job(*scripts: str) -> Job:
    """Return a job that runs scripts."""
    return Job("some", tuple((sys.executable, "-c", script) for script in scripts), ())


def test_a_failed_job_shows_everything_and_its_assertions_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The summary at the end says which assertion failed; what comes after a failure does not run."""
    failing = "print('why'); print('FAILED tests/a.py::b - assert 1 == 2'); exit(1)"
    told = run_and_report(job(failing, "print('never')"))
    assert told.startswith("FAILED ")
    assert told.endswith("\n      FAILED tests/a.py::b - assert 1 == 2")
    printed = capsys.readouterr().out
    assert "\nwhy\n" in printed
    assert "never" not in printed


def test_a_job_that_passed_shows_its_last_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """That is how many tests there were."""
    assert run_and_report(job("print('much'); print('2 passed')")).startswith("passed ")
    assert capsys.readouterr().out == "\n===== some: passed\n2 passed\n"


@pytest.mark.parametrize(
    "system",
    [
        {"ID": "ubuntu", "ID_LIKE": "debian", "PRETTY_NAME": "Ubuntu 24.04 LTS"},
        {"ID": "fedora", "PRETTY_NAME": "Fedora Linux 43"},
    ],
)
def test_other_systems_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, system: dict[str, str]
) -> None:
    """Where Debian's packages would not fit, the set-up says so and what to do."""
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: system)
    with pytest.raises(SetupError) as caught:
        python314._refuse_other_systems()
    assert system["PRETTY_NAME"] in str(caught.value)
    assert "install Python 3.14.2 or newer" in str(caught.value)


def test_debian_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its packages are the other way."""
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: DEBIAN)
    python314._refuse_other_systems()


@pytest.mark.parametrize(
    ("listed", "mirror"),
    [
        ("bookworm-updates http://a/\nbookworm http://b/\n", "http://b/"),
        ("jammy http://other/\nstable http://c/\n", "http://c/"),
    ],
)
def test_the_mirror_is_the_machine_s_own(
    monkeypatch: pytest.MonkeyPatch, listed: str, mirror: str
) -> None:
    """Of the sources that apt knows, the one with the machine's release is taken."""
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: DEBIAN)
    monkeypatch.setattr(python314, "run", lambda *args: listed)
    assert python314._mirror() == mirror


def test_no_source_of_debian(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with the sources of others only is told."""
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: DEBIAN)
    monkeypatch.setattr(python314, "run", lambda *args: "noble http://other/\n")
    with pytest.raises(CommandError, match="no package source"):
        python314._mirror()


def test_a_failed_step_shows_the_command_its_end_and_what_to_do() -> None:
    """No log has to be looked for."""
    script = "print('early'); print('why', flush=True); raise SystemExit(3)"
    with (
        pytest.raises(SetupError) as caught,
        step("Trying", "do something else."),
    ):
        run("python3", "-c", script)
    told = str(caught.value)
    assert told.startswith("Trying: `python3 -c")
    assert "\n    why\n" in told
    assert "What to do: do something else. Then run this again" in told


@pytest.fixture(name="made")
def made_fixture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Return what environments were made, without making them."""
    made: list[str] = []

    def make(name: str, *_: object) -> None:
        made.append(name)
        python = tmp_path / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch()

    @contextmanager
    def quiet_step(*_: str) -> Iterator[None]:
        yield

    monkeypatch.setattr(environments, "VENVS", tmp_path)
    monkeypatch.setattr(environments, "_make", make)
    monkeypatch.setattr(environments, "step", quiet_step)
    monkeypatch.setattr(python314, "get_uv", lambda pin: Path("uv"))
    monkeypatch.setattr(python314, "get_python", lambda uv, pin: Path("python"))
    return made


def test_an_environment_is_made_once(made: list[str], tmp_path: Path) -> None:
    """What is finished and up to date is not touched; what lost its Python is made again."""
    environments.ensure(["lowest", "sdk"])
    environments.ensure(["lowest"])
    assert made == ["lowest", "sdk"]
    (tmp_path / "sdk" / "bin" / "python").unlink()
    (tmp_path / "sdk" / "bin").rmdir()
    environments.ensure(["lowest", "sdk"])
    assert made == ["lowest", "sdk", "sdk"]


def test_a_changed_pin_makes_an_environment_again(
    made: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An environment is made from the groups as they are now."""
    project = tmp_path / "pyproject.toml"
    project.write_text(environments.PYPROJECT.read_text())
    monkeypatch.setattr(environments, "PYPROJECT", project)
    environments.ensure(["lowest"])
    project.write_text(project.read_text().replace("pytest==", "pytest==1."))
    with pytest.raises(FileExistsError):  # by the stand-in above, which makes it again
        environments.ensure(["lowest"])
    assert made == ["lowest", "lowest"]


def test_a_command_that_hangs_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that never ends would tell nobody what failed."""
    monkeypatch.setattr("scripts.run_tests.MOST_SECONDS", 0.2)
    job = Job("hangs", ((sys.executable, "-c", "import time; time.sleep(60)"),), ())
    assert run_and_report(job).startswith("FAILED")
    assert "still running after" in capsys.readouterr().out
