"""The state of a host in the format of Prometheus. Runs in the host, imported at the first scrape (prometheus_client).

Labels are ids of agents and constants; names of rooms, people and their metadata never get here.
"""

import math
from collections.abc import Callable, Iterator

from msgspec import Struct
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agenthost.jobs import OutcomeKind
from agenthost.metrics import RECOVERY_CAUSES, InternalPart, Metrics
from agenthost.status import AgentStatus, HostState, HostStatus
from agenthost.texts import encodable

_AGENT_GAUGES: tuple[tuple[str, str, Callable[[AgentStatus], float]], ...] = (
    ("registered", "1: the LiveKit server knows this agent and may send it jobs", lambda a: a.registered),
    ("jobs", "Jobs that run now", lambda a: a.jobs),
    ("idle_processes", "Processes that are ready and wait for a job", lambda a: a.idle),
    ("slots_used", "Jobs that run or were accepted and have not started yet", lambda a: a.slots_used),
    ("slots_free", "Jobs that may still be accepted under max_jobs (+Inf: no limit)", lambda a: _amount(a.slots_free)),
    ("slots_total", "max_jobs (+Inf: no limit)", lambda a: _amount(a.slots_total)),
    ("load", "Largest fraction of a limit of load that is in use (1: reached)", lambda a: a.load),
    ("full", "1: the LiveKit server is told that this agent takes no jobs", lambda a: a.full),
)
_HOST_GAUGES: tuple[tuple[str, str, Callable[[HostStatus], float]], ...] = (
    ("ready", "1: running, and at least one agent is registered", lambda s: s.ready),
    ("draining", "1: takes no new jobs and ends when the running ones have", lambda s: s.state is HostState.DRAINING),
    ("host_slots_used", "Like agenthost_slots_used, of the whole host", lambda s: s.slots_used),
    ("host_slots_free", "Like agenthost_slots_free, of the whole host", lambda s: _amount(s.slots_free)),
    ("host_slots_total", "Like agenthost_slots_total, of the whole host", lambda s: _amount(s.slots_total)),
    ("host_load", "Like agenthost_load, of the whole host", lambda s: s.load),
    ("host_full", "1: no agent of this host takes jobs", lambda s: s.full),
    (
        "config_last_reload_successful",
        "0: the last reload failed and the configuration before it is still in use",
        lambda s: s.reload_succeeded is not False,
    ),
)


class Exposition(Struct, frozen=True, kw_only=True):
    """What a scrape is answered with."""

    body: bytes
    content_type: str


def expose(status: HostStatus, metrics: Metrics, *, accept: str) -> Exposition:
    """All metrics of this moment, in the text format that `accept` (the request's header) prefers."""
    registry = CollectorRegistry()
    registry.register(_HostCollector(status, metrics))
    ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    return Exposition(body=encode(registry), content_type=content_type)


class _HostCollector(Collector):
    def __init__(self, status: HostStatus, metrics: Metrics) -> None:
        self._status = status
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("agenthost_start_time_seconds", "When the host started", self._status.started_at)
        info = GaugeMetricFamily("agenthost_build_info", "1; the label is the version", labels=["version"])
        info.add_metric([self._status.version], 1)
        yield info
        for name, text, value in _HOST_GAUGES:
            yield GaugeMetricFamily(f"agenthost_{name}", text, value(self._status))
        yield self._load_parts()
        for name, text, value_of in _AGENT_GAUGES:
            family = GaugeMetricFamily(f"agenthost_{name}", text, labels=["agent"])
            for agent in self._status.agents:
                family.add_metric([encodable(agent.id)], value_of(agent))
            yield family
        yield self._jobs_ended()
        yield self._offers()
        yield self._recoveries()
        yield self._given_up()
        yield self._internal_errors()
        yield CounterMetricFamily(
            "agenthost_log_lines_dropped",
            "Lines that were lost because more was logged than could be written",
            self._status.log_lines_dropped,
        )

    def _load_parts(self) -> Metric:
        family = GaugeMetricFamily("agenthost_host_load_part", "Fraction of one limit of the host", labels=["limit"])
        for part in self._status.load_parts:
            family.add_metric([part.name], part.fraction)
        return family

    def _jobs_ended(self) -> Metric:
        """Every outcome of every agent from the start, so that a first failure shows as a step from 0 to 1."""
        counts = {(agent.id, outcome.value): 0 for agent in self._status.agents for outcome in OutcomeKind}
        counts |= {(job.agent, job.outcome): job.count for job in self._metrics.jobs()}
        family = CounterMetricFamily("agenthost_jobs_ended", "Jobs that have ended", labels=["agent", "outcome"])
        for (agent, outcome), count in counts.items():
            family.add_metric([encodable(agent), outcome], count)
        return family

    def _offers(self) -> Metric:
        labels = ["agent", "answer", "reason"]
        family = CounterMetricFamily("agenthost_offers", "Offers by how they were answered", labels=labels)
        for offer in self._metrics.offers():
            family.add_metric([encodable(offer.agent), offer.answer, offer.reason], offer.count)
        return family

    def _recoveries(self) -> Metric:
        counts = {(agent.id, cause): 0 for agent in self._status.agents for cause in RECOVERY_CAUSES}
        counts |= {(one.agent, one.cause): one.count for one in self._metrics.recoveries()}
        text = "Dispatches that were made anew because nobody served them"
        family = CounterMetricFamily("agenthost_dispatched_again", text, labels=["agent", "cause"])
        for (agent, cause), count in counts.items():
            family.add_metric([encodable(agent), cause], count)
        return family

    def _given_up(self) -> Metric:
        text = "Jobs that failed in their last attempt"
        family = CounterMetricFamily("agenthost_jobs_given_up", text, labels=["agent"])
        for agent in self._status.agents:
            family.add_metric([encodable(agent.id)], self._metrics.jobs_given_up(agent.id))
        return family

    def _internal_errors(self) -> Metric:
        text = "Errors of agenthost itself that were contained; each has a traceback in the log"
        family = CounterMetricFamily("agenthost_internal_errors", text, labels=["part"])
        for part in InternalPart:
            family.add_metric([part.value], self._metrics.internal_errors(part))
        return family


def _amount(slots: int | None) -> float:
    return math.inf if slots is None else slots
