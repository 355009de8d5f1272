"""What Azure's schema registry is told of a contract, and when it is filled again."""

from pathlib import Path

import pytest
from ml_blueprints.azure import contract_registry
from ml_blueprints.workload import Contract

CONTRACTS = Path(__file__).parents[3] / "pipelines" / "ml_pipelines" / "contracts" / "card_transaction"
VERSIONS = sorted(int(path.stem) for path in CONTRACTS.glob("*.avsc"))


def contract(path: str, folder: Path = CONTRACTS) -> Contract:
    return Contract.model_validate({"path": path}, context={"directory": folder})


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_of_a_contract_is_published_by_a_run_of_its_own(version):
    others = {contract_registry.version(contract(f"{other}.avsc")) for other in VERSIONS if other != version}
    assert contract_registry.version(contract(f"{version}.avsc")) not in others
    assert contract_registry.told(contract(f"{version}.avsc"))["version"] == str(version)


def test_a_contract_without_a_history_has_no_version_to_tell(tmp_path):
    (tmp_path / "own.avsc").write_text((CONTRACTS / "1.avsc").read_text(encoding="utf-8"), encoding="utf-8")
    alone = contract("own.avsc", tmp_path)
    assert alone.history is None
    assert contract_registry.told(alone) == {"contract": "CardTransaction", "compatibility": "BACKWARD"}
