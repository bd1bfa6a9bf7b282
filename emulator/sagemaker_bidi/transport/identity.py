"""Who the emulator is to a client: a local CA, made once, and a certificate from it.

awscrt takes its roots from `SSL_CERT_FILE`, which replaces the system's for the whole process, so
what is handed out is a bundle of the system's roots and the local CA.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import shlex
import ssl
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import certifi
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sagemaker_bidi.shown import logger_named

logger = logger_named("bidi.tls")

REGIONS = (
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "cn-north-1",
    "cn-northwest-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
)
KEY, ANY_NAME_KEY = "ca-key.pem", "ca-any-name-key.pem"
AUTHORITY_LIFE = datetime.timedelta(days=5 * 365)
AUTHORITY_LEFT = datetime.timedelta(days=30)
CERTIFICATE_LIFE = datetime.timedelta(days=397)
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1", "host.docker.internal")


def sagemaker_hosts(region: str) -> list[str]:
    """The host names of SageMaker's runtime in a region (W1)."""
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return [f"{host}.sagemaker.{region}.{suffix}" for host in ("runtime", "runtime-fips")]


def state_folder() -> Path:
    """Where the CA is kept: `$BIDI_STATE_DIR`, else `sagemaker-bidi` in the user's state folder."""
    if chosen := os.environ.get("BIDI_STATE_DIR"):
        return Path(chosen)
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "sagemaker-bidi"


@dataclass(frozen=True, slots=True)
class Identity:
    """The local CA and its files.

    Args:
        ca: certificate of the local CA, PEM.
        bundle: the system's roots and the local CA, PEM; what `SSL_CERT_FILE` wants.
    """

    ca: Path
    bundle: Path
    _authority: trustme.CA

    def server_context(
        self, names: Iterable[str] = (), *, protocol: str = "h2", trusted: bool = True
    ) -> ssl.SSLContext:
        """A TLS context for the server: ALPN h2, TLS 1.2 or newer (W1).

        Args:
            names: host names or addresses beside the local ones and SageMaker's own.
            protocol: what ALPN offers.
            trusted: False for a certificate of an authority made for the occasion.
        """
        from sagemaker_bidi.transport.tls import ServerContext

        context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols([protocol])
        names = tuple(names)
        authority = self._authority if all(map(_fits, names)) else self._for_any_name()
        authority = authority if trusted else trustme.CA()
        context.names = frozenset(_names(names))
        context.note_names()
        until = datetime.datetime.now(datetime.UTC) + CERTIFICATE_LIFE
        issued = authority.issue_cert(*_names(names), not_after=until)
        # OpenSSL reads files alone. The state folder may be all that can be written.
        with issued.private_key_and_cert_chain_pem.tempfile(dir=str(self.ca.parent)) as path:
            context.load_cert_chain(path)
        return context

    def _for_any_name(self) -> trustme.CA:
        """A CA without limits, made the first time that a name of one's own is asked for."""
        other = _authority(self.ca.parent / ANY_NAME_KEY, constrained=False)
        _hand_out(self.ca, self.bundle, [self._authority, other])
        return other


def _names(extra: Iterable[str]) -> list[str]:
    hosts = [host for region in REGIONS for host in sagemaker_hosts(region)]
    return list(dict.fromkeys([*LOCAL_NAMES, *extra, *hosts]))


class StateUnusable(OSError):
    """The folder of the local CA cannot be used; says which and what to do."""


def load_identity(folder: Path | None = None) -> Identity:
    """Load the CA, making it on first use; its key is readable by its owner only.

    Args:
        folder: where it is kept; `state_folder()` unless given.

    Raises:
        StateUnusable: the folder cannot be written.
        ValueError: the key file is there and holds no CA, or others can read it.
    """
    folder = folder or state_folder()
    try:
        return _load_identity(folder)
    except OSError as error:
        raise StateUnusable(
            f"the local certificate authority cannot be kept in {folder} "
            f"({error.strerror or error}): name a folder of your own with BIDI_STATE_DIR=FOLDER, "
            "for the emulator and for bidi trust"
        ) from error


def _load_identity(folder: Path) -> Identity:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = _authority(folder / KEY, constrained=True)
    ca, bundle = folder / "ca.pem", folder / "ca-bundle.pem"
    authorities = [authority]
    if (folder / ANY_NAME_KEY).exists():
        authorities.append(_authority(folder / ANY_NAME_KEY, constrained=False))
    _hand_out(ca, bundle, authorities)
    return Identity(ca, bundle, authority)


def _hand_out(ca: Path, bundle: Path, authorities: Iterable[trustme.CA]) -> None:
    pem = b"".join(each.cert_pem.bytes() for each in authorities)
    _replace(ca, pem)
    _replace(bundle, _system_roots() + b"\n" + pem)


def _authority(secret: Path, *, constrained: bool) -> trustme.CA:
    if not secret.exists():
        _make_authority(secret, constrained=constrained)
    try:
        pem = secret.read_bytes()
        certificate = x509.load_pem_x509_certificate(pem)
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{secret} holds no certificate authority ({error}); delete it to make a new one"
        ) from error
    if os.name == "posix" and (mode := secret.stat().st_mode & 0o077):
        raise ValueError(
            f"{secret} can be read by others (mode {mode | 0o600:03o}), and with it they could "
            f"pose as any host to those who trust it. Say: chmod 600 {shlex.quote(str(secret))} - "
            "or delete it to make a new one, which clients have to trust anew"
        )
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    if not AUTHORITY_LEFT < left <= AUTHORITY_LIFE:
        logger.warning(
            "%s lasts until %s: a new one is made, which clients have to trust anew",
            secret,
            certificate.not_valid_after_utc.date(),
        )
        secret.unlink(missing_ok=True)
        return _authority(secret, constrained=constrained)
    certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
    return trustme.CA.from_pem(
        certificate_pem,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ),
    )


def _make_authority(secret: Path, *, constrained: bool) -> None:
    pem = _new_authority(constrained)
    with tempfile.NamedTemporaryFile(dir=secret.parent, delete=False) as temporary:
        temporary.write(pem)  # mkstemp gives 0600
    try:
        # Unlike a rename, a link never replaces a CA that another process made meanwhile.
        with contextlib.suppress(FileExistsError):
            os.link(temporary.name, secret)
    finally:
        os.unlink(temporary.name)


def _permitted() -> list[x509.GeneralName]:
    """What a certificate of the CA may be for, and a lost key opens (RFC 5280 4.2.1.10)."""
    names = [name for name in LOCAL_NAMES if name[0].isalpha()]
    # "sagemaker.REGION.…" stands for all hosts below it.
    names += [host.partition(".")[2] for r in REGIONS for host in sagemaker_hosts(r)[:1]]
    networks = [ipaddress.ip_network(each) for each in ("127.0.0.0/8", "::1/128")]
    return [*map(x509.DNSName, names), *map(x509.IPAddress, networks)]


def _fits(name: str) -> bool:
    """Whether a certificate for this name may come from the constrained CA."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        pass
    permitted = [each.value for each in _permitted() if isinstance(each, x509.DNSName)]
    return any(name == each or name.endswith(f".{each}") for each in permitted)


def _new_authority(constrained: bool) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "sagemaker-bidi local emulator"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"local CA {os.urandom(4).hex()}"),
        ]
    )
    now = datetime.datetime.now(datetime.UTC)
    public = key.public_key()
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        # A clock that is a little behind trusts it too.
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage),
            critical=True,
        )
    )
    if constrained:
        limits = x509.NameConstraints(_permitted(), None)
        builder = builder.add_extension(limits, critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _replace(path: Path, content: bytes) -> None:
    if path.exists() and path.read_bytes() == content:
        return
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as temporary:
        temporary.write(content)
    os.chmod(temporary.name, 0o644)
    os.replace(temporary.name, path)


def _system_roots() -> bytes:
    paths = ssl.get_default_verify_paths()
    for candidate in (paths.openssl_cafile, "/etc/ssl/certs/ca-certificates.crt"):
        if candidate and Path(candidate).is_file():
            return Path(candidate).read_bytes()
    return Path(certifi.where()).read_bytes()
