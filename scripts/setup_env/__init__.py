"""Set up a checkout on a machine with Python 3.11; everything goes below `.venvs`."""
