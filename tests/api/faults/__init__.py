"""The whole client against the simulator, with every fault we can make in between."""
