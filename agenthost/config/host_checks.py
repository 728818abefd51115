"""Checks of the host's own keys: addresses, time zone, credentials, and the moments of tests. Pure but for tzdata."""

import difflib
import re
from datetime import datetime
from urllib.parse import urlsplit

from agenthost.config.collector import Collector
from agenthost.config.findings import Severity
from agenthost.config.interpolate import is_single_reference
from agenthost.config.nodes import Keys, Node, OriginKind, find
from agenthost.config.resolve import Resolved
from agenthost.config.utf8_checks import check_utf8

_LISTEN = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(?P<port>[0-9]{1,5})")
_SCHEMES = ("ws", "wss", "http", "https")


def check_host(resolved: Resolved, findings: Collector) -> None:
    """The meaning of the host's keys."""
    host = resolved.host
    _check_listen(host, findings)
    _check_timezone(host, findings)
    _check_rename(host, findings)
    for test in host.entries["tests"].items if "tests" in host.entries else ():
        _check_moment(test, findings)


def check_credentials(resolved: Resolved, command: str, findings: Collector, *, lenient: bool) -> None:
    """URL, key and secret of the server: well formed, no literal secrets, and there.

    `dev` may do without a URL (a local server is started then). `validate` only warns, for it does not know whether
    `dev` or `start` comes next; with `lenient` nothing has to be there.
    """
    livekit = resolved.host.entries["livekit"]
    url = livekit.entries.get("url")
    for key in ("api_key", "api_secret"):
        if key in livekit.entries:
            check_utf8(livekit.entries[key], ("livekit", key), findings)
    if url is not None and check_utf8(url, ("livekit", "url"), findings):
        _check_url(url, findings)
    proxy = livekit.entries.get("proxy")
    if proxy is not None and proxy.value:
        _check_proxy(proxy, findings)
    for key in ("api_key", "api_secret"):
        node = livekit.entries.get(key)
        if node is not None:
            _check_literal(key, node, findings)
    if not lenient:
        _check_presence(livekit, command, findings)


def _check_listen(host: Node, findings: Collector) -> None:
    node = find(host, ("http", "listen"))
    if node is None or node.value == "none" or node.opaque:
        return
    match = _LISTEN.fullmatch(str(node.value))
    if match is None or int(match["port"]) > 65535:
        port = re.fullmatch(r":?([0-9]{1,5})", str(node.value))
        hint = f"write `0.0.0.0:{port[1]}`" if port else "write `HOST:PORT`, for example `127.0.0.1:8081`, or `none`"
        findings.about("AH113", "`http.listen` takes an address and a port", node, hint=hint)


def _check_rename(host: Node, findings: Collector) -> None:
    """Two fields of one name: one of them would be lost."""
    taken: dict[object, str] = {}
    for name, node in host.entries["log_format"].entries["rename"].entries.items():
        if node.value in taken:
            message = f"`{taken[node.value]}` and `{name}` would have one name in a log line"
            findings.about("AH113", message, node, hint="give them two names")
        taken.setdefault(node.value, name)


def _check_timezone(host: Node, findings: Collector) -> None:
    from zoneinfo import ZoneInfo, available_timezones

    node = host.entries["timezone"]
    name = str(node.value)
    if node.opaque or name == "UTC":
        return
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        known = available_timezones()
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        hint = f"did you mean `{close[0]}`?" if close else "write an IANA name such as `Europe/Berlin`"
        if not known:
            hint = "this machine has no time zones: install `tzdata`, from the system's packages or by pip"
        findings.about("AH219", "there is no such time zone", node, hint=hint)


def _check_moment(test: Node, findings: Collector) -> None:
    node = test.entries.get("at")
    if node is None or node.opaque:
        return
    try:
        datetime.fromisoformat(str(node.value))
    except ValueError:
        hint = "write it as `2026-03-02T10:00:00+01:00`"
        findings.about("AH224", "`at` takes a moment in ISO 8601", node, hint=hint)


def _check_url(node: Node, findings: Collector) -> None:
    if node.opaque or node.value == "" or _is_url(str(node.value), _SCHEMES):
        return  # an empty one is none at all, which is another finding
    message = "the LiveKit URL must be ws://, wss://, http:// or https:// and a host"
    _about_address("AH309", message, node, ("livekit", "url"), "for example wss://my-project.livekit.cloud", findings)


def _check_proxy(node: Node, findings: Collector) -> None:
    if not node.opaque and not _is_url(str(node.value), ("http", "https")):
        message = "the proxy must be http:// or https:// and a host"
        _about_address("AH310", message, node, ("livekit", "proxy"), "for example http://proxy.internal:3128", findings)


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _about_address(code: str, message: str, node: Node, path: Keys, hint: str, findings: Collector) -> None:
    """At the place in the file, or, for one that nobody wrote there, at the variable it was taken from."""
    if node.origin.kind is OriginKind.ENVIRONMENT:
        findings.report(code, message, file=node.origin.name, path=path, hint=hint)
    else:
        findings.about(code, message, node, hint=hint)


def _check_literal(key: str, node: Node, findings: Collector) -> None:
    """A secret in the file ends up in a repository sooner or later."""
    given = node.origin.kind is OriginKind.ENVIRONMENT or (
        node.origin.kind is OriginKind.OPTION and not node.origin.name.startswith("--set ")
    )
    if given or is_single_reference(node.text):
        return
    hint = f"write `${{LIVEKIT_{key.upper()}}}`, or `${{file:PATH}}`"
    findings.about("AH303", f"`livekit.{key}` must be a reference, not the value itself", node, hint=hint)


def _check_presence(livekit: Node, command: str, findings: Collector) -> None:
    missing = [key for key in ("url", "api_key", "api_secret") if _is_empty(livekit.entries.get(key))]
    if command == "dev" and "url" in missing:
        return
    severity = Severity.WARNING if command == "validate" else Severity.ERROR
    if "url" in missing:
        message = "no LiveKit server is named: LIVEKIT_URL is not set"
        hint = "set LIVEKIT_URL, or write `livekit.url`; `agenthost dev` starts a local server without it"
        findings.report("AH301", message, severity=severity, path=("livekit", "url"), hint=hint)
    unset = [key for key in ("api_key", "api_secret") if key in missing]
    if unset:
        names = " and ".join(f"LIVEKIT_{key.upper()}" for key in unset)
        message = f"{names} {'are' if len(unset) == 2 else 'is'} not set"
        hint = f"set {'them' if len(unset) == 2 else 'it'}, or write `livekit.{unset[0]}: ${{file:PATH}}`"
        findings.report("AH302", message, severity=severity, path=("livekit", unset[0]), hint=hint)


def _is_empty(node: Node | None) -> bool:
    return node is None or (not node.value and not node.opaque)
