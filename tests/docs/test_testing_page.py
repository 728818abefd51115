"""docs/testing.md is run; what it says about a real server is run in tests/e2e/test_testing_page.py."""

from pathlib import Path

from tests.support.user_pytest import run_pytest, write_files_of_page

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


def test_tests_without_a_server_pass(tmp_path: Path) -> None:
    """Three tests, each with a host of its own."""
    assert "test_support.py" in write_files_of_page(PAGE, tmp_path)
    assert "3 passed" in run_pytest(tmp_path, "test_support.py")
