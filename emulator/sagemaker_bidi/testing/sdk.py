"""A client of whatever release of the AWS SDK is installed, ready to invoke."""

from __future__ import annotations

from typing import Any

from sagemaker_bidi.config import TEST_KEY
from sagemaker_bidi_client.releases import Client, resolve
from sagemaker_bidi_client.sdk import Trusting


async def ready_client(url: str, ca: bytes, region: str) -> Any:
    """The SDK's client, from 0.4 to the newest, for an emulator.

    Args:
        url: the emulator's.
        ca: certificates to trust, PEM.
        region: to sign for.
    """
    config = await resolve(
        endpoint_url=url,
        region=region,
        keys=(TEST_KEY.access_key_id, TEST_KEY.secret_access_key),
        transport=Trusting(ca),
    )
    return Client(config=config)
