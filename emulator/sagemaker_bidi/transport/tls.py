"""TLS on 8443 that says what went wrong in a handshake, on both sides where it can."""

from __future__ import annotations

import json
import re
import ssl
from typing import Any

from sagemaker_bidi.shown import logger_named

logger = logger_named("bidi.tls")

PLAIN_TEXT = (
    "this port speaks HTTP/2 over TLS only, and the client did not begin with TLS: "
    "use https:// in the endpoint URL (W1)"
)
HTTP_1 = (
    "this port speaks HTTP/2 only (ALPN h2), and the client negotiated HTTP/1.1: "
    "use a client that offers HTTP/2, such as the AWS SDK with its CRT transport (W1)"
)
_UNTRUSTED = (
    "the client does not trust the emulator's certificate: give it the bundle of "
    '`eval "$(bidi trust)"`, or add the local CA to the roots that it uses'
)
_REASONS = {
    "TLSV1_ALERT_UNKNOWN_CA": _UNTRUSTED,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _UNTRUSTED,
    "SSLV3_ALERT_BAD_CERTIFICATE": _UNTRUSTED,
    "TLSV1_ALERT_PROTOCOL_VERSION": "the client offered no TLS version that is spoken here (1.2+)",
    "UNSUPPORTED_PROTOCOL": "the client offered no TLS version that is spoken here (1.2+)",
    "NO_SHARED_CIPHER": "the client offered no cipher that is spoken here",
}
_PLAIN = ("HTTP_REQUEST", "WRONG_VERSION_NUMBER", "HTTPS_PROXY_REQUEST")


def http1_answer(message: str) -> bytes:
    """An HTTP/1.1 response for a client that speaks no HTTP/2."""
    body = json.dumps({"message": message}).encode()
    head = (
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Handshake(ssl.SSLObject):
    """A server's handshake whose failure is explained instead of silently dropped."""

    outgoing: ssl.MemoryBIO
    asked: str | None = None
    _answered = False
    _shown_certificate = False

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
            self._shown_certificate = False
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._shown_certificate = self.outgoing.pending > 0 or self._shown_certificate
            raise
        except ssl.SSLError as error:
            self._shown_certificate = False
            reason = error.reason or ""
            if reason in _PLAIN and not self._answered:
                self._answered = True
                logger.warning("a connection was refused: %s", PLAIN_TEXT)
                # Asking for more input makes asyncio write what is in the outgoing buffer.
                self.outgoing.write(http1_answer(PLAIN_TEXT))
                raise ssl.SSLWantReadError from error
            if not self._answered:
                why = self._told(reason) or reason.lower().replace("_", " ") or str(error)
                logger.warning("a TLS handshake failed: %s", why)
            raise

    def __del__(self) -> None:
        # awscrt sends no alert when it does not trust a certificate: it falls silent, and hangs up
        # 10 to 30 s later unless the handshake's time limit comes first.
        if self._shown_certificate:
            logger.warning(
                "a client went no further than the emulator's certificate; most often, %s",
                self._told("TLSV1_ALERT_UNKNOWN_CA"),
            )

    def _told(self, reason: str) -> str | None:
        """What an alert means; of a certificate that does not bear the name that is asked for."""
        told = _REASONS.get(reason)
        names = self.context.names if isinstance(self.context, ServerContext) else frozenset()
        if told is not _UNTRUSTED or self.asked is None or self.asked in names:
            return told
        # Whatever it writes into its log comes from outside.
        shown = self.asked if re.fullmatch(r"[\w.-]{1,253}", self.asked) else "of another form"
        return (
            f"the client asks for the host {shown}, which is not in the emulator's certificate: "
            f"start it with bidi serve --name {shown}"
        )

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        try:
            return super().read(len, buffer) if buffer is not None else super().read(len)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            # With TLS 1.3 a client judges the certificate after our side of the handshake.
            if error.reason in _REASONS:
                logger.warning("a TLS connection failed: %s", self._told(error.reason))
            raise


class ServerContext(ssl.SSLContext):
    """A server's context whose handshakes explain themselves."""

    sslobject_class = _Handshake
    names: frozenset[str] = frozenset()

    def note_names(self) -> None:
        """Have each handshake know the name that its client asks for (RFC 6066 3)."""
        self.sni_callback = _note

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        wrapped = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        assert isinstance(wrapped, _Handshake)
        wrapped.outgoing = outgoing
        return wrapped


def _note(handshake: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
    if isinstance(handshake, _Handshake):
        handshake.asked = name
