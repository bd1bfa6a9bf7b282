"""What differs between releases of `aws-sdk-sagemaker-runtime-http2`, from 0.4 to the newest.

Which one is installed is the application's choice. Up to 0.9 the configuration is made by hand and
finds nothing by itself; from 0.10 on it is resolved from arguments, environment and profile. Here
the old ones find the same settings in the same places.
"""

from __future__ import annotations

import configparser
import importlib
import os
from pathlib import Path
from typing import Any

from aws_sdk_sagemaker_runtime_http2 import client as _client
from aws_sdk_sagemaker_runtime_http2 import config as _config
from smithy_core.aio.identity import ChainedIdentityResolver
from smithy_core.exceptions import SmithyIdentityError

_CLIENTS = ("AsyncSageMakerRuntimeHTTP2Client", "SageMakerRuntimeHTTP2Client")
_ENDPOINTS = ("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME_HTTP2", "AWS_ENDPOINT_URL")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_RESOLVED: Any = getattr(_config, "AsyncSageMakerRuntimeHTTP2Config", None)

Client: Any = next(getattr(_client, name) for name in _CLIENTS if name in vars(_client))
"""The SDK's client, whatever it is called."""


class NoRegion(Exception):
    """A release without settings of its own found no region."""


def _config_errors() -> tuple[type[Exception], ...]:
    try:
        exceptions = importlib.import_module("smithy_aws_core.config.exceptions")
    except ModuleNotFoundError:
        return (NoRegion,)
    return (NoRegion, exceptions.ConfigError)


CONFIG_ERRORS = _config_errors()
"""What `resolve` raises where the settings can't be used."""


async def resolve(
    *,
    endpoint_url: str | None,
    region: str | None,
    transport: Any,
    keys: tuple[str, str] | None = None,
) -> Any:
    """The client's configuration: of the arguments, of the environment, of the profile.

    Args:
        endpoint_url: where to.
        region: to sign for.
        transport: the SDK's HTTP client.
        keys: id and secret to sign with; those that are found unless given.

    Raises:
        CONFIG_ERRORS: there is no region, or a setting can't be used.
    """
    if _RESOLVED is None:
        profile = _Profile()
        region = region or _first(_REGIONS) or profile.setting("region")
        if region is None:
            raise NoRegion("there is no 'region'")
        return _config.Config(
            endpoint_uri=endpoint_url or _first(_ENDPOINTS) or profile.setting("endpoint_url"),
            region=region,
            aws_credentials_identity_resolver=_Keys(*keys) if keys else _found(profile, transport),
            transport=transport,
        )
    key, secret = keys or (None, None)
    given = {
        "endpoint_uri": endpoint_url,
        "region": region,
        "aws_access_key_id": key,
        "aws_secret_access_key": secret,
    }
    return await _RESOLVED.resolve(
        transport=transport, **{name: value for name, value in given.items() if value is not None}
    )


async def credentials(config: Any, transport: Any) -> Any:
    """The credentials that a configuration leads to, as the SDK's `AWSCredentialsIdentity`.

    Raises:
        SmithyError: there are none, or they can't be read.
    """
    if _RESOLVED is None:
        return await config.aws_credentials_identity_resolver.get_identity(properties={})
    from smithy_aws_core.identity import AWSCredentialsIdentity
    from smithy_aws_core.identity.chain import IdentityChain

    chain = await IdentityChain.create(
        AWSCredentialsIdentity, region_override=config.region, http_client=transport
    )
    return await chain.get_identity(properties={})


class _Keys:
    """A pair of keys, as the old releases want it: behind an object that gives it."""

    def __init__(self, key: str, secret: str) -> None:
        self._key, self._secret = key, secret

    async def get_identity(self, *, properties: Any) -> Any:
        """The keys, for the SDK."""
        from smithy_aws_core.identity import AWSCredentialsIdentity

        return AWSCredentialsIdentity(access_key_id=self._key, secret_access_key=self._secret)


class _Profile:
    """The chosen profile of the files that AWS's tools share."""

    def __init__(self) -> None:
        self._name = os.environ.get("AWS_PROFILE") or "default"
        self._files = configparser.RawConfigParser()
        self._files.read(
            Path(os.environ.get(variable) or f"~/.aws/{name}").expanduser()
            for variable, name in (
                ("AWS_CONFIG_FILE", "config"),
                ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            )
        )

    def setting(self, name: str) -> str | None:
        """A setting of the profile; None where it is not there."""
        for section in (self._name, f"profile {self._name}"):
            if self._files.has_option(section, name):
                return self._files.get(section, name)
        return None

    async def get_identity(self, *, properties: Any) -> Any:
        """The profile's own keys, for the SDK.

        Raises:
            SmithyIdentityError: it has none.
        """
        from smithy_aws_core.identity import AWSCredentialsIdentity

        key, secret = self.setting("aws_access_key_id"), self.setting("aws_secret_access_key")
        if key is None or secret is None:
            raise SmithyIdentityError(f"the profile {self._name} has no keys")
        return AWSCredentialsIdentity(
            access_key_id=key,
            secret_access_key=secret,
            session_token=self.setting("aws_session_token"),
        )


def _found(profile: _Profile, transport: Any) -> Any:
    """Environment, profile, container, instance: the order of every AWS SDK."""
    from smithy_aws_core import identity

    environment: Any = identity.EnvironmentCredentialsResolver
    found: list[Any] = [environment(), profile]
    from_container = getattr(identity, "ContainerCredentialsResolver", None)
    if from_container is not None:
        found.append(from_container(http_client=transport))
    if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true":
        found.append(identity.IMDSCredentialsResolver(http_client=transport))
    return ChainedIdentityResolver(found)


def _first(names: tuple[str, ...]) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)
