"""Benchmarks of the integration against other clients on the same frames. Run them with `scripts/bench`."""
