"""docs/http.md names exactly the metrics and endpoints that there are."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from agenthost.config.model import HttpConfig
from agenthost.endpoints import Endpoints
from agenthost.endpoints.exposition import expose
from agenthost.internal_errors import InternalErrors
from agenthost.jobs import JobType, OutcomeKind
from agenthost.logs.events import get_logger
from agenthost.metrics import Metrics
from agenthost.status import AgentStatus, HostState, HostStatus, LoadPart

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
STATUS = HostStatus(
    state=HostState.RUNNING,
    version="1",
    agents=(AgentStatus(id="a", agent_name="", type=JobType.ROOM),),
    load_parts=(LoadPart(name="cpu", used=0.1, limit=0.7),),
)


def rows() -> dict[str, set[str]]:
    """Labels by metric, as the page's table says."""
    found = re.findall(r"^\| `(agenthost_\w+)` \| ([\w, ]*?) ?\|", PAGE, re.MULTILINE)
    return {name: {label for label in labels.split(", ") if label} for name, labels in found}


def test_every_metric_is_on_the_page_with_its_labels() -> None:
    """And no metric is on the page that does not exist."""
    metrics = Metrics()
    metrics.offer_answered("a", answer="accept")
    text = expose(STATUS, metrics, accept="").body.decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert rows() == {s.name: set(s.labels) for s in samples if s.name.startswith("agenthost_")}


def test_every_outcome_is_on_the_page() -> None:
    """The values of `outcome` are part of what alerts are written with."""
    assert all(kind.value in PAGE for kind in OutcomeKind)


async def test_every_path_is_on_the_page() -> None:
    """Each path of the server has its row, each row its path."""
    endpoints = Endpoints(
        HttpConfig(host="127.0.0.1", port=0), lambda: STATUS, Metrics(), InternalErrors(Metrics(), get_logger("test"))
    )
    paths = {resource.canonical for resource in endpoints._app().router.resources()}
    assert set(re.findall(r"^\| `(/\w*)` \|", PAGE, re.MULTILINE)) == paths


def test_every_reason_of_readyz_is_on_the_page() -> None:
    """Operators read these in their orchestrator's events."""
    states = [HostStatus(state=state, version="1") for state in HostState]
    assert all(f"`{status.reason}`" in PAGE for status in states)
