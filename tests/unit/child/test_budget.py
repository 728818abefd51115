"""`Budget`: how long each phase of an end may take, by a clock that jumps."""

import asyncio
from collections.abc import Iterable

from agenthost.child.budget import Budget
from tests.support.jumping_loop import run_jumping


def _spent(
    *, limit: float, share: float = 0.5, grace: bool = False, tighten: Iterable[tuple[float, ...]] = ()
) -> float:
    """Seconds that `wait` takes for a task that never ends. `tighten`: (at, grace, total) or (at, grace)."""

    async def measure() -> float:
        loop = asyncio.get_running_loop()
        budget = Budget()
        for at, allowed, *total in tighten:
            if at:
                loop.call_later(at, lambda a=allowed, t=total: budget.tighten(grace=a, total=t[0] if t else None))
            else:
                budget.tighten(grace=allowed, total=total[0] if total else None)
        forever = asyncio.ensure_future(asyncio.Event().wait())
        began = loop.time()
        assert await budget.wait([forever], limit=limit, share=share, grace=grace) == {forever}
        spent = loop.time() - began
        forever.cancel()
        return round(spent, 3)

    return run_jumping(measure())


def test_without_a_budget_the_limit_holds() -> None:
    """A natural end gives each phase its own time."""
    assert _spent(limit=15.0) == 15.0


def test_phase_gets_its_share_of_a_budget() -> None:
    """Half of 10 s, less what is kept for the last word (0.5 s)."""
    assert _spent(limit=15.0, share=0.5, tighten=[(0, 15.0, 10.0)]) == 4.75


def test_limit_below_the_share_holds() -> None:
    """A budget gives nobody more time."""
    assert _spent(limit=1.0, share=0.5, tighten=[(0, 15.0, 10.0)]) == 1.0


def test_small_budget_keeps_a_tenth_for_the_last_word() -> None:
    """The reserve never eats a small budget up."""
    assert _spent(limit=15.0, share=1.0, tighten=[(0, 15.0, 1.0)]) == 0.9


def test_grace_bounds_only_the_phase_it_is_for() -> None:
    """The host's grace is the entrypoint's."""
    assert _spent(limit=15.0, grace=True, tighten=[(0, 2.0)]) == 2.0
    assert _spent(limit=15.0, grace=False, tighten=[(0, 2.0)]) == 15.0


def test_tighter_budget_shortens_the_phase_that_is_running() -> None:
    """A second StopJob after 3 s, with 2 s for everything: 3 s and half of what is left of it."""
    assert _spent(limit=15.0, share=0.5, tighten=[(3.0, 0.0, 2.0)]) == 3.9


def test_tighter_grace_shortens_the_grace_that_is_running() -> None:
    """A natural end gave 15 s; the host then gives 1 s."""
    assert _spent(limit=15.0, grace=True, tighten=[(3.0, 1.0)]) == 4.0


def test_looser_budget_changes_nothing() -> None:
    """A deadline can only come nearer."""
    for later in (0, 1.0):
        assert _spent(limit=15.0, share=1.0, grace=True, tighten=[(0, 2.0, 10.0), (later, 30.0, 60.0)]) == 2.0
        assert _spent(limit=15.0, share=1.0, tighten=[(0, 2.0, 10.0), (later, 30.0, 60.0)]) == 9.5


def test_budget_that_is_used_up_gives_no_time() -> None:
    """Not even a negative one."""
    assert _spent(limit=15.0, share=1.0, tighten=[(0, 0.0, 0.0)]) == 0.0


def test_wait_returns_when_all_are_done() -> None:
    """The tasks end one by one; the last one counts."""

    async def measure() -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        tasks = [asyncio.ensure_future(asyncio.sleep(seconds)) for seconds in (1, 2, 3)]
        began = loop.time()
        late = await Budget().wait(tasks, limit=10.0, share=0.5)
        return round(loop.time() - began, 3), len(late)

    assert run_jumping(measure()) == (3.0, 0)


def test_wait_for_nothing_returns_at_once() -> None:
    """Also within a budget that is used up."""

    async def measure() -> set[asyncio.Task[None]]:
        budget = Budget()
        budget.tighten(grace=0.0, total=0.0)
        return await budget.wait([], limit=10.0, share=0.5)

    assert run_jumping(measure()) == set()
