"""Which servers are reached without a proxy."""

import pytest

from agenthost.config.proxies import goes_direct
from tests.unit.config.conftest import Load

CODE = "entrypoint: code_of_agent:entrypoint\n"


@pytest.mark.parametrize(
    ("url", "no_proxy"),
    [
        ("ws://127.0.0.1:7880", ""),
        ("ws://127.3.2.1:7880", ""),
        ("ws://localhost:7880", ""),
        ("ws://LOCALHOST", ""),
        ("ws://lk.localhost:7880", ""),
        ("ws://[::1]:7880", ""),
        ("ws://[::ffff:127.0.0.1]:7880", ""),
        ("wss://lk.example.com", "*"),
        ("wss://lk.example.com", "other, lk.example.com"),
        ("wss://LK.Example.com", "lk.EXAMPLE.com"),
        ("wss://lk.example.com.", "lk.example.com"),
        ("wss://lk.example.com", "example.com"),
        ("wss://lk.example.com", ".example.com"),
        ("wss://lk.example.com", "*.example.com"),
        ("ws://livekit.local:7880", ".local"),
        ("ws://livekit.local:7880", "a b,.local"),
        ("wss://lk.example.com:7880", "example.com:7880"),
        ("wss://lk.example.com", "lk.example.com:443"),
        ("ws://10.1.2.3:7880", "10.1.2.3"),
        ("ws://10.1.2.3:7880", "10.1.2.3:7880"),
        ("ws://10.1.2.3:7880", "10.0.0.0/8"),
        ("ws://10.1.2.3:7880", "10.1.2.9/24"),
        ("ws://[fd00::1]:7880", "fd00::1"),
        ("ws://[fd00::1]:7880", "[fd00::1]:7880"),
        ("ws://[fd00::1]:7880", "fd00::/8"),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_excepted_servers_are_reached_directly(url: str, no_proxy: str, name: str) -> None:
    """Loopback whatever is said, and what NO_PROXY names in any of the ways that are in use."""
    assert goes_direct(url, {name: no_proxy})


@pytest.mark.parametrize(
    ("url", "no_proxy"),
    [
        ("wss://lk.example.com", ""),
        ("wss://lk.example.com", "ample.com"),
        ("wss://lk.example.com", "a.lk.example.com"),
        ("wss://lk.example.com", "lk.example.com:80"),
        ("wss://lk.example.com", "."),
        ("wss://lk.example.com", "10.0.0.0/8"),
        ("ws://10.1.2.3:7880", "11.0.0.0/8"),
        ("ws://10.1.2.3:7880", "2.3"),
        ("ws://10.1.2.3:7880", "10.1.2.3:7881"),
        ("ws://10.1.2.3:7880", "localhost,127.0.0.1,10.0.0.0/99"),
        ("ws://[fd00::1]:7880", "fd00::2"),
        ("ws://[not an address", "*"),
    ],
)
def test_other_servers_are_reached_by_the_proxy(url: str, no_proxy: str) -> None:
    """A port that is said must be the server's, part of a name is no name, and nonsense excepts nothing."""
    assert not goes_direct(url, {"NO_PROXY": no_proxy})


ENVIRON = {
    "LIVEKIT_URL": "wss://lk.example.com",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "secret",
    "HTTPS_PROXY": "http://proxy:1",
}


def test_no_proxy_is_about_the_proxy_of_the_environment(load: Load) -> None:
    """One that the file names is used whatever NO_PROXY says."""
    assert load(CODE, environ=ENVIRON).livekit.proxy == "http://proxy:1"
    assert load(CODE, environ=ENVIRON | {"NO_PROXY": ".example.com"}).livekit.proxy is None
    assert load(CODE, environ=ENVIRON | {"LIVEKIT_URL": "ws://127.0.0.1:7880"}).livekit.proxy is None
    own = CODE + "livekit: { proxy: 'http://own:1', url: 'ws://127.0.0.1:7880' }\n"
    assert load(own, environ=ENVIRON | {"NO_PROXY": "*"}).livekit.proxy == "http://own:1"


def test_proxy_that_is_not_used_need_not_be_one(load: Load) -> None:
    """An environment made for other programs does not stop a host that has no need of it."""
    assert load(CODE, environ=ENVIRON | {"HTTPS_PROXY": "socks5://proxy", "NO_PROXY": "*"}).livekit.proxy is None
