"""Fail if a module's coverage is too low; runs after pytest with `--cov-report=json`."""

import json
from pathlib import Path
import sys

ENOUGH = 95
FLOWS = ("config_flow.py", "access.py", "forms.py", "subentry_flow.py", "texts.py")


def judge(report: Path) -> list[str]:
    """Return a complaint per module with low coverage; the flows need full coverage."""
    if not report.is_file():
        return ["no coverage was measured"]
    files = json.loads(report.read_text())["files"]
    measured = {Path(name).name for name in files}
    complaints = [f"{name} was not measured" for name in FLOWS if name not in measured]
    for name, facts in sorted(files.items()):
        percent = facts["summary"]["percent_covered"]
        wanted = 100 if Path(name).name in FLOWS else ENOUGH
        if percent < wanted:
            complaints.append(f"{name} is covered by {percent:.1f} %, not {wanted} %")
    return complaints


if __name__ == "__main__":
    # sys.exit("") would print an empty line and fail
    sys.exit("\n".join(judge(Path(sys.argv[1]))) or None)
