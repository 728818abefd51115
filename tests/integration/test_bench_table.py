"""The benchmark's figures: percentiles, cells, ratios, and where the table is written."""

import math
from pathlib import Path

from tests.bench.table import BEGIN, END, ROWS, Row, cell, percentile, render, write

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
    table = render({"ours": {"start": [0.5]}, "between": {}, "theirs": {"start": [3.0]}}, ["facts"])
    assert "| start → registered | 0.50 s | – | 3.00 s | 6.0 × |" in table
    assert len([line for line in table.splitlines() if line.startswith("| ")]) == 2
    assert table.endswith("facts\n")


def test_rows_have_names_of_their_own() -> None:
    """Two rows of one name would show one measurement twice."""
    assert len({row.samples for row in ROWS}) == len({row.title for row in ROWS}) == len(ROWS)


def test_table_replaces_the_one_between_the_markers(tmp_path: Path) -> None:
    """The rest of README stays; without markers only the page is written."""
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert write("new\n", tmp_path) == [tmp_path / "docs" / "bench.md", readme]
    assert readme.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    readme.write_text("no markers\n")
    assert write("newer\n", tmp_path) == [tmp_path / "docs" / "bench.md"]
    assert readme.read_text() == "no markers\n"
    assert (tmp_path / "docs" / "bench.md").read_text().endswith("newer\n")
