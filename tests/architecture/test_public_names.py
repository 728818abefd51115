"""What `import agenthost` offers is what it promises, and stays that."""

import agenthost
from agenthost.version import __version__


def test_public_names_are_these() -> None:
    """A new name is a promise; taking one away breaks people's agents."""
    assert sorted(agenthost.__all__) == [
        "AutoSubscribe",
        "JobContext",
        "JobProcess",
        "JobRequest",
        "__version__",
        "get_job_context",
    ]


def test_every_public_name_exists_and_is_documented() -> None:
    """Lazy names resolve, and each says what it is."""
    for name in agenthost.__all__:
        value = getattr(agenthost, name)
        assert name == "__version__" or value.__doc__, name
    assert agenthost.__version__ == __version__


def test_every_public_method_says_what_it_means() -> None:
    """An editor shows the docstring where people need it."""
    classes = (agenthost.AutoSubscribe, agenthost.JobContext, agenthost.JobProcess, agenthost.JobRequest)
    undocumented = [
        f"{cls.__name__}.{name}"
        for cls in classes
        for name, value in vars(cls).items()
        if not name.startswith("_") and (callable(value) or isinstance(value, property)) and not value.__doc__
    ]
    assert undocumented == []
