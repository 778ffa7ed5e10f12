"""Compare MetaApi's SDKs and our client in a short run of `side_by_side`."""

from pathlib import Path

import pytest
import pytest_socket

from .side_by_side import SLOWER, compare

pytestmark = [pytest.mark.peers, pytest.mark.timeout(240)]

SEED = 3


@pytest.fixture(autouse=True)
def loopback(socket_enabled: None) -> None:
    """Allow connections to this machine, which Home Assistant's plugin forbids."""
    pytest_socket.socket_allow_hosts(["127.0.0.1"])


@pytest.mark.parametrize(("kind", "faults"), [("python", 8), ("javascript", 5)])
async def test_our_client_shows_the_truth(
    kind: str, faults: int, tmp_path: Path
) -> None:
    """Our client is right after each step, shows no false loss, and is not slower."""
    verdict = await compare(SEED, faults, kind, tmp_path)
    assert verdict.faults.total() >= faults
    assert not verdict.ours_wrong, str(verdict)
    assert not verdict.false_offs["ours"], str(verdict)
    assert {name for name, slower in verdict.slower.items() if slower > SLOWER} == set()
    assert verdict.good
