"""What the integration costs, against peers on the same frames. Run it with `scripts/bench`."""
