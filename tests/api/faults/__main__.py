"""Run the chaos test without pytest: `python -m tests.api.faults`."""

import sys

from tests.api import conftest  # noqa: F401 - it puts the client on the path

from .chaos import main

sys.exit(main())
