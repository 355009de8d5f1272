"""Connections to Redis: with TLS they are made under the identity of Azure, whose tokens are asked for as they end."""

import base64
import json
import os
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.cluster import RedisCluster

# Whom a token for Azure Managed Redis is for. https://learn.microsoft.com/azure/redis/entra-for-authentication
SCOPE = "https://redis.azure.com/.default"


class EntraCredentials(redis.CredentialProvider):
    """The object id of an identity as user, and a token as password."""

    def __init__(self, credential: Any):
        self._credential = credential

    def get_credentials(self) -> tuple[str, str]:
        """User and password for a new connection."""
        token = self._credential.get_token(SCOPE).token
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims["oid"], token


def connect(url: str) -> Any:
    """A client of the Redis that a URL means: `redis://host:port`, or `rediss://host:port` for a cluster on Azure."""
    parts = urlsplit(url)
    if parts.scheme == "redis":
        return redis.Redis(host=parts.hostname or "localhost", port=parts.port or 6379, socket_timeout=5)
    from ml_pipelines.streaming.azure_identity import credential

    host = parts.hostname or ""
    return RedisCluster(
        host=host,
        port=parts.port or 10000,
        ssl=True,
        credential_provider=EntraCredentials(credential(os.environ["IDENTITY"])),
        socket_timeout=5,
        # A node names itself by its address, which the cluster's certificate doesn't.
        address_remap=lambda node: (host, node[1]),
    )
