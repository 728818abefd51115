"""The host over HTTP, read only: /healthz, /readyz, /worker, /metrics."""

from agenthost.endpoints.server import Endpoints

__all__ = ["Endpoints"]
