"""Conditions that keep strangers out: which keys of AWS name a caller or a network, and which values do so narrowly.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html says what makes a policy
public to Amazon S3; https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html the keys.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping

from ml_policies.policy_documents import Statement, Truth, any_true

Narrow = Callable[[str], bool]

# Networks wider than these are no limit.
_WIDEST = {4: 8, 6: 32}
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def _matching(pattern: str) -> Narrow:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda text: compiled.fullmatch(text) is not None


def _arn(text: str) -> bool:
    """An ARN of one account; or one without account, as of a bucket, that begins with a name."""
    parts = text.split(":", 5)
    if len(parts) < 6 or "${" in text or set("*?") & set(parts[2]):
        return False
    return re.fullmatch(r"\d{12}", parts[4]) is not None or (parts[4] == "" and parts[5][:1] not in {"", "*", "?"})


def _network(text: str) -> bool:
    """An address, or a network of bounded size; private ones count whatever their size."""
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return False
    size = network.prefixlen
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        return size - 96 >= _WIDEST[4]
    return size >= _WIDEST[network.version]


_account = _matching(r"\d{12}")
_organisation = _matching(r"o-[a-z0-9]+")
_organisation_path = _matching(r"o-[a-z0-9]+/.*")
_name = _matching(r"[^*?$]+")

CALLERS: Mapping[str, Narrow] = {
    "aws:principalaccount": _account,
    "aws:principalarn": _arn,
    "aws:principalorgid": _organisation,
    "aws:principalorgpaths": _organisation_path,
    "aws:sourceaccount": _account,
    "aws:sourcearn": _arn,
    "aws:sourceorgid": _organisation,
    "aws:sourceorgpaths": _organisation_path,
    "aws:sourceowner": _account,
    "aws:userid": _name,
    "kms:calleraccount": _account,
    "s3:dataaccesspointaccount": _account,
    "s3:dataaccesspointarn": _arn,
}
NETWORKS: Mapping[str, Narrow] = {
    "aws:sourceip": _network,
    "aws:sourcevpc": _matching(r"vpc-[0-9a-z]+"),
    "aws:sourcevpce": _matching(r"vpce-[0-9a-z]+"),
    "aws:vpcsourceip": _network,
}
# What keeps a service from acting for somebody else's resource (the confused deputy).
DEPUTIES: Mapping[str, Narrow] = {
    **{key: narrow for key, narrow in CALLERS.items() if key.startswith("aws:source")},
    "kms:calleraccount": _account,
    "kms:encryptioncontext:aws:logs:arn": _arn,
    "sts:externalid": _name,
}
# What makes an account say more about who may come.
WITHIN_ACCOUNT: Mapping[str, Narrow] = {
    "aws:principalarn": _arn,
    "aws:principalorgid": _organisation,
    "aws:principalorgpaths": _organisation_path,
    "aws:multifactorauthpresent": _matching("true"),
    "sts:externalid": _name,
}


def limited_by(statement: Statement, keys: Mapping[str, Narrow]) -> Truth:
    """Whether a condition demands a narrow value of one of some keys."""
    return any_true(one.limits(keys.__contains__, keys.get(one.key, _nothing)) for one in statement.conditions)


def _nothing(_: str) -> bool:
    return False
