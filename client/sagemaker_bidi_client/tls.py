"""Why a TLS connection doesn't come about, from a second pair of eyes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_PATIENCE = 5.0


# OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
_WRONG_NAME = (62, 64)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong with a TLS connection, and what to do about it."""

    reason: str
    advice: str


async def diagnose(url: str, ca: Path | None) -> Diagnosis | None:
    """Try the TLS handshake with Python's own TLS and tell what is wrong; None if nothing is.

    The SDK's TLS library punishes each failed handshake with a random wait of 10 to 30 s before it
    says so, and then doesn't tell an untrusted certificate from a wrong name. `ca` is the file
    that is trusted in place of SSL_CERT_FILE and the system's.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
        # The SDK's library doesn't hold certificates to RFC 5280's letter; neither does this one.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.set_alpn_protocols(["h2"])
        async with asyncio.timeout(_PATIENCE):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _WRONG_NAME:
            return Diagnosis(
                f"its certificate is for other names than {host!r} ({error.verify_message})",
                "the certificate is trusted, and the name in the URL is not in it: use a name that "
                f"is; for an emulator, start it with `bidi serve --name {host}`",
            )
        return Diagnosis(
            f"its certificate isn't accepted ({error.verify_message})",
            f"{trust_in_use(ca)}. For an emulator, trust its CA: "
            f'eval "$(bidi trust --port {port})" sets SSL_CERT_FILE (the SDK ignores '
            "AWS_CA_BUNDLE)",
        )
    except ssl.SSLError as error:
        return Diagnosis(
            f"it doesn't speak TLS as the SDK does ({error.reason or error})",
            "is the port right? `bidi serve` prints its address; SageMaker's is 8443",
        )
    except (OSError, TimeoutError):
        return None
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return None


def trust_in_use(ca: Path | None) -> str:
    """Say which certificates the SDK trusts here."""
    if ca is not None:
        return f"only {ca} is trusted"
    if named := os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return f"only {named} is trusted (SSL_CERT_FILE, SSL_CERT_DIR)"
    return "the system's certificates are trusted, SSL_CERT_FILE isn't set"
