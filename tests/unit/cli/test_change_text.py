"""Changes as people read them."""

from agenthost.cli.change_text import count_changes, render_changes, render_failure
from agenthost.config.findings_text import plain
from agenthost.differences import NOT_TOLD, Difference
from agenthost.status import ChangeLine, PlanReport

CHANGES = (
    ChangeLine(agent="", kind="base", reasons=("preload",)),
    ChangeLine(
        agent="support",
        kind="new generation",
        reasons=("env.TOKEN", "code"),
        differences=(Difference(path="env.TOKEN", note=NOT_TOLD), Difference(path="code", note="app/support.py")),
        jobs=2,
    ),
    ChangeLine(
        agent="support",
        kind="live",
        reasons=("limits.memory",),
        differences=(Difference(path="limits.memory", old="1GiB", new="2GiB"),),
        jobs=2,
    ),
    ChangeLine(agent="door", kind="kept", jobs=5),
    ChangeLine(agent="new", kind="added"),
)


def test_each_change_has_what_is_different_below_it() -> None:
    """Aligned by the longest name; what is kept is only counted."""
    assert plain(render_changes(PlanReport(ok=True, changes=CHANGES))) == (
        "(host)   base  imported anew for all agents\n"
        "    preload\n"
        "support  new generation  new jobs run it; 2 running jobs not touched\n"
        "    env.TOKEN: changed, values not shown\n"
        "    code: app/support.py\n"
        "support  live  the next request sees it; 2 running jobs not touched\n"
        "    limits.memory: 1GiB → 2GiB\n"
        "new      added  registers when its code is proven\n"
        "1 other agent kept"
    )


def test_every_kind_has_an_effect_and_fits_80_columns() -> None:
    """Also with many reasons and long paths."""
    reasons = tuple(f"src/some/package/of/an/agent/module_{number}.py" for number in range(9))
    kinds = ("live", "new registration", "new generation", "added", "removed", "base")
    for kind in kinds:
        lines = plain(
            render_changes(PlanReport(ok=True, changes=(ChangeLine(agent="support", kind=kind, reasons=reasons),)))
        ).splitlines()
        assert len(lines[0].split("  ")) == 3, lines[0]
        assert max(map(len, lines)) <= 80


def test_jobs_are_counted_once_an_agent() -> None:
    """An agent with two kinds of change has its jobs once; those of kept agents are not affected."""
    assert count_changes(PlanReport(ok=True, changes=CHANGES)) == "4 changes, 2 jobs keep running"
    assert count_changes(PlanReport(ok=True, changes=CHANGES[3:4])) == "no changes"
    one = ChangeLine(agent="a", kind="live", jobs=1)
    assert count_changes(PlanReport(ok=True, changes=(one,))) == "1 change, 1 job keeps running"


def test_failure_without_findings_is_its_sentence() -> None:
    """Below the user's own traceback, if there is one."""
    assert plain(render_failure(PlanReport(ok=False, error="no"))) == "no"
    assert plain(render_failure(PlanReport(ok=False, error="no", traceback_text="a\nb\n"))) == "a\nb\nno"
