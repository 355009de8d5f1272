"""Committed files that are made of code: a compiler writes them, or says which of them is not up to date."""

from ml_pipelines import compiled_files


def test_checking_writes_nothing_and_says_which_files_are_stale(tmp_path, capsys):
    old, new, same = (tmp_path / "folder" / name for name in ("old", "new", "same"))
    old.parent.mkdir()
    old.write_text("old")
    same.write_text("as it is")

    def run(*arguments: str) -> int:
        made = {old: "changed", new: "made", same: "as it is"}
        return compiled_files.run("a.compiler", "Compiles.", lambda: made, "jobs", arguments)

    assert run("--check") == 1
    said = capsys.readouterr().out.splitlines()
    assert said == [f"{file}: not up to date; run `make jobs`" for file in (old, new)]
    assert (old.read_text(), new.exists()) == ("old", False)
    assert run() == 0
    assert capsys.readouterr().out.splitlines() == [f"{old}: written", f"{new}: written"]
    assert (old.read_text(), new.read_text()) == ("changed", "made")
    assert run("--check") == 0
