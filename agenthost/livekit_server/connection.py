"""Where a LiveKit server is and the pair that signs for it; nothing that acts."""

import secrets

from agenthost.values import Discreet


class Connection(Discreet, frozen=True, kw_only=True):
    """A LiveKit server as its users need it. `url` is ws(s) or http(s); `proxy` an HTTP proxy on the way, if any."""

    not_shown = frozenset({"api_secret"})

    url: str
    api_key: str
    api_secret: str
    proxy: str | None = None


def new_key_pair() -> tuple[str, str]:
    """A random API key and a secret of 48 characters, good for one run of a local server."""
    return f"API{secrets.token_hex(6)}", secrets.token_urlsafe(36)
