"""The wheel is complete: installed apart from this folder, it does what the checkout does."""

import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = sorted([ROOT / "agenthost.yaml", *(ROOT / "samples").glob("*/agenthost.yaml")])
ENVIRON = {
    "LIVEKIT_URL": "ws://127.0.0.1:7880",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "a secret of at least 32 characters",
}


def _run(command: Sequence[str | Path], *, cwd: Path, env: dict[str, str] | None = None) -> str:
    ended = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=50)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """agenthost, built without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    _run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT], cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel's agenthost and nothing else of ours."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", folder, wheel]
    _run(pip, cwd=folder)
    return folder


def test_wheel_holds_the_package_and_its_licence_and_nothing_else(wheel: Path) -> None:
    """Tests, samples and benchmarks stay in the repository."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"agenthost"}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert "agenthost/py.typed" in names


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.parent.name)
def test_installed_wheel_validates_each_sample(installed: Path, sample: Path, tmp_path: Path) -> None:
    """Nothing that `validate` needs was left out of the wheel."""
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); import agenthost.cli.main as m; "
    code += "assert m.__file__.startswith(sys.path[0]), m.__file__; sys.exit(m.main())"
    command = [sys.executable, "-P", "-c", code, str(installed), "validate", str(sample)]
    _run(command, cwd=tmp_path, env=ENVIRON)
