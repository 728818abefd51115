"""How long one decision takes with 100 rules, none of which holds but the last: `python -m tests.bench.rules_bench`.

Prints microseconds per decision (p50, p95, max) for rules of one kind each, and for the mix that files have.
"""

import gc
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agenthost.jobs import Offer, RoomInfo
from agenthost.rules import RuleSet, compile_rules, decide
from tests.support.values import CREATED_AT, make_agent, make_facts, make_offer, make_requests, make_rule

RULES = 100
DECISIONS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Microseconds per decision."""

    p50: float
    p95: float
    worst: float


KINDS: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "literal": lambda n: {"room.name": f"room-{n}"},
    "glob": lambda n: {"room.name": f"team-{n}-*"},
    "regex": lambda n: {"room.name": f"/^vip{n}-[0-9]+$/"},
    "list": lambda n: {"room.name": [f"a-{n}", f"b-{n}-*", f"/^c{n}/"]},
    "metadata": lambda n: {"job.metadata.customer.id": f"c-{n}"},
    "attribute": lambda n: {"job.attributes.tier": f"tier-{n}"},
    "time": lambda n: {"time.weekday": "sat..sun", "time.hour": "8..18"},
    "sample": lambda n: {"sample": "0%"},
}


def make_rules(kind: str) -> RuleSet:
    """`RULES` rules of a kind, or of all kinds in turn (`mix`)."""
    kinds = list(KINDS.values()) if kind == "mix" else [KINDS[kind]]
    rules = [make_rule(f"rule {n}", kinds[n % len(kinds)](n)) for n in range(RULES - 1)]
    agent = make_agent(requests=make_requests(*rules, make_rule("last", {})))
    return compile_rules(agent, {agent.id: agent})


def make_bench_offer() -> Offer:
    return make_offer(
        RoomInfo(name="support-eu-12345", metadata='{"mode": "talk"}', created_at=CREATED_AT),
        metadata='{"customer": {"id": "c-x", "name": "Somebody"}, "tier": "gold"}',
        attributes={"tier": "none"},
    )


def measure(rules: RuleSet, decisions: int = DECISIONS) -> Timing:
    """Times each decision by itself, on one offer of ordinary size."""
    offer, facts = make_bench_offer(), make_facts()
    assert decide(offer, rules, facts).rule == "last"
    gc.collect()
    seconds = []
    for _ in range(decisions):
        started = time.perf_counter()
        decide(offer, rules, facts)
        seconds.append(time.perf_counter() - started)
    seconds.sort()
    return Timing(p50=seconds[decisions // 2] * 1e6, p95=seconds[decisions * 95 // 100] * 1e6, worst=seconds[-1] * 1e6)


def main() -> None:
    sys.stdout.write(f"{RULES} rules, {DECISIONS} decisions; microseconds per decision\n")
    for kind in ("mix", *KINDS):
        timing = measure(make_rules(kind))
        sys.stdout.write(f"{kind:10} p50 {timing.p50:6.1f}   p95 {timing.p95:6.1f}   max {timing.worst:7.1f}\n")


if __name__ == "__main__":
    main()
