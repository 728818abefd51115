"""The samples' own tests; `pytest samples` runs them, and `-m "not livekit_server"` those that need no server."""

pytest_plugins = ["agenthost.testing.plugin"]
