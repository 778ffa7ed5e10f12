"""The doctor, as a process, against the simulator as a process."""

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
        """Return the id of the account that is well."""
        account_id: str = self.accounts[0]["id"]
        return account_id

    def control(self, path: str, body: Any = None) -> Any:
        """Use its control API."""
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
    """Run a simulator for all tests here."""
    command = [sys.executable, "-m", "simulator", "--json", "--token", TOKEN]
    command += ["--status-interval", "0.2", "--reconnect-delay", "0.1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            yield Sim(told["url"], told["accounts"])
        finally:
            process.terminate()


@pytest.fixture(name="sim")
def sim_fixture(served: Sim, socket_enabled: None) -> Iterator[Sim]:
    """Return the simulator, to be left as it was."""
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
    """Return the environment of the doctor."""
    return {**os.environ, "METAAPI_TOKEN": token}


def run(sim: Sim, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the doctor where nobody can be asked."""
    return subprocess.run(
        command_line(sim, *arguments),
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def answer(sim: Sim, said: str) -> str:
    """Run the doctor at a terminal and answer its question; return what it wrote."""
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
            timeout=60,
            check=True,
        ).stdout
    finally:
        os.close(ours)
        os.close(theirs)


def verdicts(report: str) -> dict[str, str]:
    """Return the verdict of each point of a report."""
    rows = [line.split(" | ") for line in report.splitlines() if line.startswith("| ")]
    return {row[0].removeprefix("| "): row[3] for row in rows[2:]}


def test_everything(sim: Sim, tmp_path: Path) -> None:
    """Each point gets its verdict, and no secret is told."""
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


def test_goes_on_without_rest_and_without_leave(sim: Sim) -> None:
    """A token that may not use REST settles what the socket tells; nobody to ask is no leave."""
    before = sim.reconnects
    sim.control("rest", {"status": 403})
    done = run(sim)
    assert done.returncode == 0
    assert verdicts(done.stdout)["who-serves"] == Verdict.AS_ASSUMED
    assert "no leave was given" in done.stdout
    assert sim.reconnects == before


@pytest.mark.parametrize(("said", "reconnects"), [("yes\n", 6), ("y\n", 0)])
def test_leave_is_asked_for(sim: Sim, said: str, reconnects: int) -> None:
    """Only a whole yes is one, and it is told beforehand what it is for."""
    before = sim.reconnects
    written = answer(sim, said)
    assert sim.reconnects == before + reconnects
    question = written.index("Type ")
    assert written.index("up to 6 reconnects, in different forms") < question
    assert written.index("restarts the account's terminal") < question
    assert question < written.index("REST: the account")


def test_differences_are_told(sim: Sim) -> None:
    """What the code does not assume stands out, and a server that repeats the token gets nowhere."""
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
    ("form", "told"),
    [
        ("close", "HandshakeEndedError"),
        ("processing_error", "then `subscribe` got `UnauthorizedError`"),
    ],
)
def test_every_refusal_of_a_wrong_token_is_told(sim: Sim, form: str, told: str) -> None:
    """However it is refused, the report says how."""
    sim.control("settings", {"bad_token": form})
    done = run(sim, "--no-reconnect")
    assert done.returncode == 0
    assert told in done.stdout


@pytest.mark.parametrize(
    ("arguments", "token", "told"),
    [
        (["--account", "x"], "", "no token: METAAPI_TOKEN is not set"),
        ([], TOKEN, "name the account with --account"),
        ([], "wrong", "name one with --account"),
        (["--api-url", "http://example.org"], TOKEN, "plain http to a public host"),
    ],
    ids=["no token", "many accounts", "wrong token", "plain http"],
)
def test_what_keeps_it_from_beginning(
    sim: Sim, arguments: list[str], token: str, told: str
) -> None:
    """It says what is missing, and asks nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.doctor_lib", "--api-url", sim.url, *arguments],
        cwd=ROOT,
        env=environment(token),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert told in done.stderr


def test_the_script_explains_itself() -> None:
    """The help comes without any set-up."""
    done = subprocess.run(
        [ROOT / "scripts" / "doctor", "--help"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "METAAPI_TOKEN" in done.stdout


def test_the_checklist_lists_every_point() -> None:
    """The page and the doctor know the same points."""
    page = (ROOT / "docs" / "live-checklist.md").read_text()
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line[:1] == "|"]
    assert [row.strip("`") for row in rows[2:]] == list(POINTS)


def test_forms() -> None:
    """The client's two forms come first; all of them are all of them."""
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


def test_report_keeps_to_one_verdict() -> None:
    """One disagreement is enough, the same finding twice is one, and ids have names."""
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
    """A series is told by its extremes and its middle."""
    assert seconds([]) == "none"
    assert seconds([3, 1, 2]) == "1.00 to 3.00 s, middle 2.00 s, 3 in all"


@pytest.mark.parametrize("value", ["0", "-1", "3601", "nan", "soon"])
def test_options_that_make_no_sense(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A time has bounds."""
    with pytest.raises(SystemExit):
        parse(["--watch", value])
    assert "--watch" in capsys.readouterr().err
