"""Stand in for a voice library that has no wheel: the demo has no microphone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ProcessedAudio:
    """Hold what the real library answers with."""

    audio: bytes


class AudioProcessor:
    """Hand audio on as it came."""

    def __init__(self, auto_gain: float, noise_suppression: int) -> None:
        """Take the settings of the real library, and forget them."""

    def Process10ms(self, audio: bytes) -> ProcessedAudio:
        """Return the audio unchanged."""
        return ProcessedAudio(audio)
