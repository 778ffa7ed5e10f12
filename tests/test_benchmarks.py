"""What the benchmark makes of what it measured."""

from datetime import timedelta
import json
from math import inf
from pathlib import Path
from subprocess import TimeoutExpired
import sys

from freezegun.api import FrozenDateTimeFactory
import pytest

from benchmarks.__main__ import BEGIN, END, write
from benchmarks.day import record_writes, too_often
from benchmarks.home import busiest
from benchmarks.report import ROWS, Row, missed
from benchmarks.runs import COUNTS, MANY
from benchmarks.turns import Process
from homeassistant.core import HomeAssistant

ROW = Row("block", "ms", "block", goal="<= 10")
MEASURED = {
    name: [1.0]
    for name in (
        *(f"flood {peer}" for peer in ("raw", "ours", "sdk")),
        *(f"change {who} {count}" for who in ("metaapi", "raw") for count in COUNTS),
        *(f"growth {who}" for who in ("metaapi", "raw")),
        *(
            f"{what}{count}"
            for what in ("memory metaapi", "memory empty")
            for count in ("", " few")
        ),
        *(
            f"{what} {who}"
            for what in ("start", "setup")
            for who in ("metaapi", "empty")
        ),
        *(f"unchanged {count}" for count in COUNTS),
        *(f"{p99} {count}" for p99 in ("p99", "own p99") for count in (1, MANY)),
        *(f"loss {what}" for what in ("block", "own block", "spread", "back")),
        *(
            "loss attempts",
            "loss subscribes",
            "listing block",
            "diagnostics block",
            "day too often",
        ),
        *(f"day {what}" for what in ("writes", "loop", "recorder")),
        *("day rows", "day statistics rows"),
    )
}
RATIO = Row("ratio", "x µs", "ours", "/", "raw", ">= 24")


@pytest.mark.parametrize(
    ("row", "samples", "cell", "verdict"),
    [
        (ROW, {"block": [0.01]}, "10.0 ms", "met"),
        (ROW, {"block": [0.5, 0.011, 0.001]}, "11.0 ms", "**missed by 10%**"),
        (
            RATIO,
            {"ours": [24e-6], "raw": [1e-6]},
            "24.00 x (24.0 µs, 1.0 µs)",
            "met",
        ),
        (
            RATIO,
            {"ours": [12e-6], "raw": [1e-6]},
            "12.00 x (12.0 µs, 1.0 µs)",
            "**missed by 50%**",
        ),
        (
            Row("more", "ms ms", "ours", "-", "base", "<= 0.5"),
            {"ours": [0.002], "base": [0.001]},
            "+1.0 ms (2.0 ms, 1.0 ms)",
            "**missed by 100%**",
        ),
        (Row("said", "", "rows"), {"rows": [1234.0]}, "1,234", ""),
    ],
)
def test_row(
    row: Row, samples: dict[str, list[float]], cell: str, verdict: str
) -> None:
    """A figure is the median of the rounds, and its verdict says by how much a goal is missed."""
    assert row.cell(samples) == cell
    assert row.verdict([samples]) == verdict


def test_worst_run_counts() -> None:
    """A goal is met if it is in each of some runs."""
    assert ROW.verdict([{"block": [0.001]}, {"block": [0.012]}]) == "**missed by 20%**"


def test_goal_of_nothing() -> None:
    """Where nothing is allowed, one is too much."""
    row = Row("often", "", "often", goal="<= 0")
    assert (row.missed({"often": [0.0]}), row.missed({"often": [1.0]})) == (0, inf)


@pytest.mark.parametrize("row", [row for row in ROWS if row.goal and not row.how])
def test_a_fifth_is_tolerated(row: Row) -> None:
    """What is missed by more than a fifth is an error, whichever row it is."""
    others = {name: [0.0] for one in ROWS for name in (one.ours, one.other)}
    others |= {one.other: [1.0] for one in ROWS if one.how == "/"}
    others["flood sdk"] = [1e6]
    goal = float(row.goal.partition(" ")[2]) / row.value({row.ours: [1.0]})
    assert missed({**others, row.ours: [goal * 1.19]}) == []
    assert missed({**others, row.ours: [goal * 1.21 + 1e-9]}) == [row.what]


def test_table_is_written_into_the_page(tmp_path: Path) -> None:
    """The text around it stays, and what was between the marks goes."""
    (tmp_path / "images").mkdir()
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n")
    run = tmp_path / "run.json"
    run.write_text(json.dumps(MEASURED))
    write(page, [run, run, run])
    before, _, rest = page.read_text().partition(BEGIN)
    table, _, after = rest.partition(END)
    assert (before, after) == ("before\n", "after\n")
    lines = table.strip().splitlines()
    assert lines[0] == "| what | run 1 | run 2 | run 3 | goal |  |"
    assert len(lines) == 2 + len(ROWS)
    assert "old" not in table
    assert (tmp_path / "images" / "cost.svg").read_text().startswith("<svg ")


def test_page_without_marks(tmp_path: Path) -> None:
    """A page that has no place for the table is left alone."""
    page = tmp_path / "page.md"
    page.write_text("text\n")
    with pytest.raises(ValueError, match="unpack"):
        write(page, [])
    assert page.read_text() == "text\n"


@pytest.fixture(name="quickest")
def quickest_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the yardstick take a second at its best."""
    monkeypatch.setattr(Process, "quickest", 1.0)


@pytest.mark.usefixtures("quickest")
def test_turn_is_taken_again_where_the_machine_is_slow(tmp_path: Path) -> None:
    """It counts once the yardstick is what it can be, or at its best of two."""
    yardsticks = [1.0, 1.1, 2.0, 1.1, 5.0, 3.0]
    script = (
        "import sys\n"
        f"for cost, yardstick in enumerate({yardsticks}):\n"
        "    print('log')\n"
        "    print('= [%d, %f]' % (cost, yardstick), flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    with Process(sys.executable, "-c", script, cwd=tmp_path) as process:
        assert process.started.value == 0
        assert [process.turn("load") for _ in range(3)] == [1, 3, 5]


@pytest.mark.usefixtures("quickest")
@pytest.mark.parametrize("last", ["sys.exit('reason')", "time.sleep(60)"])
@pytest.mark.parametrize("when", ["at its start", "in a turn", "at its end"])
def test_process_that_fails_or_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, last: str
) -> None:
    """It ends the run, which tells which process it was and what it said."""
    monkeypatch.setattr("benchmarks.turns.LIMIT", 0.5)
    steps = ["print('= [0, 1]', flush=True)", "sys.stdin.readline()"]
    steps = [] if when == "at its start" else steps
    script = "; ".join(["import sys, time", *steps, last])

    def run() -> None:
        """Start a process, and run a load if it fails there."""
        with Process(sys.executable, "-c", script, cwd=tmp_path) as process:
            if when == "in a turn":
                process.turn("load")

    with pytest.raises((SystemExit, TimeoutExpired)) as raised:
        run()
    assert script in str(raised.value)
    assert "reason" in str(raised.value) or "sleep" in last


def test_busiest() -> None:
    """The fullest tenth of a second counts, wherever it begins."""
    assert busiest([0.0, 5.04, 0.2, 5.0, 5.08]) == 3 / 5


async def test_states_written_too_often(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    """What is written twice within a minute counts, the same state as well, unless the account changed."""
    hass.states.async_set("binary_sensor.account_1_terminal", "on")
    hass.states.async_set("sensor.account_1_downtime", "0")
    writes = record_writes(hass)

    def after(seconds: float, entity_id: str, value: str) -> int:
        """Write a state later; return how many were too early by then."""
        freezer.tick(timedelta(seconds=seconds))
        hass.states.async_set(entity_id, value)
        return too_often(writes)

    assert after(100, "sensor.account_1_downtime", "1") == 0
    assert after(60, "sensor.account_1_downtime", "2") == 0
    # the account changes, and what is written with that is none by the clock
    assert after(20, "binary_sensor.account_1_terminal", "off") == 0
    assert after(0, "sensor.account_1_downtime", "3") == 0
    assert after(40, "sensor.account_1_downtime", "4") == 0
    # another account's change is none of its
    assert after(20, "binary_sensor.account_2_terminal", "off") == 0
    assert after(0, "sensor.account_1_downtime", "5") == 1
    assert after(20, "sensor.account_1_downtime", "5") == 2
