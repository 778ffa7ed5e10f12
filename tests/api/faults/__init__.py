"""Tests of the whole client with the simulator and faults between them."""
