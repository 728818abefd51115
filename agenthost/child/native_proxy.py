"""The way of livekit's native library to the server: by the proxy of the host, or by none. Runs in job processes.

The library reads the proxy variables of its process with each connection, knows no NO_PROXY, and cannot be told
otherwise (seen in livekit 1.1.13). So the one that it will look at is set right, in the environment of C alone:
`os.environ`, and with it what Python code does, is as the user has it.
"""

import os
from urllib.parse import urlsplit

from agenthost.kernel import LIVEKIT_PROXY

_LOOKED_AT = {"ws": ("http_proxy", "HTTP_PROXY"), "wss": ("https_proxy", "HTTPS_PROXY")}
_ALIKE = {"http": "ws", "https": "wss"}


def route_native_library(url: str) -> None:
    """Have the connections to `url` made the way the host makes its own. Before the first of them."""
    wanted = os.environ.get(LIVEKIT_PROXY)
    if wanted is None:
        return  # not the process of a host
    scheme = urlsplit(url).scheme
    for name in _LOOKED_AT.get(_ALIKE.get(scheme, scheme), ()):
        if wanted == os.environ.get(name, ""):
            continue
        if wanted:
            os.putenv(name, wanted)
        else:
            os.unsetenv(name)
