"""Conditions of Azure: whatever their spelling they let the same through, and what isn't known is told so."""

import pytest
from ml_policies.azure_conditions import Request, read
from ml_policies.resource import UNKNOWN

ROLE = "@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId]"
WHO = "@Request[Microsoft.Authorization/roleAssignments:PrincipalId]"
KIND = "@Request[Microsoft.Authorization/roleAssignments:PrincipalType]"
READER, WRITER, ADA = (f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}" for digit in "12a")
WRITE = "Microsoft.Authorization/roleAssignments/write"


def asked(operation: str = WRITE, **known: str) -> Request:
    return Request(
        operation,
        {f"request[microsoft.authorization/roleassignments:{name.lower()}]": value for name, value in known.items()},
    )


@pytest.mark.parametrize(
    "text",
    [
        f"(!(ActionMatches{{'{WRITE}'}})) OR ({ROLE} ForAnyOfAnyValues:GuidEquals {{{READER}, {WRITER}}})",
        f"NOT ActionMatches{{'microsoft.authorization/roleassignments/*'}} || {ROLE} guidequals {{ {WRITER},{READER}}}",
        f"\n(\n !(ActionMatches {{'{WRITE}'}})\n or {ROLE} ForAllOfAnyValues:StringEqualsIgnoreCase {{'{READER}'}}\n)",
        f"!(ActionMatches{{'{WRITE}'}} && {ROLE} ForAnyOfAllValues:GuidNotEquals {{{READER.upper()}}})",
    ],
)
def test_spelling_makes_no_difference(text):
    condition = read(text)
    assert condition.lets(asked(roleDefinitionId=READER)) is True
    assert condition.lets(asked(roleDefinitionId=ADA)) is False
    assert condition.lets(asked(operation="Microsoft.Storage/storageAccounts/write", roleDefinitionId=ADA)) is True


@pytest.mark.parametrize(
    ("text", "known", "truth"),
    [
        (f"{ROLE} GuidEquals {READER} AND {WHO} GuidEquals {ADA}", {"roleDefinitionId": READER}, UNKNOWN),
        (f"{ROLE} GuidEquals {READER} AND {WHO} GuidEquals {ADA}", {"roleDefinitionId": WRITER}, False),
        (f"{ROLE} GuidEquals {READER} OR {WHO} GuidEquals {ADA}", {"roleDefinitionId": WRITER}, UNKNOWN),
        (f"{ROLE} GuidEquals {READER} OR {WHO} GuidEquals {ADA}", {"roleDefinitionId": READER}, True),
        # AND binds first.
        (
            f"{ROLE} GuidEquals {READER} OR {WHO} GuidEquals {ADA} AND {KIND} StringEquals 'User'",
            {"principalType": "Group"},
            UNKNOWN,
        ),
        (
            f"({ROLE} GuidEquals {READER} OR {WHO} GuidEquals {ADA}) AND {KIND} StringEquals 'User'",
            {"principalType": "Group"},
            False,
        ),
        # One that differs from any of two is everybody; one that differs from all isn't.
        (f"{ROLE} ForAnyOfAnyValues:GuidNotEquals {{{READER}, {WRITER}}}", {"roleDefinitionId": READER}, True),
        (f"{ROLE} ForAnyOfAllValues:GuidNotEquals {{{READER}, {WRITER}}}", {"roleDefinitionId": READER}, False),
        # What isn't told apart here.
        ("@Environment[UtcNow] DateTimeLessThan '2026-01-01T00:00:00.0Z'", {}, UNKNOWN),
        (f"Exists {ROLE}", {"roleDefinitionId": READER}, UNKNOWN),
        (
            f"{ROLE} GuidEquals @Principal[Microsoft.Directory/CustomSecurityAttributes/Id:Team_role]",
            {"roleDefinitionId": READER},
            UNKNOWN,
        ),
        ("!(ActionMatches{'*'} AND SubOperationMatches{'Blob.List'})", {}, UNKNOWN),
    ],
)
def test_what_is_not_known_is_told_where_it_decides(text, known, truth):
    assert read(text).lets(asked(**known)) is truth


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(",
        f"{ROLE} GuidEquals",
        f"{ROLE} GuidEquals {{}}",
        f"{ROLE} GuidEquals {{{READER} {WRITER}}}",
        f"{ROLE} GuidEquals {READER})",
        f"{ROLE} GuidEquals {READER} {WHO} GuidEquals {ADA}",
        f"GuidEquals {READER}",
        "ActionMatches{'open",
        "(" * 5000,
        "!" * 5000,
    ],
)
def test_what_can_not_be_read_is_refused(text):
    with pytest.raises(ValueError, match=r"expected|can't be read|after the end|brackets"):
        read(text)


def test_every_guid_is_found():
    assert read(f"{ROLE} GuidEquals {{{READER.upper()}}} OR {WHO} GuidEquals {ADA}").guids == {READER, ADA}
