"""Test the doctor's process with a simulator process."""

from collections.abc import Iterator
from dataclasses import dataclass
import json
import os
from pathlib import Path
import pty
import subprocess
import sys
from typing import Any
import urllib.request

import pytest

from scripts.doctor_lib.options import parse
from scripts.doctor_lib.reconnects import Form, forms
from scripts.doctor_lib.report import POINTS, Report, Verdict, seconds
from simulator import make_jwt

ROOT = Path(__file__).parents[1]
TOKEN = make_jwt(owner="0123456789abcdef0123456789abcdef")
QUICK = ("--watch", "1", "--patience", "1")


@dataclass
class Sim:
    """A simulator in another process."""

    url: str
    accounts: list[dict[str, Any]]

    @property
    def id(self) -> str:
        """Return the id of the account that is up."""
        account_id: str = self.accounts[0]["id"]
        return account_id

    def control(self, path: str, body: Any = None) -> Any:
        """Call the control API."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.url}/simulator/{path}", data) as response:
            return json.load(response)

    @property
    def reconnects(self) -> int:
        """Return how often the account was reconnected."""
        count: int = self.control("state")["accounts"][0]["reconnects"]
        return count


@pytest.fixture(name="served", scope="module")
def served_fixture() -> Iterator[Sim]:
    """Run a simulator for all tests in this module."""
    command = [sys.executable, "-m", "simulator", "--json", "--token", TOKEN]
    command += ["--status-interval", "0.2", "--reconnect-delay", "0.1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            printed = json.loads(process.stdout.readline())
            yield Sim(printed["url"], printed["accounts"])
        finally:
            process.terminate()


@pytest.fixture(name="sim")
def sim_fixture(served: Sim, socket_enabled: None) -> Iterator[Sim]:
    """Return the simulator, and restore its settings afterwards."""
    served.control("settings", {"subscribe_timeout": 0.1, "bad_token": "http401"})
    yield served
    served.control(f"accounts/{served.id}/reconnect_mode", {"mode": "accept"})
    served.control("rest", {"status": None})
    assert served.control("state")["sockets"] == []


def command_line(sim: Sim, *arguments: str) -> list[str]:
    """Return the doctor's command line."""
    doctor = [sys.executable, "-m", "scripts.doctor_lib", "--api-url", sim.url]
    return [*doctor, "--account", sim.id, *QUICK, *arguments]


def environment(token: str = TOKEN) -> dict[str, str]:
    """Return the doctor's environment variables."""
    return {**os.environ, "METAAPI_TOKEN": token}


def run(sim: Sim, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the doctor without a terminal."""
    return subprocess.run(
        command_line(sim, *arguments),
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def answer(sim: Sim, said: str) -> str:
    """Run the doctor in a terminal and answer its question; return its output."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, said.encode())
        return subprocess.run(
            command_line(sim),
            cwd=ROOT,
            env=environment(),
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        ).stdout
    finally:
        os.close(ours)
        os.close(theirs)


def verdicts(report: str) -> dict[str, str]:
    """Return the verdict of each point in a report."""
    rows = [line.split(" | ") for line in report.splitlines() if line.startswith("| ")]
    return {row[0].removeprefix("| "): row[3] for row in rows[2:]}


def test_everything(sim: Sim, tmp_path: Path) -> None:
    """Each point gets its verdict, and the output contains no secret."""
    before = sim.reconnects
    file = tmp_path / "report.md"
    done = run(sim, "--yes-reconnect", "--output", str(file))
    assert done.returncode == 0
    assert done.stderr == ""
    report = file.read_text()
    assert report in done.stdout
    found = verdicts(report)
    assert list(found) == list(POINTS)
    assert [key for key in found if found[key] == Verdict.OPEN] == ["no-streaming"]
    assert Verdict.DIFFERS not in found.values()
    assert {key for key in found if found[key] == Verdict.AS_ASSUMED} >= {
        "open-packet",
        "bad-token",
        "who-serves",
        "authenticated-fields",
        "status-interval",
        "error-unknown",
        "error-undeployed",
        "reconnect-forms",
        "reconnect-order",
    }
    assert sim.reconnects == before + 6
    for secret in (TOKEN, *(account["id"] for account in sim.accounts)):
        assert secret not in done.stdout


def test_without_rest_and_permission(sim: Sim) -> None:
    """Without REST the socket is still tested; without a terminal there is no permission."""
    before = sim.reconnects
    sim.control("rest", {"status": 403})
    done = run(sim)
    assert done.returncode == 0
    assert verdicts(done.stdout)["who-serves"] == Verdict.AS_ASSUMED
    assert "no permission was given" in done.stdout
    assert sim.reconnects == before


@pytest.mark.parametrize(("said", "reconnects"), [("yes\n", 6), ("y\n", 0)])
def test_asks_for_permission(sim: Sim, said: str, reconnects: int) -> None:
    """Only "yes" is a permission, and the question explains the effect."""
    before = sim.reconnects
    written = answer(sim, said)
    assert sim.reconnects == before + reconnects
    question = written.index("Type ")
    assert written.index("up to 6 reconnects, in different forms") < question
    assert written.index("restarts the account's terminal") < question
    assert question < written.index("REST: the account")


def test_differences(sim: Sim) -> None:
    """A difference is marked, and a token that the server repeats is redacted."""
    sim.control(
        f"accounts/{sim.id}/reconnect_mode",
        {"mode": "refuse", "error": "ForbiddenError", "details": f"<b>|{TOKEN}"},
    )
    done = run(sim, "--yes-reconnect")
    found = verdicts(done.stdout)
    assert found["reconnect-forms"] == Verdict.DIFFERS
    assert "details '&lt;b>\\|**REDACTED**'" in done.stdout
    assert TOKEN not in done.stdout


@pytest.mark.parametrize(
    ("form", "printed"),
    [
        ("close", "HandshakeEndedError"),
        ("processing_error", "then `subscribe` got `UnauthorizedError`"),
    ],
)
def test_refusals_of_a_wrong_token(sim: Sim, form: str, printed: str) -> None:
    """The report shows how the token was refused."""
    sim.control("settings", {"bad_token": form})
    done = run(sim, "--no-reconnect")
    assert done.returncode == 0
    assert printed in done.stdout


@pytest.mark.parametrize(
    ("arguments", "token", "printed"),
    [
        (["--account", "x"], "", "no token: METAAPI_TOKEN is not set"),
        ([], TOKEN, "name the account with --account"),
        ([], "wrong", "name one with --account"),
        (["--api-url", "http://example.org"], TOKEN, "plain http to a public host"),
    ],
    ids=["no token", "many accounts", "wrong token", "plain http"],
)
def test_missing_input(
    sim: Sim, arguments: list[str], token: str, printed: str
) -> None:
    """The doctor prints what is missing, and sends no request."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.doctor_lib", "--api-url", sim.url, *arguments],
        cwd=ROOT,
        env=environment(token),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2
    assert printed in done.stderr


def test_help() -> None:
    """The help works without a set-up."""
    done = subprocess.run(
        [ROOT / "scripts" / "doctor", "--help"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "METAAPI_TOKEN" in done.stdout


def test_checklist() -> None:
    """The page and the doctor have the same points."""
    page = (ROOT / "docs" / "live-checklist.md").read_text()
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line[:1] == "|"]
    assert [row.strip("`") for row in rows[2:]] == list(POINTS)


def test_forms() -> None:
    """The client's two forms come first; there are eighteen in total."""
    few = forms(["zone a", "region", "global"], every=False)
    assert few[:2] == [
        Form("zone a", "3", subscribed=True),
        Form("global", None, subscribed=False),
    ]
    assert {form.protocol for form in few} == {"3", "2", None}
    assert {form.place for form in few} == {"zone a", "region", "global"}
    assert len(few) == 5
    assert len(set(forms(["zone a", "region", "global"], every=True))) == 18
    assert len(forms(["base"], every=False)) == 4
    assert str(few[1]) == "global URL, protocol absent, without subscribe"


def test_report() -> None:
    """A difference is final, duplicate findings are merged, and ids become names."""
    report = Report("about s3cr3t", ["s3cr3t"], {"id-1": "account 1"})
    report.judge("polling", expected=True)
    report.judge("polling", expected=False)
    report.judge("polling", expected=True)
    report.note("polling", "id-1\nsaid s3cr3t")
    report.note("polling", "id-1\nsaid s3cr3t")
    assert report.found["polling"] == ["account 1 said **REDACTED**"]
    assert report.verdict("polling") is Verdict.DIFFERS
    text = report.markdown()
    assert "about **REDACTED**" in text
    assert f"{len(POINTS)} points: 0 as assumed, 1 differs" in text


def test_seconds() -> None:
    """Durations are shown as minimum, maximum and median."""
    assert seconds([]) == "none"
    assert seconds([3, 1, 2]) == "1.00 to 3.00 s, middle 2.00 s, 3 in all"


@pytest.mark.parametrize("value", ["0", "-1", "3601", "nan", "soon"])
def test_invalid_options(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Durations have limits."""
    with pytest.raises(SystemExit):
        parse(["--watch", value])
    assert "--watch" in capsys.readouterr().err
