"""What Azure's schema registry is told of a contract, and when it is filled again."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from ml_blueprints.azure import contract_registry
from ml_blueprints.workload import Contract

CONTRACTS = Path(__file__).parents[3] / "pipelines" / "ml_pipelines" / "contracts" / "card_transaction"
VERSIONS = sorted(int(path.stem) for path in CONTRACTS.glob("*.avsc"))


def contract(path: str, folder: Path = CONTRACTS) -> Contract:
    return Contract.model_validate({"path": path}, context={"directory": folder})


@pytest.mark.parametrize("version", VERSIONS)
def test_the_version_in_use_is_told_and_all_are_published_whichever_it_is(version):
    used = contract(f"{version}.avsc")
    assert contract_registry.told(used)["version"] == str(version)
    assert contract_registry.version(used) == contract_registry.version(contract(f"{VERSIONS[-1]}.avsc"))


def test_another_published_version_is_another_run():
    used = contract(f"{VERSIONS[-1]}.avsc")
    fewer = SimpleNamespace(published={version: used.published[version] for version in VERSIONS[:-1]})
    assert contract_registry.version(fewer) != contract_registry.version(used)


def test_a_contract_without_a_history_has_no_version_to_tell(tmp_path):
    (tmp_path / "own.avsc").write_text((CONTRACTS / "1.avsc").read_text(encoding="utf-8"), encoding="utf-8")
    alone = contract("own.avsc", tmp_path)
    assert alone.history is None
    assert contract_registry.told(alone) == {"contract": "CardTransaction", "compatibility": "BACKWARD"}
