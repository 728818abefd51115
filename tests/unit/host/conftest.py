"""What a host of two agents is planned to be."""

import pytest

from agenthost.config.examination import Options
from agenthost.config.loading import examine_text, loaded
from agenthost.plan import Plan, plan

FILE = 'agents: { a: { entrypoint: "m:e", agent_name: a }, b: { entrypoint: "m:e", agent_name: b } }\n'
ENVIRON = {"LIVEKIT_URL": "ws://one", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "a secret of some length"}


@pytest.fixture(scope="session")
def two_agents(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """The agents `a` and `b`, both for named dispatch, without any rule."""
    folder = tmp_path_factory.mktemp("two-agents")
    (folder / "m.py").write_text("async def e(ctx): ...\n")
    options = Options(environ=ENVIRON, command="start")
    return plan(loaded(examine_text(FILE, folder / "agenthost.yaml", options)).config)
