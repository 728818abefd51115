"""`validate --connect`: ask the LiveKit server whether it is there, takes the credentials, and has the same time."""

import email.utils
import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit

from agenthost.config.collector import Collector
from agenthost.config.findings import Finding, Severity
from agenthost.config.model import Config, LiveKitConfig
from agenthost.config.units import format_duration

TIMEOUT_SECONDS = 5.0
MAX_SKEW_SECONDS = 10.0
_HTTP = {"ws": "http", "wss": "https"}


def check_server(config: Config, shown: str) -> tuple[Finding, ...]:
    """One harmless request to the server of `config`, and what is wrong with the answer."""
    findings = Collector(shown)
    livekit = config.livekit
    if not (livekit.url and livekit.api_key and livekit.api_secret):  # --no-secrets passes over what is missing
        hint = "set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET"
        findings.report("AH401", "there is no server to ask", path=("livekit",), hint=hint)
        return findings.findings()
    try:
        status, headers = _ask(livekit)
    except (OSError, http.client.HTTPException, ssl.SSLError) as error:
        message = f"{_origin(livekit.url)} does not answer: {_reason(error)}"
        findings.report("AH401", message, path=("livekit", "url"), hint="check LIVEKIT_URL, and that the server runs")
        return findings.findings()
    _judge(status, livekit, findings)
    _check_clock(headers.get("Date"), findings)
    return findings.findings()


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return getattr(reason, "strerror", None) or str(reason)


def _ask(livekit: LiveKitConfig) -> tuple[int, Mapping[str, str]]:
    from livekit.api import AccessToken, ListRoomsRequest, VideoGrants

    token = AccessToken(livekit.api_key, livekit.api_secret).with_grants(VideoGrants(room_list=True))
    token = token.with_ttl(timedelta(minutes=1)).with_identity("agenthost-validate")
    request = urllib.request.Request(
        f"{_origin(livekit.url)}/twirp/livekit.RoomService/ListRooms",
        data=ListRoomsRequest(names=["-"]).SerializeToString(),
        headers={"Content-Type": "application/protobuf", "Authorization": f"Bearer {token.to_jwt()}"},
    )
    proxies = {"http": livekit.proxy, "https": livekit.proxy} if livekit.proxy else {}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            return response.status, dict(response.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers)


def _origin(url: str) -> str:
    """The http(s) address of a LiveKit URL, without a user name or password in it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port else ""
    return f"{_HTTP.get(parts.scheme, parts.scheme)}://{host}{port}{parts.path.rstrip('/')}"


def _judge(status: int, livekit: LiveKitConfig, findings: Collector) -> None:
    if status in (401, 403):
        message = f"{_origin(livekit.url)} refuses the credentials"
        hint = "key and secret must be a pair that this server knows"
        findings.report("AH402", message, path=("livekit", "api_secret"), hint=hint)
    elif status != 200:
        message = f"{_origin(livekit.url)} answers, but not as a LiveKit server does (HTTP {status})"
        findings.report("AH401", message, path=("livekit", "url"), hint="check LIVEKIT_URL")


def _check_clock(date: str | None, findings: Collector) -> None:
    if date is None:
        return
    try:
        theirs = email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:
        return
    skew = theirs - time.time()
    if abs(skew) > MAX_SKEW_SECONDS:
        step = 60 if abs(skew) > 600 else 1  # seconds; a clock that is hours off is not off by seconds
        off = format_duration(round(abs(skew) / step) * step)
        message = f"the server's clock is {off} {'ahead of' if skew > 0 else 'behind'} this machine's"
        hint = "set the clock; tokens are refused when it is too far off"
        findings.report("AH403", message, severity=Severity.WARNING, path=("livekit",), hint=hint)
