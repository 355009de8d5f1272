"""The identity under which code on Azure acts."""

from typing import Any


def arguments(identity: str) -> dict[str, Any]:
    """How azure-identity is told of a user-assigned identity: by client id, or by resource id if brought along."""
    return {"identity_config": {"mi_res_id": identity}} if identity.startswith("/") else {"client_id": identity}


def credential(identity: str) -> Any:
    """The credential of a user-assigned identity."""
    from azure.identity import ManagedIdentityCredential

    return ManagedIdentityCredential(**arguments(identity))
