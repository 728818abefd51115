"""How long tests look that could look for ever: a few seconds in `make test`, always at the same; long in `make chaos`.

`AGENTHOST_TESTS=long` is the long form, with other examples each time.
"""

import os
import random

from hypothesis import HealthCheck, Phase, settings

LONG = os.environ.get("AGENTHOST_TESTS") == "long"
TIMEOUT_SECONDS = 3600 if LONG else 180


def examples(short: int, *, long: int, steps: int = 50) -> settings:
    """How many examples, and of how many steps at most where they have steps. The short form is the same each time."""
    return settings(
        max_examples=long if LONG else short,
        stateful_step_count=steps,
        derandomize=not LONG,
        deadline=None,
        report_multiple_bugs=False,
        print_blob=LONG,
        phases=list(Phase) if LONG else [Phase.explicit, Phase.generate],  # to find the shortest takes minutes
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    )


def moments(count: int, *, first: int, more: int) -> list[int]:
    """Of the numbers below `count` all; in the short form the `first` and some `more`, spread over the rest."""
    if LONG or count <= first + more:
        return list(range(count))
    width = (count - first) / more
    chance = random.Random(count)
    return [*range(first), *(first + int(width * (number + chance.random())) for number in range(more))]
