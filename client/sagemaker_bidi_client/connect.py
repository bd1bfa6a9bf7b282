"""Opening a stream to a SageMaker endpoint, through the AWS SDK."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

from aws_sdk_sagemaker_runtime_http2.models import InvokeEndpointWithBidirectionalStreamInput

from sagemaker_bidi_client.errors import SettingsError, UnusableValue
from sagemaker_bidi_client.history import History
from sagemaker_bidi_client.releases import CONFIG_ERRORS, Client, resolve
from sagemaker_bidi_client.sdk import FailureProbe, Transport, regional_url
from sagemaker_bidi_client.stream import Stream
from sagemaker_bidi_client.translate import opening_error

NAME_PATTERN = r"[a-zA-Z0-9](-*[a-zA-Z0-9])*"
"""What an endpoint and a variant may be called, at most 63 characters (W2)."""


@contextlib.asynccontextmanager
async def open_stream(
    endpoint_name: str,
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
    ca: Path | None = None,
    target_variant: str | None = None,
    invocation_path: str | None = None,
    query_string: str | None = None,
) -> AsyncIterator[Stream]:
    """Open a stream and close it again at the end of the block.

    The block starts when the request is under way, which is before the response headers: call
    `opened()` to wait for them, or send first (W5).

    `endpoint_url` replaces `https://runtime.sagemaker.REGION.amazonaws.com:8443`; without it the
    SDK's own settings hold (AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME_HTTP2, the profile). `region` and
    the credentials come from where the SDK finds them, unless given. `ca` is a file of PEM
    certificates to trust in place of the system's.

    Raises UnusableValue for a name or a URL that can't work, SettingsError for missing settings,
    ConnectionFailed and RequestRefused where there is no stream, StreamBroken where it fails.
    """
    _check_name("endpoint name", endpoint_name)
    if target_variant is not None:
        _check_name("target variant", target_variant)
    if endpoint_url is not None:
        _check_url(endpoint_url, "--endpoint-url")
    transport = _transport(ca)
    try:
        config = await resolve(endpoint_url=endpoint_url, region=region, transport=transport)
    except CONFIG_ERRORS as error:
        raise SettingsError(
            f"the AWS configuration can't be used: {error}",
            # Found by its text: the SDK's error for a missing region has no type of its own.
            advice="give --region, or set AWS_REGION, or `region` in the profile"
            if "'region'" in str(error)
            else "",
        ) from error
    if config.endpoint_uri is None:
        config.endpoint_uri = regional_url(config.region)
    url = str(config.endpoint_uri)
    _check_url(url, "the endpoint URL of the AWS settings (AWS_ENDPOINT_URL…, or the profile)")

    probe = FailureProbe()
    client = Client(config=config, plugins=[lambda copied: copied.interceptors.append(probe)])
    history = History()
    invoking = asyncio.ensure_future(
        client.invoke_endpoint_with_bidirectional_stream(
            InvokeEndpointWithBidirectionalStreamInput(
                endpoint_name=endpoint_name,
                target_variant=target_variant,
                model_invocation_path=invocation_path,
                model_query_string=query_string,
            )
        )
    )
    try:
        await asyncio.wait({invoking, probe.failed}, return_when=asyncio.FIRST_COMPLETED)
        if not invoking.done():
            raise opening_error(probe.failed.result(), url=url, refusal=None, history=history)
        try:
            duplex = invoking.result()
        except Exception as error:
            raise opening_error(error, url=url, refusal=None, history=history) from error
    except BaseException:
        invoking.cancel()
        await transport.close()
        raise
    history.mark("request under way")
    stream = Stream(duplex, url=url, history=history, transport=transport, on_close=transport.close)
    try:
        yield stream
    finally:
        await stream.close()


def _transport(ca: Path | None) -> Transport:
    if ca is not None and not ca.is_file():
        raise UnusableValue(f"no CA file {ca}", advice="`bidi trust` prints where the CA is")
    bundle = os.environ.get("SSL_CERT_FILE")
    if ca is None and bundle and not Path(bundle).is_file():
        # awscrt would go on with no roots at all, and trust nobody.
        raise SettingsError(
            f"SSL_CERT_FILE is {bundle}, and there is no such file",
            advice='eval "$(bidi trust)" sets it anew for an emulator; unset it for AWS itself',
        )
    try:
        return Transport(ca)
    except Exception as error:
        raise SettingsError(
            f"TLS can't be set up: {error}",
            advice=f"is there a PEM certificate in {ca or bundle or 'the trust store'}?",
        ) from error


def _check_name(what: str, name: str) -> None:
    if len(name) > 63 or re.fullmatch(NAME_PATTERN, name) is None:
        raise UnusableValue(
            f"{name!r} can't be the {what}: that is letters and digits, with hyphens between "
            f"them, at most 63 characters"
        )


def _check_url(url: str, where: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UnusableValue(f"{where} is {url!r}: {error}") from error
    if parts.scheme == "http":
        raise UnusableValue(
            f"{where} is {url}: over http:// the SDK speaks HTTP/1.1, which can't send and receive "
            f"at the same time",
            advice="use https://; `bidi serve` prints its address",
        )
    if parts.scheme != "https" or not parts.hostname:
        raise UnusableValue(f"{where} is {url!r}: expected https://HOST:8443")
