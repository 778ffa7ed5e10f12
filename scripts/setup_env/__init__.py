"""Set up a checkout on a fresh machine: a Python, and the environments made from it.

Needs Python 3.11 and nothing else; all it makes is below `.venvs`.
"""

from .environments import ENVIRONMENTS, ensure
from .steps import ROOT, VENVS, SetupError

__all__ = ["ENVIRONMENTS", "ROOT", "VENVS", "SetupError", "ensure"]
