"""Writes what `plan` and `reload` have to say: changes on stdout, failures on stderr."""

import sys

from agenthost.cli import output
from agenthost.cli.change_text import render_changes, render_failure
from agenthost.cli.findings_output import show
from agenthost.errors import ExitCode
from agenthost.status import PlanReport


def show_changes(report: PlanReport) -> None:
    lines = render_changes(report)
    if lines:
        show((*lines, ()), sys.stdout)


def show_failure(report: PlanReport, effect: str) -> None:
    """Why it failed, and what that means for the host."""
    show(render_failure(report), sys.stderr)
    output.note(effect)


def failure_code(report: PlanReport) -> ExitCode:
    return ExitCode.CONFIG if report.invalid else ExitCode.FAILURE
