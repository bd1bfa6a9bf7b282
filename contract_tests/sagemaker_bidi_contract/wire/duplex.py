"""An invocation: a signed request, signed events out, events in (W1-W5)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from h2.errors import ErrorCodes
from smithy_aws_event_stream.events import EventMessage

from sagemaker_bidi_contract.exchange import beginning
from sagemaker_bidi_contract.verdicts import Unmet
from sagemaker_bidi_contract.wire.events import Event, WirePart
from sagemaker_bidi_contract.wire.http2 import Http2Connection
from sagemaker_bidi_contract.wire.http2_stream import Http2Stream, StreamEnd
from sagemaker_bidi_contract.wire.identity import Identity
from sagemaker_bidi_contract.wire.signing import EVENTS, SERVICE, ChunkSigner, sign_request

EVENT_STREAM = "application/vnd.amazon.eventstream"
TARGET_VARIANT = "x-amzn-sagemaker-target-variant"
INVOCATION_PATH = "x-amzn-sagemaker-model-invocation-path"
QUERY_STRING = "x-amzn-sagemaker-model-query-string"
_BODY_SHOWN = 400


@dataclass(frozen=True, slots=True)
class Invocation:
    """What to ask for.

    Args:
        endpoint: its name.
        headers: beside those that every invocation has.
        content_type: of the request.
        method: of the request.
        path: replaces the operation's.
        service: that the credential scope names.
        region: that the credential scope names; the identity's unless given.
        clock_off: seconds by which the signer's clock is ahead.
        signed: False leaves the signature out.
        spoilt: changes the signature's last digit.
    """

    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = EVENT_STREAM
    method: str = "POST"
    path: str = ""
    service: str = SERVICE
    region: str = ""
    clock_off: float = 0.0
    signed: bool = True
    spoilt: bool = False

    @property
    def target(self) -> str:
        """The request's path."""
        return self.path or f"/endpoints/{self.endpoint}/invocations-bidirectional-stream"


@dataclass(frozen=True, slots=True)
class ReceivedRefusal:
    """A response in place of a stream.

    Args:
        status: HTTP status.
        type: of `x-amzn-errortype`, without what may follow a colon.
        body: as JSON; None where it is no JSON object.
        request_id: of `x-amzn-requestid`.
        seconds: that it took.
    """

    status: int
    type: str
    body: Mapping[str, object] | None
    request_id: str
    seconds: float

    @property
    def message(self) -> str:
        """What the body says, in SageMaker's spelling or in that of AWS's front door."""
        body = self.body or {}
        return str(body.get("Message") or body.get("message") or "")

    def __str__(self) -> str:
        return f"HTTP {self.status} {self.type or 'with no x-amzn-errortype'}"


class Duplex:
    """One invocation.

    Args:
        stream: that the request has been sent on.
        signer: of its events; None for a request that is not signed.
    """

    def __init__(self, stream: Http2Stream, signer: ChunkSigner | None) -> None:
        self.stream = stream
        self.ended_input = False
        self._signer = signer

    async def opened(self, within: float) -> None:
        """Wait for the 200.

        Raises:
            Unmet: another answer, or none in time.
        """
        refusal = await self.refusal(within)
        if refusal is not None:
            raise Unmet(f"the invocation was answered with {refusal}", "HTTP 200")

    async def refusal(self, within: float) -> ReceivedRefusal | None:
        """Wait for the answer; None for a stream that opened.

        Raises:
            Unmet: no answer in time, or one that does not end.
        """
        stream = self.stream
        status = await stream.answered(within)
        if status == 200:
            return None
        await stream.finished(within)
        shown = beginning(stream.body, _BODY_SHOWN)
        stream.connection.log.add(stream.who, "received", f"body: {shown}")
        headers = stream.headers
        named = headers.get("x-amzn-errortype", "").partition(":")[0].rpartition("#")[2]
        try:
            body = json.loads(stream.body)
        except ValueError:
            body = None
        return ReceivedRefusal(
            status,
            named,
            body if isinstance(body, dict) else None,
            headers.get("x-amzn-requestid", ""),
            stream.seconds,
        )

    async def sign(self, event: EventMessage | None) -> bytes:
        """The next signed message, not sent yet; None makes the end of the input (W4)."""
        assert self._signer is not None, "the request was not signed"
        return await self._signer.sign(event)

    async def send(self, part: WirePart, within: float = 10.0) -> None:
        """Send a part in a signed message.

        Raises:
            Unmet: the HTTP/2 windows stay closed.
        """
        data = await self.sign(part.message())
        self.note(str(part))
        await self.stream.write(data, within)

    async def send_raw(self, data: bytes, what: str, *, end: bool = False) -> None:
        """Send bytes as they are.

        Args:
            data: of the event stream.
            what: they are, in words.
            end: END_STREAM follows.
        """
        self.note(what)
        await self.stream.write(data, 10.0, end=end)
        self.ended_input = self.ended_input or end

    async def close_input(self) -> None:
        """Send the signed end of the input, then END_STREAM (W4)."""
        if not self.ended_input:
            await self.send_raw(await self.sign(None), "the signed end, END_STREAM", end=True)

    async def receive(self, within: float, what: str) -> Event | StreamEnd:
        """The next message, or the end.

        Raises:
            Unmet: neither came in time.
        """
        return await self.stream.receive(within, what)

    async def part(self, within: float, what: str) -> WirePart:
        """The next part.

        Raises:
            Unmet: something else came, or nothing in time.
        """
        got = await self.receive(within, what)
        part = got.part if isinstance(got, Event) else None
        if part is None:
            came = got.how if isinstance(got, StreamEnd) else str(got)
            raise Unmet(f"in place of {what} came {came}", what)
        return part

    async def leave(self, within: float = 2.0) -> None:
        """Close the input and wait for the end, or reset the stream."""
        if self.stream.status == 200 and self._signer is not None:
            with contextlib.suppress(Unmet):
                if not self.stream.over:
                    await self.close_input()
                await self.stream.finished(within)
        self.stream.cancel(ErrorCodes.CANCEL)

    def note(self, text: str) -> None:
        """Write down what is sent."""
        self.stream.connection.log.add(self.stream.who, "sent", text)


async def invoke(
    connection: Http2Connection, invocation: Invocation, identity: Identity, who: str
) -> Duplex:
    """Send a request; its response is not waited for.

    Args:
        connection: to the endpoint.
        invocation: what to ask for.
        identity: who signs.
        who: the stream's name in the exchange.

    Raises:
        Unmet: the connection is gone.
    """
    authority = f"{connection.host}:{connection.port}"
    if ":" in connection.host:
        authority = f"[{connection.host}]:{connection.port}"
    method, target = invocation.method, invocation.target
    headers = {
        "content-type": invocation.content_type,
        "x-amz-content-sha256": EVENTS,
        **invocation.headers,
    }
    signer = None
    if invocation.signed:
        if invocation.region:
            identity = replace(identity, region=invocation.region)
        headers = await sign_request(
            identity,
            method,
            authority,
            target,
            headers,
            service=invocation.service,
            clock_off=invocation.clock_off,
        )
        signer = ChunkSigner(identity, headers["authorization"])
    if invocation.spoilt:
        last = headers["authorization"][-1]
        headers["authorization"] = headers["authorization"][:-1] + ("1" if last == "0" else "0")
    pseudo = [
        (":method", method),
        (":scheme", "https"),
        (":authority", authority),
        (":path", target),
    ]
    connection.log.add(who, "sent", _describe(invocation))
    return Duplex(connection.open([*pseudo, *headers.items()], who), signer)


def _describe(invocation: Invocation) -> str:
    said = [f"{invocation.method} {invocation.target}"]
    if invocation.content_type != EVENT_STREAM:
        said.append(f"content-type: {invocation.content_type}")
    said += [f"{name}: {_shorter(value)}" for name, value in invocation.headers.items()]
    if not invocation.signed:
        said.append("not signed")
    if invocation.spoilt:
        said.append("a wrong signature")
    if invocation.clock_off:
        said.append(f"signed with a clock that is {invocation.clock_off:+g} s off")
    if invocation.region:
        said.append(f"signed for the region {invocation.region}")
    if invocation.service != SERVICE:
        said.append(f"signed for the service {invocation.service}")
    return ", ".join(said)


def _shorter(value: str) -> str:
    return value if len(value) <= 120 else f"{value[:60]}… ({len(value)} characters)"
