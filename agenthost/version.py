"""The one place where the version is written; pyproject.toml and `agenthost version` read it."""

__version__ = "0.1.0"
