"""Folders in clouds' object stores, by their URL, under the identity of the process.

`gs://<bucket>/<prefix>` is Cloud Storage, `s3://<bucket>/<prefix>` S3, and
`abfss://<container>@<account>.dfs.core.windows.net/<prefix>` Azure's Data Lake Storage, which IDENTITY reads.
"""

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

_SCHEMES = ("gs://", "s3://", "abfss://")


class Folder(Protocol):
    """A folder. What goes wrong is raised as the cloud's library has it."""

    def names(self, below: str = "") -> list[str]:
        """The names of all objects below a path in the folder, from the folder on."""
        ...

    def listed(self, below: str = "", since: int | None = None) -> "Listed":
        """What lies directly below a path; of objects those that were written from then on, ms since 1970."""
        ...

    def read(self, name: str) -> bytes:
        """An object."""
        ...

    def write(self, name: str, content: bytes, kind: str) -> None:
        """Write an object as a whole; `kind` is its content type."""
        ...

    def create(self, name: str, content: bytes, kind: str) -> bool:
        """Write an object that isn't there yet; False, with nothing written, where it is. Of several one does."""
        ...


class Listed(NamedTuple):
    """The names of folders, each with a `/` at its end, and of objects; both from the folder on that was asked."""

    folders: list[str]
    names: list[str]


def is_url(place: str) -> bool:
    """Whether a place is in an object store, and not on this machine."""
    return place.startswith(_SCHEMES)


def open_folder(url: str, variables: Mapping[str, str] = os.environ) -> Folder:
    """The folder of a URL."""
    parts = urlsplit(url)
    prefix = f"{parts.path.strip('/')}/".lstrip("/")
    if parts.scheme == "gs":
        return CloudStorage(parts.netloc, prefix)
    if parts.scheme == "s3":
        return S3(parts.netloc, prefix)
    return DataLake(parts.username or "", parts.hostname or "", prefix, variables.get("IDENTITY"))


def _from(prefix: str, folders: Iterable[str], names: Iterable[str]) -> Listed:
    """Without the prefix, and without the objects by which consoles make an empty folder."""
    return Listed(
        [name.removeprefix(prefix) for name in folders],
        [name.removeprefix(prefix) for name in names if not name.endswith("/")],
    )


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)


class CloudStorage:
    """A folder of Cloud Storage."""

    def __init__(self, bucket: str, prefix: str):
        from google.cloud import storage

        self._client, self._name, self._prefix = storage.Client(), bucket, prefix
        self._bucket = self._client.bucket(bucket)

    def names(self, below: str = "") -> list[str]:
        """See Folder."""
        found = self._client.list_blobs(self._name, prefix=self._prefix + below)
        return [blob.name.removeprefix(self._prefix) for blob in found if not blob.name.endswith("/")]

    def listed(self, below: str = "", since: int | None = None) -> Listed:
        """See Folder."""
        # Its stubs say an iterator, which has no prefixes; these are there once the pages were read.
        found: Any = self._client.list_blobs(self._name, prefix=self._prefix + below, delimiter="/")
        names = [blob.name for blob in found if since is None or blob.updated >= _moment(since)]
        return _from(self._prefix, sorted(found.prefixes), names)

    def read(self, name: str) -> bytes:
        """See Folder."""
        return self._bucket.blob(self._prefix + name).download_as_bytes()

    def write(self, name: str, content: bytes, kind: str) -> None:
        """See Folder."""
        self._bucket.blob(self._prefix + name).upload_from_string(content, content_type=kind)

    def create(self, name: str, content: bytes, kind: str) -> bool:
        """See Folder. https://cloud.google.com/storage/docs/request-preconditions"""
        from google.api_core.exceptions import PreconditionFailed

        blob = self._bucket.blob(self._prefix + name)
        try:
            blob.upload_from_string(content, content_type=kind, if_generation_match=0)
        except PreconditionFailed:
            return False
        return True


class S3:
    """A folder of S3. The bucket's own default encrypts what is written."""

    def __init__(self, bucket: str, prefix: str):
        import boto3

        self._client, self._bucket, self._prefix = boto3.client("s3"), bucket, prefix

    def names(self, below: str = "") -> list[str]:
        """See Folder."""
        found = [one["Key"] for page in self._pages(below) for one in page.get("Contents", ())]
        return [key.removeprefix(self._prefix) for key in found if not key.endswith("/")]

    def listed(self, below: str = "", since: int | None = None) -> Listed:
        """See Folder."""
        pages = list(self._pages(below, Delimiter="/"))
        found = [one for page in pages for one in page.get("Contents", ())]
        names = [one["Key"] for one in found if since is None or one["LastModified"] >= _moment(since)]
        return _from(self._prefix, [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", ())], names)

    def _pages(self, below: str, **how: str) -> Iterable[Mapping[str, Any]]:
        asked = {"Bucket": self._bucket, "Prefix": self._prefix + below, **how}
        return self._client.get_paginator("list_objects_v2").paginate(**asked)

    def read(self, name: str) -> bytes:
        """See Folder."""
        return self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read()

    def write(self, name: str, content: bytes, kind: str) -> None:
        """See Folder."""
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=content, ContentType=kind)

    def create(self, name: str, content: bytes, kind: str) -> bool:
        """See Folder. https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html"""
        from botocore.exceptions import ClientError

        key = self._prefix + name
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=content, ContentType=kind, IfNoneMatch="*")
        except ClientError as error:
            # The second where another is writing it at this moment.
            if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"):
                return False
            raise
        return True


class DataLake:
    """A folder of Azure's Data Lake Storage, by the interface of blobs, which the same accounts have."""

    def __init__(self, container: str, host: str, prefix: str, identity: str | None):
        from azure.storage.blob import ContainerClient

        account = host.replace(".dfs.", ".blob.", 1)
        self._client: Any = ContainerClient(f"https://{account}", container, _azure_credential(identity))
        self._prefix = prefix

    def names(self, below: str = "") -> list[str]:
        """See Folder."""
        found = self._client.list_blob_names(name_starts_with=self._prefix + below)
        return [name.removeprefix(self._prefix) for name in found]

    def listed(self, below: str = "", since: int | None = None) -> Listed:
        """See Folder."""
        from azure.storage.blob import BlobPrefix

        found = list(self._client.walk_blobs(name_starts_with=self._prefix + below, delimiter="/"))
        folders = [one.name for one in found if isinstance(one, BlobPrefix)]
        objects = [one for one in found if not isinstance(one, BlobPrefix)]
        names = [one.name for one in objects if since is None or one.last_modified >= _moment(since)]
        return _from(self._prefix, folders, names)

    def read(self, name: str) -> bytes:
        """See Folder."""
        return self._client.download_blob(self._prefix + name).readall()

    def write(self, name: str, content: bytes, kind: str) -> None:
        """See Folder."""
        from azure.storage.blob import ContentSettings

        self._client.upload_blob(
            self._prefix + name, content, overwrite=True, content_settings=ContentSettings(content_type=kind)
        )

    def create(self, name: str, content: bytes, kind: str) -> bool:
        """See Folder. https://learn.microsoft.com/rest/api/storageservices/put-blob"""
        from azure.core.exceptions import ResourceExistsError
        from azure.storage.blob import ContentSettings

        settings = ContentSettings(content_type=kind)
        try:
            self._client.upload_blob(self._prefix + name, content, overwrite=False, content_settings=settings)
        except ResourceExistsError:
            return False
        return True


def _azure_credential(identity: str | None) -> Any:
    if identity:
        from ml_pipelines.streaming.azure_identity import credential

        return credential(identity)
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()
