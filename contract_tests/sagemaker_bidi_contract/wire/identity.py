"""Whose requests these are: credentials and region, found where the AWS SDK finds them."""

from __future__ import annotations

from dataclasses import dataclass, field

from smithy_core.exceptions import SmithyError
from smithy_http.aio.crt import AWSCRTHTTPClient

from sagemaker_bidi_client.releases import CONFIG_ERRORS, credentials, resolve


class NoIdentity(Exception):
    """No region or no credentials; says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Credentials with the region that they sign for.

    Args:
        access_key_id: names the key.
        secret_access_key: signs; never shown.
        session_token: of temporary credentials; never shown.
        region: of the credential scope.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    region: str


async def resolve_identity(region: str | None) -> Identity:
    """Find region and credentials by the SDK's chain: environment, profile, instance.

    Args:
        region: wins over what the SDK finds.

    Raises:
        NoIdentity: there are none, or they cannot be read.
    """
    transport = AWSCRTHTTPClient()
    try:
        config = await resolve(endpoint_url=None, region=region, transport=transport)
        found = await credentials(config, transport)
    except CONFIG_ERRORS as error:
        hint = "; give --region, or set AWS_REGION" if "'region'" in str(error) else ""
        raise NoIdentity(f"the AWS configuration cannot be used: {error}{hint}") from error
    except SmithyError as error:
        raise NoIdentity(
            f"no AWS credentials: {error} Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "AWS_PROFILE; for an emulator `bidi trust` prints them"
        ) from error
    assert config.region is not None
    return Identity(
        found.access_key_id, found.secret_access_key, found.session_token, config.region
    )
