"""What the import of user code leaves on disk, in an interpreter that writes bytecode as any does."""

from pathlib import Path

from tests.support.script import run_script

IMPORT = """
    from pathlib import Path
    from agenthost.child.bytecode import write_no_bytecode_of_users
    sys.pycache_prefix = "cache"
    {before}
    write_no_bytecode_of_users()
    import iniconfig, user
    result = sorted({{file.name.split(".")[0] for file in Path("cache").rglob("*.pyc")}} & {{"exceptions", "user"}})
"""


def test_installed_packages_are_compiled_once_and_user_code_never(tmp_path: Path) -> None:
    """A package that is installed without bytecode is not compiled at every start."""
    (tmp_path / "user.py").write_text("")
    assert run_script(IMPORT.format(before=""), cwd=tmp_path) == ["exceptions"]


def test_nothing_is_written_where_python_was_told_so(tmp_path: Path) -> None:
    """PYTHONDONTWRITEBYTECODE."""
    (tmp_path / "user.py").write_text("")
    assert run_script(IMPORT.format(before="sys.dont_write_bytecode = True"), cwd=tmp_path) == []
