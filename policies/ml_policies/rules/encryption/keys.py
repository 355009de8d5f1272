"""The keys themselves: turned over in time, hard to lose, and administered by others than those who use them."""

import re
from collections.abc import Mapping
from typing import Any

from ml_policies.checks import Check, all_of, any_of, each, equals, judged, none_of, present, some, when
from ml_policies.policy_documents import Statement, Truth, all_true, is_not
from ml_policies.remedies import sets
from ml_policies.resource import UNKNOWN
from ml_policies.rule import Parameter, Rule, Severity
from ml_policies.rules.encryption.own_keys import REGISTRY
from ml_policies.rules.identity.documents import no_statement

_KMS = REGISTRY + "aws/api-docs/kms/key/"
_CRYPTO_KEY = REGISTRY + "gcp/api-docs/kms/cryptokey/"
_VAULT = REGISTRY + "azure-native/api-docs/keyvault/vault/"

_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")
_ISO = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T.*)?", re.IGNORECASE)


def _days(value: Any) -> float | None:
    """A duration in days: a number of them, seconds as Google writes them, or an ISO 8601 period."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    text = str(value).strip()
    if found := _SECONDS.fullmatch(text):
        return float(found[1]) / 86400
    if (found := _ISO.fullmatch(text)) and len(text) > 1:
        years, months, weeks, days = (int(part or 0) for part in found.groups())
        return years * 365 + months * 30 + weeks * 7 + days
    return float(text) if text.isdigit() else None


def _within(value: Any, parameters: Mapping[str, Any]) -> str | None:
    days = _days(value)
    return None if days is not None and 0 < days <= parameters["days"] else f"{parameters['days']} days or less"


def _lasting(value: Any, parameters: Mapping[str, Any]) -> str | None:
    days = _days(value)
    return None if days is not None and days >= parameters["days"] else f"{parameters['days']} days or more"


def _vault(retention: str, source: str) -> Check:
    return all_of(
        equals("properties.enablePurgeProtection", True, default=False, source=source),
        none_of("properties.enableSoftDelete", (False,), default=True, source=source),
        judged(retention, _lasting, default=90, source=source),
    )


_USE = ("kms:decrypt", "kms:generatedatakey", "kms:sign")
_DELETE = ("kms:schedulekeydeletion", "kms:putkeypolicy")
_ACCOUNT = re.compile(r"\d{12}|arn:aws[\w-]*:iam::\d{12}:root")


def _uses_and_deletes(statement: Statement) -> Truth:
    """Whether somebody other than the account as a whole may both use a key, and delete it or change its policy."""
    accounts = all_true(
        UNKNOWN if who is UNKNOWN else bool(_ACCOUNT.fullmatch(str(who))) for _, who in statement.principals or ()
    )
    return all_true((statement.grants(*_USE), statement.grants(*_DELETE), is_not(accounts)))


_VAULT_USE = frozenset({"decrypt", "unwrapkey", "sign"})
_VAULT_DELETE = frozenset({"delete", "purge"})


def _vault_uses_and_deletes(value: Any, _: Mapping[str, Any]) -> str | None:
    """Permissions of an access policy: not all of them, and not use together with deletion."""
    found = {str(one).casefold() for one in value} if isinstance(value, list | tuple) else set()
    wrong = "all" in found or (found & _VAULT_USE and found & _VAULT_DELETE)
    return "permissions either to use keys or to delete them" if wrong else None


_NO_OWNER = none_of("role", ("roles/owner", "roles/editor"))

RULES = (
    Rule(
        "MLB-ENC-013",
        "Keys are rotated by themselves, once a year at least.",
        Severity.MEDIUM,
        "Switch on the rotation of the key, with a period of a year or less.",
        checks={
            "aws:kms/key:Key": when(
                all_of(
                    equals("customerMasterKeySpec", "SYMMETRIC_DEFAULT", default="SYMMETRIC_DEFAULT", source=_KMS),
                    equals("keyUsage", "ENCRYPT_DECRYPT", default="ENCRYPT_DECRYPT", source=_KMS),
                ),
                all_of(
                    equals("enableKeyRotation", True, default=False, source=_KMS),
                    judged(
                        "rotationPeriodInDays",
                        _within,
                        default=365,
                        source="https://docs.aws.amazon.com/kms/latest/APIReference/API_EnableKeyRotation.html",
                    ),
                ),
            ),
            "gcp:kms/cryptoKey:CryptoKey": when(
                equals("purpose", "ENCRYPT_DECRYPT", default="ENCRYPT_DECRYPT", source=_CRYPTO_KEY),
                judged("rotationPeriod", _within),
            ),
            "azure-native:keyvault:Key": some(
                "properties.rotationPolicy.lifetimeActions[]",
                all_of(
                    equals("action.type", "rotate"),
                    any_of(
                        judged("trigger.timeAfterCreate", _within),
                        each("trigger", present("timeBeforeExpiry")),
                    ),
                ),
                "an action that rotates the key in time",
            ),
        },
        parameters={
            "days": Parameter(
                365, {"type": "integer", "minimum": 1}, "The longest time between two rotations, in days."
            )
        },
        references=("checkov:CKV_AWS_7", "checkov:CKV_GCP_43"),
        differs={"checkov:CKV_GCP_43": "It asks for 90 days; ours for a year, as on the other clouds, or for `days`."},
        remedies={"aws:kms/key:Key": sets({"enableKeyRotation": True})},
    ),
    Rule(
        "MLB-ENC-014",
        "A key that is deleted by mistake can be brought back for two weeks at least.",
        Severity.HIGH,
        "Give the key a longer waiting time before it is gone; protect the vault against purges.",
        checks={
            **dict.fromkeys(
                (
                    "aws:kms/key:Key",
                    "aws:kms/externalKey:ExternalKey",
                    "aws:kms/replicaKey:ReplicaKey",
                ),
                judged("deletionWindowInDays", _lasting, default=30, source=_KMS),
            ),
            "gcp:kms/cryptoKey:CryptoKey": judged(
                "destroyScheduledDuration", _lasting, default="2592000s", source=_CRYPTO_KEY
            ),
            "azure-native:keyvault:Vault": _vault("properties.softDeleteRetentionInDays", _VAULT),
            "azure-native:keyvault:ManagedHsm": _vault(
                "properties.softDeleteRetentionInDays", REGISTRY + "azure-native/api-docs/keyvault/managedhsm/"
            ),
        },
        parameters={
            "days": Parameter(
                14, {"type": "integer", "minimum": 7}, "The least time in which a key comes back, in days."
            )
        },
        references=("checkov:CKV_AZURE_110", "checkov:CKV_AZURE_111", "checkov:CKV_AZURE_42"),
        remedies={"azure-native:keyvault:Vault": sets({"properties.enablePurgeProtection": True})},
    ),
    Rule(
        "MLB-ENC-015",
        "Who uses a key can't delete it or change who has it.",
        Severity.MEDIUM,
        "Split the grant: administration for one identity, encryption and decryption for the others.",
        checks={
            **dict.fromkeys(
                ("aws:kms/key:Key", "aws:kms/keyPolicy:KeyPolicy"),
                no_statement("policy", _uses_and_deletes, "use and administration by different identities"),
            ),
            **dict.fromkeys(
                (
                    "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember",
                    "gcp:kms/cryptoKeyIAMBinding:CryptoKeyIAMBinding",
                    "gcp:kms/keyRingIAMMember:KeyRingIAMMember",
                    "gcp:kms/keyRingIAMBinding:KeyRingIAMBinding",
                ),
                _NO_OWNER,
            ),
            "azure-native:keyvault:Vault": judged(
                "properties.accessPolicies[].permissions.keys", _vault_uses_and_deletes
            ),
        },
    ),
)
