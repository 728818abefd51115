"""What Prometheus sees."""

import math

import pytest
from hypothesis import given
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from agenthost.endpoints.exposition import expose
from agenthost.jobs import JobType
from agenthost.metrics import Metrics
from agenthost.status import AgentStatus, HostState, HostStatus, LoadPart, ReloadStatus
from agenthost.texts import encodable
from tests.support.any_text import any_text

STATUS = HostStatus(
    state=HostState.RUNNING,
    version="1.2.3",
    started_at=1700000000.0,
    agents=(
        AgentStatus(
            id="support",
            agent_name="support",
            type=JobType.ROOM,
            registered=True,
            jobs=2,
            idle=1,
            slots_total=5,
            slots_used=3,
            load=0.6,
        ),
        AgentStatus(id='we"ird\\', agent_name="", type=JobType.PUBLISHER),
    ),
    slots_used=3,
    load=0.5,
    load_parts=(LoadPart(name="cpu", used=0.35, limit=0.7),),
    log_lines_dropped=4,
)
Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(status: HostStatus = STATUS, metrics: Metrics | None = None) -> Values:
    """Samples by name and labels, through Prometheus' own parser."""
    text = expose(status, metrics or Metrics(), accept="").body.decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(values: Values, name: str, **labels: str) -> float | None:
    return values.get((f"agenthost_{name}", tuple(sorted(labels.items()))))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("registered", 1),
        ("jobs", 2),
        ("idle_processes", 1),
        ("slots_used", 3),
        ("slots_free", 2),
        ("slots_total", 5),
        ("load", 0.6),
        ("full", 0),
    ],
)
def test_agent_gauges_tell_its_status(name: str, value: float) -> None:
    """One series an agent, labelled with its id."""
    assert of(scrape(), name, agent="support") == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ready", 1),
        ("draining", 0),
        ("host_slots_used", 3),
        ("host_slots_free", math.inf),
        ("host_slots_total", math.inf),
        ("host_load", 0.5),
        ("host_full", 0),
        ("config_last_reload_successful", 1),
        ("log_lines_dropped_total", 4),
        ("start_time_seconds", 1700000000),
    ],
)
def test_host_gauges_tell_its_status(name: str, value: float) -> None:
    """No limit is +Inf: a rule `free < 2` never fires by it."""
    assert of(scrape(), name) == value


def test_each_limit_of_the_host_has_its_fraction() -> None:
    """Which limit makes the load is what somebody tuning them asks."""
    assert of(scrape(), "host_load_part", limit="cpu") == pytest.approx(0.5)


def test_any_agent_id_is_a_label() -> None:
    """Quotes and backslashes are escaped."""
    assert of(scrape(), "jobs", agent='we"ird\\') == 0


def test_outcomes_begin_at_zero() -> None:
    """A first failure is an increase that `rate()` sees."""
    metrics = Metrics()
    assert of(scrape(), "jobs_ended_total", agent="support", outcome="crashed") == 0
    metrics.job_ended("support", outcome="crashed")
    assert of(scrape(metrics=metrics), "jobs_ended_total", agent="support", outcome="crashed") == 1


def test_jobs_of_an_agent_that_was_removed_are_still_told() -> None:
    """A counter must not vanish by a reload."""
    metrics = Metrics()
    metrics.job_ended("former", outcome="succeeded")
    assert of(scrape(metrics=metrics), "jobs_ended_total", agent="former", outcome="succeeded") == 1


def test_offers_are_told_by_answer_and_reason() -> None:
    """Why calls are not taken is the first thing to look up."""
    metrics = Metrics()
    metrics.offer_answered("support", answer="reject", reason="handler timeout")
    labels = {"agent": "support", "answer": "reject", "reason": "handler timeout"}
    assert of(scrape(metrics=metrics), "offers_total", **labels) == 1


@pytest.mark.parametrize(("succeeded", "value"), [(None, 1), (True, 1), (False, 0)])
def test_failed_reload_shows_until_one_succeeds(succeeded: bool | None, value: float) -> None:
    """The file on disk is not what runs: worth an alert."""
    last = None if succeeded is None else ReloadStatus(ok=succeeded, at=1700000000.0, message="m")
    status = HostStatus(state=HostState.RUNNING, version="1", last_reload=last)
    assert of(scrape(status), "config_last_reload_successful") == value


def test_draining_host_says_so() -> None:
    """An autoscaler does not count it."""
    status = HostStatus(state=HostState.DRAINING, version="1")
    assert (of(scrape(status), "draining"), of(scrape(status), "ready")) == (1, 0)


def test_process_of_the_host_is_measured() -> None:
    """Memory and descriptors under the usual names."""
    assert scrape()["process_resident_memory_bytes", ()] > 0


def test_format_is_the_one_that_was_asked_for() -> None:
    """Prometheus asks for OpenMetrics, curl for nothing; both can be parsed strictly."""
    plain = expose(STATUS, Metrics(), accept="")
    assert plain.content_type.startswith("text/plain")
    openmetrics = expose(STATUS, Metrics(), accept="application/openmetrics-text; version=1.0.0")
    assert openmetrics.content_type.startswith("application/openmetrics-text")
    names = [family.name for family in parse_openmetrics(openmetrics.body.decode())]
    assert len(names) == len(set(names))
    assert "agenthost_registered" in names


def test_every_metric_is_explained() -> None:
    """HELP is where most people learn what a metric means."""
    text = expose(STATUS, Metrics(), accept="").body.decode()
    assert all(family.documentation for family in text_string_to_metric_families(text))


@given(any_text)
def test_any_text_can_be_a_label(text: str) -> None:
    """What UTF-8 cannot say is replaced; the scrape is never lost for one agent's id."""
    status = HostStatus(
        state=HostState.RUNNING, version="1", agents=(AgentStatus(id=text, agent_name="", type=JobType.ROOM),)
    )
    metrics = Metrics()
    metrics.offer_answered(text, answer="accept")
    body = expose(status, metrics, accept="application/openmetrics-text; version=1.0.0").body.decode()
    labels = {s.labels["agent"] for f in parse_openmetrics(body) for s in f.samples if "agent" in s.labels}
    assert labels == {encodable(text)}
