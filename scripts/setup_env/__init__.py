"""Set up a checkout on a fresh machine that has Python 3.11: all it makes is below `.venvs`."""
