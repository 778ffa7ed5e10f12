"""A stub of a voice library that has no wheel; the demo has no microphone."""


class MicroVad:
    """Detects no speech."""

    def Process10ms(self, audio: bytes) -> float:
        """Return the probability of speech."""
        return 0.0
