"""Which directories and names decide about a file."""

from pathlib import Path

import pytest

from agenthost.watching.places import Selection, Survey, survey


def of(*paths: Path, code: tuple[Path, ...] = ()) -> Survey:
    return survey(Selection(paths=frozenset(paths), code_folders=frozenset(code)))


def names(found: Survey) -> dict[Path, set[str]]:
    """The directories with the names that matter in them."""
    return {path: interest.names for path, interest in found.interests.items() if interest.names}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A real directory, whatever the temporary folder is a link to."""
    return tmp_path.resolve()


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_plain_file_is_watched_in_its_own_directory(folder: Path) -> None:
    """Of directories further up nothing needs to be heard."""
    file = write(folder / "app" / "a.py")
    assert names(of(file)) == {folder / "app": {"a.py"}}


def test_config_map_is_watched_at_every_link(folder: Path) -> None:
    """file → ..data/file, ..data → ..1/: kubelet replaces the second link only."""
    write(folder / "..1" / "agenthost.yaml")
    (folder / "..data").symlink_to("..1")
    (folder / "agenthost.yaml").symlink_to("..data/agenthost.yaml")
    assert names(of(folder / "agenthost.yaml")) == {
        folder: {"agenthost.yaml", "..data", "..1"},
        folder / "..1": {"agenthost.yaml"},
    }


def test_folder_that_is_a_link_is_watched_where_it_is_and_where_it_leads(folder: Path) -> None:
    """current → releases/7, the usual deployment, absolute links too."""
    write(folder / "releases" / "7" / "app" / "a.py")
    (folder / "current").symlink_to(folder / "releases" / "7")
    assert names(of(folder / "current" / "app" / "a.py")) == {
        folder: {"current"},
        folder / "releases": {"7"},
        folder / "releases" / "7" / "app": {"a.py"},
    }


def test_missing_file_is_awaited_in_the_last_directory_there_is(folder: Path) -> None:
    """Its first missing part is what will appear."""
    file = folder / "prompts" / "de" / "a.md"
    found = of(file)
    assert names(found) == {folder: {"prompts"}}
    assert found.files == {file}


def test_links_in_a_circle_lead_nowhere(folder: Path) -> None:
    """And end the search."""
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    assert names(of(folder / "a")) == {folder: {"a", "b"}}


def test_code_folder_has_python_files_and_no_environments(folder: Path) -> None:
    """Also in folders below, but not those of tools; the folders themselves are watched for new ones."""
    wanted = {write(folder / name) for name in ("a.py", "pkg/b.py")}
    for name in ("readme.md", ".venv/c.py", "env/pyvenv.cfg", "env/d.py", "pkg/__pycache__/b.pyc", "pkg/.#b.py"):
        write(folder / name)
    found = of(code=(folder,))
    assert found.files == wanted
    assert set(found.interests) == {folder, folder / "pkg", folder.parent}


def test_given_folder_has_all_its_files(folder: Path) -> None:
    """`reload.paths`: whatever is in there, but noise."""
    wanted = {write(folder / name) for name in ("a.md", "de/b.txt", "c.py")}
    for name in (".hidden", "a.md~", "de/.b.txt.swp"):
        write(folder / name)
    assert of(folder).files == wanted


def test_link_to_a_folder_above_is_not_followed_for_ever(folder: Path) -> None:
    """A circle through a directory."""
    write(folder / "a" / "x.py")
    (folder / "a" / "up").symlink_to("..")
    assert of(code=(folder,)).files == {folder / "a" / "x.py"}


def test_file_behind_a_link_in_a_folder_is_watched_where_it_is(folder: Path) -> None:
    """A prompt that several agents share."""
    shared = write(folder / "shared" / "a.md")
    (folder / "prompts").mkdir()
    (folder / "prompts" / "a.md").symlink_to(shared)
    found = of(folder / "prompts")
    assert found.files == {folder / "prompts" / "a.md"}
    assert found.interests[folder / "shared"].names == {"a.md"}


def test_interest_is_in_what_may_change_a_file(folder: Path) -> None:
    """In a folder of code a log file or an object database is of none."""
    write(folder / "a.py")
    interest = of(code=(folder,)).interests[folder]
    for name, is_folder in (("a.py", False), ("new.py", False), ("pkg", True)):
        assert interest.covers(name, is_folder=is_folder), name
    for name, is_folder in (("agent.log", False), (".git", True), (".a.py.swp", False), ("__pycache__", True)):
        assert not interest.covers(name, is_folder=is_folder), name


def test_another_directory_of_one_name_is_another(folder: Path) -> None:
    """It needs a watch of its own."""
    file = write(folder / "app" / "a.py")
    before = of(file).interests[folder / "app"].identity
    (folder / "app").rename(folder / "old")
    write(file)
    assert of(file).interests[folder / "app"].identity != before


def test_selection_holds_files_that_do_not_exist_yet(folder: Path) -> None:
    """What is found later in a selected folder was selected before."""
    selection = Selection(paths=frozenset({folder / "a"}), code_folders=frozenset({folder / "code"}))
    assert selection.holds(folder / "a")
    assert selection.holds(folder / "code" / "pkg" / "b.py")
    assert not selection.holds(folder / "b")
