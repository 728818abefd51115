"""All tests of this folder need the extra `voice`."""

import pytest

pytest.importorskip("livekit.agents")
