"""Why a TLS connection doesn't come about, from a second pair of eyes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from pathlib import Path
from urllib.parse import urlsplit

_PATIENCE = 5.0


async def diagnose(url: str, ca: Path | None) -> str | None:
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
        return f"its certificate isn't accepted ({error.verify_message})"
    except ssl.SSLError as error:
        return f"it doesn't speak TLS as the SDK does ({error.reason or error})"
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
