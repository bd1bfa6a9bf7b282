"""The canonical form of a request, which is what SigV4 signs (W4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import parse_qsl, quote

# What a signer may call the host: AWS's JavaScript SDK has no `host` on HTTP/2 (W4).
HOST_NAMES = ("host", ":authority")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it came over the wire.

    Args:
        method: `POST`.
        path: the raw path, percent-encoding untouched, without the query.
        query: the raw query, without `?`; empty for none.
        headers: lower-case names and their values, with `host` taken from `:authority`.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str | None:
        """All values of a header, joined as SigV4 joins them; None when it is absent."""
        values = [" ".join(value.split()) for key, value in self.headers if key == name]
        return ",".join(values) if values else None


def canonical_hash(request: SignedRequest, signed_headers: Sequence[str], host: str) -> str:
    """The SHA-256 of the canonical request, in hexadecimal (W4, SigV4 steps 1 and 2).

    Args:
        request: as it came over the wire.
        signed_headers: the names that the client lists, in its order.
        host: the value to take for `host` or `:authority`, see `signed_hosts`.
    """
    lines = [request.method, _canonical_path(request.path), _canonical_query(request.query)]
    for name in sorted(signed_headers):
        value = host if name in HOST_NAMES else request.header(name) or ""
        lines.append(f"{name}:{value}")
    lines += ["", ";".join(sorted(signed_headers)), request.header("x-amz-content-sha256") or ""]
    # Signers hash UTF-8; what a header decoded to must not decide whether this raises.
    return sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def signed_hosts(host: str) -> tuple[str, ...]:
    """The forms of the host that a client may have signed.

    Signers leave out the default port, while some of their HTTP clients send it in `:authority`.
    """
    return (host, host.removesuffix(":443")) if host.endswith(":443") else (host,)


def _canonical_path(path: str) -> str:
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    slash = "/" if segments and path.endswith(("/", "/.", "/..")) else ""
    # A path is encoded once for the wire and once more for signing, for all services but S3.
    return quote(f"/{'/'.join(segments)}{slash}", safe="/", errors="surrogatepass")


def _canonical_query(query: str) -> str:
    pairs = sorted(
        (_encoded(name), _encoded(value))
        for name, value in parse_qsl(query, keep_blank_values=True)
    )
    return "&".join(f"{name}={value}" for name, value in pairs)


def _encoded(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")
