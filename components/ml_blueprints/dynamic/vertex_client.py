"""Google's clients for models and endpoints of Vertex AI, reached as the Google provider of the same stack is.

They are imported when something is created, changed, read or deleted; a preview needs none of them.
"""

import json
import os
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pulumi.dynamic import Config

from ml_blueprints import lean_imports

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LONGEST_PAUSE = 20.0

# The provider's own settings, and the variables that it reads in their place.
# https://www.pulumi.com/registry/packages/gcp/installation-configuration/
_SETTINGS = {
    "vertexAiCustomEndpoint": ("GOOGLE_VERTEX_AI_CUSTOM_ENDPOINT",),
    "accessToken": ("GOOGLE_OAUTH_ACCESS_TOKEN",),
    "credentials": ("GOOGLE_CREDENTIALS", "GOOGLE_CLOUD_KEYFILE_JSON", "GCLOUD_KEYFILE_JSON"),
    "impersonateServiceAccount": ("GOOGLE_IMPERSONATE_SERVICE_ACCOUNT",),
}


class VertexError(Exception):
    """What Vertex AI refused, or what this program can't ask of it; the text is what the user sees."""


@dataclass(frozen=True)
class Connection:
    """Where Vertex AI is, and as whom it is asked; empty is what Google's libraries find by themselves."""

    endpoint: str = ""
    token: str = ""
    credentials: str = ""
    impersonated: str = ""

    @classmethod
    def of(cls, config: Config, environment: Mapping[str, str] = os.environ) -> Self:
        """As the stack's configuration of the provider says, or its variables."""
        found = [
            config.get(f"gcp:{name}") or next(filter(None, map(environment.get, variables)), "")
            for name, variables in _SETTINGS.items()
        ]
        return cls(*found)

    def host(self, location: str) -> str:
        """Scheme and name of the service in a region. Raises VertexError for an endpoint that isn't the API's v1."""
        if not self.endpoint:
            return f"https://{location}-aiplatform.googleapis.com"
        host = self.endpoint.rstrip("/").removesuffix("/v1")
        scheme, _, place = host.partition("://")
        if scheme not in ("http", "https") or not place or "/" in place:
            raise VertexError(
                f"gcp:vertexAiCustomEndpoint: found `{self.endpoint}`; a URL that ends with `/v1/` is right, such as "
                f"`https://{location}-aiplatform.googleapis.com/v1/`"
            )
        return host

    @cached_property
    def _found(self) -> Any:
        """Credentials of Google's libraries."""
        import google.auth
        from google.auth import impersonated_credentials
        from google.oauth2.credentials import Credentials

        if self.token:
            found = Credentials(self.token)
        elif self.credentials:
            text = self.credentials if self.credentials.lstrip().startswith("{") else Path(self.credentials).read_text()
            found, _ = google.auth.load_credentials_from_dict(json.loads(text), scopes=[_SCOPE])
        else:
            found, _ = google.auth.default(scopes=[_SCOPE])
        if not self.impersonated:
            return found
        return impersonated_credentials.Credentials(found, self.impersonated, [_SCOPE])

    def credentials_for(self, host: str) -> Any:
        """None of the user's credentials go where nothing is encrypted."""
        from google.auth.credentials import AnonymousCredentials

        return AnonymousCredentials() if host.startswith("http://") else self._found


class Vertex:
    """Models and endpoints in one region."""

    def __init__(self, connection: Connection, location: str):
        # Google's package is imported whole in 5 seconds, and the part that is used in 1.5.
        lean_imports.install()
        from google.api_core.operations_v1 import AbstractOperationsClient, OperationsRestTransport
        from google.cloud.aiplatform_v1.services.endpoint_service import EndpointServiceClient
        from google.cloud.aiplatform_v1.services.endpoint_service.transports import EndpointServiceRestTransport
        from google.cloud.aiplatform_v1.services.model_service import ModelServiceClient
        from google.cloud.aiplatform_v1.services.model_service.transports import ModelServiceRestTransport

        host = connection.host(location)
        credentials = connection.credentials_for(host)
        self.models = ModelServiceClient(transport=ModelServiceRestTransport(host=host, credentials=credentials))
        self.endpoints = EndpointServiceClient(
            transport=EndpointServiceRestTransport(host=host, credentials=credentials)
        )
        # The paths that the clients themselves would poll, `/ui/...`, are those of Google's console.
        poll = {"google.longrunning.Operations.GetOperation": [{"method": "get", "uri": "/v1/{name=projects/**}"}]}
        self._operations = AbstractOperationsClient(
            transport=OperationsRestTransport(host=host, credentials=credentials, http_options=poll)
        )

    def model(self, name: str) -> Any:
        """A model as it is now, or None."""
        return _found(name, lambda: self.models.get_model(name=name))

    def endpoint(self, name: str) -> Any:
        """An endpoint as it is now, with its deployments and its traffic, or None."""
        return _found(name, lambda: self.endpoints.get_endpoint(name=name))

    def wait(self, started: Any, seconds: float) -> None:
        """Wait until what a request has started has ended. Raises what it ended with."""
        from google.api_core.exceptions import from_grpc_status

        end, pause = time.monotonic() + seconds, 1.0
        while not (now := self._operations.get_operation(started.operation.name)).done:
            if time.monotonic() > end:
                raise VertexError(
                    f"{now.name} isn't done after {seconds:.0f} s; it goes on, and `pulumi up` takes it up"
                )
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        if now.error.code:
            raise from_grpc_status(now.error.code, now.error.message)


def _found(name: str, get: Callable[[], Any]) -> Any:
    from google.api_core.exceptions import NotFound

    with explained(f"`{name}` can't be read"):
        try:
            return get()
        except NotFound:
            return None


@contextmanager
def explained(what: str) -> Generator[None]:
    """Turn what Google's libraries raise into VertexError, which says what was wanted and what is said to it."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except GoogleAPICallError as error:
        raise VertexError(f"{what}: {error.message}") from None
    except RetryError as error:
        raise VertexError(f"{what}: it took too long: {error}") from None
    except GoogleAuthError as error:
        raise VertexError(f"{what}: there are no credentials of Google Cloud: {error}") from None
