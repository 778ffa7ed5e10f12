"""How much code an event passes in the client. Run it with `scripts/trace`."""
