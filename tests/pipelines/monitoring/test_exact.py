"""Two tables compared by all of their values, beside NumPy and SciPy on whole columns."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ml_pipelines.monitoring import distances, exact
from scipy import stats
from scipy.spatial.distance import jensenshannon


@pytest.fixture
def tables(tmp_path):
    """Two tables of different length, in several row groups, with all kinds of columns."""
    files = []
    for name, rows, shift in (("reference", 6000, 0.0), ("current", 4001, 0.4)):
        draw = np.random.default_rng(rows)
        gaps = draw.lognormal(shift, 1, rows)
        gaps[draw.random(rows) < 0.1] = np.nan
        columns = {
            "level": draw.normal(shift, 1, rows),
            "gaps": pa.array(gaps, from_pandas=True),
            "whole": draw.poisson(50 + shift * 10, rows),
            "few": draw.integers(0, 4, rows),
            "flag": draw.random(rows) < 0.3 + shift,
            "word": draw.choice(["red", "green", "blue"], rows, p=[0.5, 0.3 - shift / 2, 0.2 + shift / 2]),
        }
        files.append(tmp_path / f"{name}.parquet")
        pq.write_table(pa.table(columns), files[-1], row_group_size=1500)
    return files


def expected(before, after, few):
    """By the libraries, on whole columns."""
    if few:
        values = np.unique(np.concatenate([before, after]))
        counts = [np.array([np.sum(one == value) for value in values]) for one in (before, after)]
    else:
        edges = np.histogram_bin_edges(np.concatenate([before, after]), bins="sturges")
        counts = [np.histogram(one, edges)[0] for one in (before, after)]
    test = stats.ks_2samp(before, after, method="asymp")
    return {
        "population_stability_index": distances.population_stability_index(*counts),
        "jensen_shannon": jensenshannon(counts[0] / counts[0].sum(), counts[1] / counts[1].sum()),
        "kolmogorov_smirnov": test.statistic,
        "kolmogorov_smirnov_p": test.pvalue,
        "wasserstein": stats.wasserstein_distance(before, after) / before.std(),
    }


def test_numbers_are_those_of_the_libraries(tables):
    found = dict(exact.compared(*tables))
    assert list(found) == ["level", "gaps", "whole", "few", "flag", "word"]
    both = [pq.read_table(file) for file in tables]
    for name in ("level", "gaps", "whole", "few", "flag"):
        columns = [table[name].drop_null().to_numpy().astype(np.float64) for table in both]
        assert found[name] == pytest.approx(expected(*columns, name in ("few", "flag")), abs=1e-9)
    words = [np.unique(table["word"].to_numpy(), return_counts=True)[1] for table in both]
    assert found["word"] == pytest.approx(
        {name: of[0](*words) for name, of in distances.OF_COUNTS.items()},
    )


@pytest.mark.parametrize("sizes", [(4, 4), (1, 5000), (4097, 4097), (700_000, 300_001)])
def test_any_two_sizes_are_compared(sizes):
    draw = np.random.default_rng(1)
    before, after = (np.sort(draw.normal(size=size)) for size in sizes)
    assert exact.wasserstein(before, after, 1.0) == pytest.approx(stats.wasserstein_distance(before, after), abs=1e-9)
    statistic = stats.ks_2samp(before, after, method="asymp").statistic
    assert exact.kolmogorov_smirnov(before, after) == pytest.approx(statistic, abs=1e-12)


def test_what_is_constant_is_compared(tmp_path):
    pq.write_table(pa.table({"one": np.full(50, 3.0)}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"one": np.full(60, 4.0)}), tmp_path / "b.parquet")
    same = dict(exact.compared(tmp_path / "a.parquet", tmp_path / "a.parquet"))["one"]
    other = dict(exact.compared(tmp_path / "a.parquet", tmp_path / "b.parquet"))["one"]
    assert (same["population_stability_index"], same["wasserstein"], same["kolmogorov_smirnov"]) == (0, 0, 0)
    assert (other["kolmogorov_smirnov"], other["wasserstein"]) == (1.0, pytest.approx(1000))


def test_the_command_line_prints_what_was_asked_for(tables, tmp_path, capsys):
    words = [str(file) for file in tables]
    assert exact.main([*words, "--column", "level", "--metric", "wasserstein"]) == 0
    assert list(json.loads(capsys.readouterr().out)["level"]) == ["wasserstein"]
    assert exact.main([*words, "--column", "nothing"]) == 2
    assert "exact: column `nothing`: one of " in capsys.readouterr().err
    pq.write_table(pa.table({"level": pa.array([None, None], pa.float64())}), tmp_path / "empty.parquet")
    assert exact.main([words[0], str(tmp_path / "empty.parquet")]) == 2
    assert "exact: column `level`: holds no value" in capsys.readouterr().err
