"""Where the sandbox keeps its things, whatever the variables of the shell say."""

from pathlib import Path

import pytest
from sandbox import home


def test_the_home_is_in_the_repository_unless_a_variable_says_otherwise(monkeypatch) -> None:
    monkeypatch.delenv("ML_BLUEPRINTS_SANDBOX")
    assert home.home() == home.REPOSITORY / ".sandbox"
    assert (home.REPOSITORY / "Pulumi.yaml").exists()
    monkeypatch.setenv("ML_BLUEPRINTS_SANDBOX", "/elsewhere")
    assert home.home() == Path("/elsewhere")
    assert home.cloud_state("aws") == Path("/elsewhere/clouds/aws.sqlite")


def test_an_empty_variable_means_none(monkeypatch) -> None:
    monkeypatch.setenv("ML_BLUEPRINTS_SANDBOX", "")
    assert home.home() == home.REPOSITORY / ".sandbox"


def test_a_relative_home_is_the_same_for_commands_that_run_elsewhere(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ML_BLUEPRINTS_SANDBOX", "play")
    monkeypatch.chdir(tmp_path)
    assert home.home() == tmp_path / "play"


@pytest.mark.parametrize("ignored", [None, "", "relative/cache"])
def test_the_cache_is_the_users_unless_a_variable_names_another_in_full(monkeypatch, ignored: str | None) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert home.cache() == Path("/elsewhere/ml-blueprints")
    if ignored is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
    assert home.cache() == Path.home() / ".cache" / "ml-blueprints"


def test_a_temporary_home_is_empty_and_gone_afterwards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ML_BLUEPRINTS_SANDBOX", str(tmp_path))
    with home.temporary() as folder:
        assert folder in home.home().parents
        assert not home.home().exists()
        home.home().mkdir()
    assert not folder.exists()
    assert home.home() == tmp_path
