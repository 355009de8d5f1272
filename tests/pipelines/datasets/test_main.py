"""The command: what it lists, what it writes, and what it says when it can't."""

import pyarrow.parquet as pq
import pytest
from ml_pipelines import datasets
from ml_pipelines.datasets import DATA_SETS, Disorder, Request
from ml_pipelines.datasets.__main__ import main


def test_the_list_names_every_set_with_its_workload(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(DATA_SETS)
    assert "fraud-detection" in lines[0]


def test_a_written_file_is_the_history(tmp_path):
    options = ["--events", "2000", "--seed", "3", "--late", "0.01", "--duplicates", "0.1", "--lateness", "5"]
    labels = tmp_path / "labels.parquet"
    files = ["--to", str(tmp_path / "a.parquet"), "--labels", str(labels)]
    assert main(["write", "payments", *files, *options, "--drift-at", "2025-02-01"]) == 0
    disorder = Disorder(late=0.01, duplicates=0.1, lateness_ms=300_000)
    found = datasets.load("payments", Request(2000, 3, disorder, drift_at=1_738_368_000_000))
    assert pq.read_table(tmp_path / "a.parquet").equals(found.log)
    assert pq.read_table(labels).equals(found.labels)


def test_the_same_command_writes_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        assert main(["write", "fraud-detection", "--events", "3000", "--to", str(tmp_path / name)]) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_set_without_contract_is_written_as_it_comes(tmp_path):
    assert main(["write", "loans", "--to", str(tmp_path / "a.parquet")]) == 0
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 9857


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["nothing"], "there is no data set `nothing`"),
        (["credit", "--labels", "l.parquet"], "`credit` has its labels in the events: leave --labels out"),
        (["credit", "--events", "5000"], "has 4454 events"),
        (["loans", "--events", "10"], "`loans` is written as it comes: leave --events and the others out"),
        (["credit", "--late", "3"], "`late` is a share"),
    ],
)
def test_what_cannot_be_written_is_told(options, words, tmp_path, capsys):
    assert main(["write", *options, "--to", str(tmp_path / "a.parquet")]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_told(tmp_path, capsys):
    assert main(["write", "credit", "--to", str(tmp_path / "no" / "a.parquet")]) == 2
    assert str(tmp_path / "no" / "a.parquet") in capsys.readouterr().err


def test_a_date_that_is_none_is_told(capsys):
    with pytest.raises(SystemExit):
        main(["write", "payments", "--to", "a", "--drift-at", "tomorrow"])
    assert "--drift-at" in capsys.readouterr().err
