"""Which servers are reached without the proxy that the environment names: this machine's, and those of NO_PROXY. Pure.

NO_PROXY is a list with commas or spaces between: names, which mean what is below them too (with a dot or `*.` in front
or not), addresses, networks (`10.0.0.0/8`), each with a port or without, and `*` for all. There is no standard; this is
what curl, Python, Go and requests take, together. `urllib.request.proxy_bypass_environment` knows no networks and no
IPv6, and to import it takes a start longer than to read its file.
"""

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
"""Where the proxy is looked for, whatever the scheme of the server."""

_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def goes_direct(url: str, variables: Mapping[str, str]) -> bool:
    """Whether the environment's proxy is not for `url`."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), _port(parts)
    except ValueError:
        return False  # what is wrong with it is another finding
    address = _address(host)
    if host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback):
        return True
    exceptions = variables.get("no_proxy") or variables.get("NO_PROXY") or ""
    return any(_means(each, host, address, port) for each in re.split(r"[\s,]+", exceptions.lower()) if each)


def proxy_for(url: str, variables: Mapping[str, str]) -> str | None:
    """The proxy that the environment names for `url`, if any."""
    found = next((value for name in VARIABLES if (value := variables.get(name))), None)
    return None if found is None or goes_direct(url, variables) else found


def _port(parts: SplitResult) -> int | None:
    return parts.port or _PORTS.get(parts.scheme)


def _means(exception: str, host: str, address: _Address | None, port: int | None) -> bool:
    if exception == "*":
        return True
    named, wanted = _split_port(exception)
    if wanted is not None and wanted != port:
        return False
    if address is not None:
        return _holds(named, address)
    name = named.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split_port(text: str) -> tuple[str, int | None]:
    """`name:443`, `10.0.0.1:443` and `[::1]:443`; a bare IPv6 address has none."""
    found = re.fullmatch(r"(\[[^]]*\]|[^:]*):([0-9]+)", text)
    name, port = (found[1], int(found[2])) if found else (text, None)
    return name.strip("[]"), port


def _holds(network: str, address: _Address) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False  # a name


def _address(host: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
