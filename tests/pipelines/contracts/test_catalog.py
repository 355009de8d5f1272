"""The contracts of the package: six, found by name and by fingerprint, their fingerprints those of two libraries."""

import json

import avro.schema
import pytest
from ml_pipelines.contracts import catalog
from ml_pipelines.contracts.values import without_logical_types

NAMES = (
    "card_transaction",
    "credit_application",
    "delivery",
    "rating",
    "station_day",
    "subscription_month",
)
VERSIONS = [(name, version) for name in catalog.names() for version in catalog.contract(name).versions]


def test_there_are_six_and_three_have_two_versions():
    assert catalog.names() == NAMES
    assert {name: tuple(catalog.contract(name).versions) for name in NAMES} == {
        **dict.fromkeys(NAMES, (1,)),
        "card_transaction": (1, 2),
        "credit_application": (1, 2),
        "subscription_month": (1, 2),
    }
    assert catalog.contract("card_transaction").newest == 2


def test_a_name_that_is_none_is_told_with_those_that_are():
    with pytest.raises(LookupError, match="no contract `card`; there are card_transaction, credit_application"):
        catalog.contract("card")


def test_a_folder_without_versions_is_no_contract(tmp_path):
    with pytest.raises(LookupError, match=r"its versions are 1.avsc, 2.avsc"):
        catalog.Contract.load(tmp_path)


@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_a_version_is_found_by_its_fingerprint(name, version):
    contract = catalog.contract(name)
    found, number = catalog.find(contract.fingerprint(version))
    assert (found.name, number) == (name, version)


@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_the_fingerprint_is_the_one_that_apaches_library_computes(name, version):
    """But for logical types, which Apache's Python library leaves a trace of in the canonical form."""
    contract = catalog.contract(name)
    plain = json.dumps(without_logical_types(contract.versions[version])).replace('{"type": "long"}', '"long"')
    assert contract.fingerprint(version) == avro.schema.parse(plain).fingerprint("CRC-64-AVRO")


def test_a_fingerprint_of_nothing_is_refused():
    with pytest.raises(LookupError, match="0000000000000000"):
        catalog.find(bytes(8))


def test_the_fingerprint_of_the_specification():
    """The one worked example that Java's and Rust's tests share: the schema `"null"` has 63dd24e7cc258f8a."""
    assert catalog.fingerprint('"null"', "CRC-64-AVRO") == "8a8f25cce724dd63"
