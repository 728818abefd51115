"""agenthost.testing.dispatcher: the choice of a worker. What it does over sockets is in tests/integration."""

import random
from collections import Counter

from aiohttp import web
from livekit.protocol import agent

from agenthost.testing.dispatcher import choose_worker
from agenthost.testing.worker_socket import ConnectedWorker


def worker(*, load: float = 0.0, available: bool = True) -> ConnectedWorker:
    made = ConnectedWorker(web.WebSocketResponse(), agent.RegisterWorkerRequest(agent_name="a"))
    status = agent.WorkerStatus.WS_AVAILABLE if available else agent.WorkerStatus.WS_FULL
    made.take_report(agent.UpdateWorkerStatus(load=load, status=status))
    return made


def test_weight_is_the_free_load() -> None:
    """A worker at 0.2 is chosen four times as often as one at 0.8."""
    free, busy = worker(load=0.2), worker(load=0.8)
    source = random.Random(7)
    chosen = Counter(choose_worker([free, busy], [], source) for _ in range(5000))
    assert 3.5 < chosen[free] / chosen[busy] < 4.5


def test_full_asked_and_overloaded_workers_are_never_chosen() -> None:
    """Nobody is left: None."""
    asked = worker()
    assert choose_worker([worker(available=False), worker(load=1.0), asked], [asked], random.Random(1)) is None


def test_worker_without_any_report_is_available_and_free() -> None:
    """A worker is asked from its registration on."""
    silent = ConnectedWorker(web.WebSocketResponse(), agent.RegisterWorkerRequest())
    assert choose_worker([silent], [], random.Random(1)) is silent
