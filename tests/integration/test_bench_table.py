"""The benchmark's figures: percentiles, cells, ratios, and where the table is written."""

import math
from pathlib import Path

import pytest

from tests.bench.table import PAGES, ROWS, Row, cell, footnote, percentile, render, write

ROOT = Path(__file__).parents[2]
SECONDS = Row(samples="start", title="start", unit="s", digits=2)


def test_percentile_is_a_sample_that_so_many_do_not_exceed() -> None:
    """No interpolation: every figure shown was measured."""
    values = [float(n) for n in range(1, 21)]
    assert [percentile(values, share) for share in (0.5, 0.95, 1.0)] == [10.0, 19.0, 20.0]
    assert percentile([3.0], 0.95) == 3.0
    assert math.isnan(percentile([], 0.5))


def test_cell_shows_what_its_samples_allow() -> None:
    """One figure of one or two samples or of equal ones, three of more, a dash of none."""
    assert cell([], SECONDS) == "–"
    assert cell([1.0, 2.0], SECONDS) == "1.00 s"
    assert cell([1.0, 1.0, 1.0], SECONDS) == "1.00 s"
    assert cell([1.0, 2.0, 4.0], SECONDS) == "2.00 / 4.00 / 4.00 s"


def test_ratio_compares_the_last_column_with_the_first() -> None:
    """By the middle sample; a row that nobody measured is left out."""
    table = render({"ours": {"start": [0.5]}, "between": {}, "theirs": {"start": [3.0]}})
    assert "| start → registered | 0.50 s | – | 3.00 s | 6.0 × |" in table
    assert len([line for line in table.splitlines() if line.startswith("| ")]) == 2


def test_footnote_has_what_a_reader_must_know() -> None:
    """One line of its own."""
    assert footnote(["machine", "date"]).endswith("differ. machine · date\n")


def test_rows_have_names_of_their_own() -> None:
    """Two rows of one name would show one measurement twice."""
    assert len({row.samples for row in ROWS}) == len({row.title for row in ROWS}) == len(ROWS)


def test_table_replaces_the_one_between_its_markers(tmp_path: Path) -> None:
    """The rest of both pages stays, other tables, too."""
    for page in _pages(tmp_path):
        page.write_text("before\n<!-- b: begin -->\nold\n<!-- b: end -->\n<!-- a b: begin -->\nx\n<!-- a b: end -->\n")
    assert write("b", "new\n", tmp_path) == _pages(tmp_path)
    for page in _pages(tmp_path):
        assert page.read_text().startswith("before\n<!-- b: begin -->\nnew\n<!-- b: end -->\n<!-- a b: begin -->\nx\n")


def test_page_without_markers_is_an_error(tmp_path: Path) -> None:
    """A measurement of half an hour that is written nowhere must not look like a success."""
    for page in _pages(tmp_path):
        page.write_text("no markers\n")
    with pytest.raises(ValueError, match="has no"):
        write("b", "new\n", tmp_path)


def test_pages_have_the_markers_of_both_tables() -> None:
    """README and the page about the benchmark."""
    for page in PAGES:
        text = (ROOT / page).read_text()
        for name in ("bench", "voice bench"):
            assert text.index(f"<!-- {name}: begin -->") < text.index(f"<!-- {name}: end -->")


def _pages(root: Path) -> list[Path]:
    """Where both pages are in `root`, their folders made."""
    for page in PAGES:
        (root / page).parent.mkdir(exist_ok=True)
    return [root / page for page in PAGES]
