"""What of livekit.protocol a host loads, seen in interpreters of their own."""

import subprocess
import sys

LIGHT = "from agenthost.dispatch.light_protocol import load_protocol_by_module as light; light(); "


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_host_loads_no_messages_that_it_does_not_speak() -> None:
    """The worker protocol and recovery need four modules, not LiveKit's other APIs."""
    unused = "[name for name in ('sip', 'analytics') if 'livekit.protocol.' + name in sys.modules]"
    code = f"import sys, agenthost.host.host; print({unused})"
    assert run(LIGHT + code) == "[]"
    assert run(code) != "[]"


def test_other_modules_are_there_when_they_are_asked_for() -> None:
    """Libraries that read `livekit.protocol.sip` find it, and learn of a name that there is not."""
    code = "import livekit.protocol as p; print(p.sip.__name__, hasattr(p, 'no_such'), hasattr(p, '__all__'))"
    assert run(LIGHT + code) == "livekit.protocol.sip False False"


def test_package_that_is_loaded_already_stays() -> None:
    """Who imported it first has all of it."""
    assert (
        run("import livekit.protocol as p; " + LIGHT + "import sys; print(sys.modules['livekit.protocol'] is p)")
        == "True"
    )
