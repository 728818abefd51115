"""Unit tests stand where their module stands."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_unit_test_mirrors_a_module() -> None:
    """tests/unit/x/test_y.py tests agenthost/x/y.py (or the package of that name): both are found at once."""
    strays = []
    for test in (ROOT / "tests" / "unit").rglob("test_*.py"):
        module = ROOT / "agenthost" / test.relative_to(ROOT / "tests" / "unit").with_name(test.name[len("test_") :])
        if not module.exists() and not module.with_suffix("").is_dir():
            strays.append(test.relative_to(ROOT).as_posix())
    assert strays == []
