"""One look at the machine for all processes; only the id of each instance is its own."""

import pytest

pytest.importorskip("livekit.agents")
from livekit.agents.telemetry import traces
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, Resource

from agenthost.voice import telemetry


@pytest.fixture(autouse=True)
def never_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(traces, "_detected_resource"):
        pytest.skip("this livekit-agents finds it out at the first use")
    monkeypatch.setattr(traces, "_detected_resource", None)
    monkeypatch.setattr("os.getpid", lambda: 100)


def test_a_process_has_what_its_template_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without looking again."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "shop.floor=2")
    telemetry.find_resource()
    theirs = traces._resource({})
    monkeypatch.setattr("os.getpid", lambda: 101)
    monkeypatch.setattr(Resource, "create", None)
    telemetry.take_over_resource()
    telemetry.give_own_id()
    mine = traces._resource({"more": "yes"})
    assert mine.attributes["shop.floor"] == "2" and mine.attributes["more"] == "yes"
    assert mine.attributes[SERVICE_INSTANCE_ID] != theirs.attributes.get(SERVICE_INSTANCE_ID)


def test_detectors_of_ones_own_are_asked_in_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they say may differ from process to process."""
    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "otel,process")
    telemetry.find_resource()
    telemetry.take_over_resource()
    telemetry.give_own_id()
    assert traces._detected_resource is None
