"""SigV4 on the request and on each event, by AWS's own signer (W4)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from aws_sdk_signers import (
    URI,
    AsyncEventSigner,
    AsyncSigV4Signer,
    AWSCredentialIdentity,
    AWSRequest,
    Field,
    Fields,
    SigV4SigningProperties,
)
from smithy_aws_event_stream.events import EventHeaderEncoder, EventMessage

from sagemaker_bidi_contract.wire.identity import Identity

EVENTS = "STREAMING-AWS4-HMAC-SHA256-EVENTS"
SERVICE = "sagemaker"
_FORMAT = "%Y%m%dT%H%M%SZ"


async def sign_request(
    identity: Identity,
    method: str,
    host: str,
    path: str,
    headers: Mapping[str, str],
    *,
    service: str = SERVICE,
    clock_off: float = 0.0,
) -> dict[str, str]:
    """Sign a request that opens a stream.

    Args:
        identity: who signs.
        method: of the request.
        host: `HOST:PORT`, as `:authority` has it.
        path: of the request, with no query.
        headers: all that are to be signed, names in lower case.
        service: of the credential scope.
        clock_off: seconds by which the signer's clock is ahead.

    Returns:
        The headers to send, those given included.
    """
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=clock_off)
    fields = Fields([Field(name=name, values=[value]) for name, value in headers.items()])
    fields.set_field(Field(name="host", values=[host]))
    name, _, port = host.rpartition(":")
    signed = await AsyncSigV4Signer().sign(
        request=AWSRequest(
            destination=URI(scheme="https", host=name, port=int(port), path=path),
            method=method,
            body=None,
            fields=fields,
        ),
        identity=_credentials(identity),
        properties=SigV4SigningProperties(
            region=identity.region, service=service, date=at.strftime(_FORMAT)
        ),
    )
    found = {field.name.lower(): field.as_string() for field in signed.fields}
    del found["host"]
    return found


class ChunkSigner:
    """Signs the events of one stream, each over the one before it.

    Args:
        identity: who signs.
        authorization: of the request, whose signature the chain begins with.
    """

    def __init__(self, identity: Identity, authorization: str) -> None:
        seed = authorization.rpartition("Signature=")[2]
        self._identity = identity
        self._signer = AsyncEventSigner(
            initial_signature=seed.encode(), event_encoder_cls=EventHeaderEncoder
        )

    async def sign(self, event: EventMessage | None) -> bytes:
        """The signed message that carries an event; None makes the end of the input."""
        identity = _credentials(self._identity)
        properties = SigV4SigningProperties(region=self._identity.region, service=SERVICE)
        chunk = await self._signer.sign(
            event=event or _Nothing(), identity=identity, properties=properties
        )
        return EventMessage(headers=chunk.headers, payload=chunk.payload).encode()


class _Nothing(EventMessage):
    """What the end of the input signs: no message at all, where an empty one has a prelude."""

    def encode(self) -> bytes:
        return b""


def _credentials(identity: Identity) -> AWSCredentialIdentity:
    return AWSCredentialIdentity(
        access_key_id=identity.access_key_id,
        secret_access_key=identity.secret_access_key,
        session_token=identity.session_token,
    )
