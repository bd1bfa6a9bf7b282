"""The local CA: made once, private, and handed out together with the system's roots."""

from __future__ import annotations

import contextlib
import re
import ssl
import stat
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

import sagemaker_bidi.transport.identity as identity_module
from sagemaker_bidi.transport.identity import Identity, load_identity, state_folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_ca_is_made_once_and_kept(tmp_path: Path) -> None:
    first = load_identity(tmp_path / "new" / "folder")
    before = first.ca.read_bytes(), first.bundle.read_bytes()
    second = load_identity(tmp_path / "new" / "folder")

    assert (second.ca.read_bytes(), second.bundle.read_bytes()) == before
    assert sorted(path.name for path in first.ca.parent.iterdir()) == [
        "ca-bundle.pem",
        "ca-key.pem",
        "ca.pem",
    ]


def test_only_its_owner_can_read_the_key_and_everybody_the_certificates(tmp_path: Path) -> None:
    identity = load_identity(tmp_path / "state")

    assert mode(tmp_path / "state") == 0o700
    assert mode(tmp_path / "state" / "ca-key.pem") == 0o600
    assert mode(identity.ca) == 0o644
    assert b"PRIVATE KEY" not in identity.ca.read_bytes() + identity.bundle.read_bytes()


@pytest.mark.parametrize("readable", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused_and_the_advice_mends_it(
    tmp_path: Path, readable: int
) -> None:
    load_identity(tmp_path)
    secret = tmp_path / "ca-key.pem"
    secret.chmod(readable)
    with pytest.raises(ValueError, match=f"can be read by others .mode {readable:03o}.") as refused:
        load_identity(tmp_path)

    advice = re.search(r"Say: (chmod 600 \S+)", str(refused.value))
    assert advice is not None
    subprocess.run(advice[1], shell=True, check=True)
    load_identity(tmp_path)


def test_the_ca_lasts_years_and_a_certificate_of_it_a_year(tmp_path: Path) -> None:
    identity = load_identity(tmp_path)
    ca = x509.load_pem_x509_certificate(identity.ca.read_bytes())
    leaf = x509.load_pem_x509_certificate(shown_by(identity).encode())

    assert ca.not_valid_after_utc - ca.not_valid_before_utc < timedelta(days=6 * 365)
    assert leaf.not_valid_after_utc < datetime.now(UTC) + timedelta(days=398)


def test_the_ca_is_for_this_machine_and_sagemakers_hosts_alone(tmp_path: Path) -> None:
    identity = load_identity(tmp_path)
    forged = identity._authority.issue_cert("s3.us-east-1.amazonaws.com")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    forged.configure_cert(context)

    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        shown_by(identity, "s3.us-east-1.amazonaws.com", context)
    for host in ("localhost", "127.0.0.1", "::1", "runtime.sagemaker.eu-central-1.amazonaws.com"):
        shown_by(identity, host)


def test_a_name_of_ones_own_has_a_ca_of_its_own_beside_the_other(tmp_path: Path) -> None:
    identity = load_identity(tmp_path)
    for name in ("emulator", "10.1.2.3"):
        context = identity.server_context([name])
        shown_by(identity, name, context)
        shown_by(identity, "localhost", context)
    assert mode(tmp_path / "ca-any-name-key.pem") == 0o600

    both = identity.ca.read_bytes()
    assert both.count(b"BEGIN CERTIFICATE") == 2
    assert load_identity(tmp_path).ca.read_bytes() == both
    shown_by(load_identity(tmp_path), "localhost")


@pytest.mark.parametrize("left", [timedelta(days=-1), timedelta(days=29), timedelta(days=36_500)])
def test_a_ca_that_is_over_or_lasts_for_a_century_is_made_anew(
    tmp_path: Path, left: timedelta, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(identity_module, "AUTHORITY_LIFE", left)
        patch.setattr(identity_module, "AUTHORITY_LEFT", timedelta(days=-2))
        before = load_identity(tmp_path).ca.read_bytes()
    assert load_identity(tmp_path).ca.read_bytes() != before
    assert "a new one is made, which clients have to trust anew" in caplog.text
    after = load_identity(tmp_path).ca.read_bytes()
    assert load_identity(tmp_path).ca.read_bytes() == after


def shown_by(
    identity: Identity, host: str = "localhost", context: ssl.SSLContext | None = None
) -> str:
    """The certificate that a server of this identity shows to a client that trusts it, PEM."""
    server = context or identity.server_context()
    client = ssl.create_default_context(cafile=str(identity.ca))
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(ours, theirs, server_hostname=host)
    answers = server.wrap_bio(theirs, ours, server_side=True)
    for _ in range(4):
        for side in (asks, answers):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    shown = asks.getpeercert(binary_form=True)
    assert shown is not None
    return ssl.DER_cert_to_PEM_cert(shown)


def test_emulators_that_start_at_once_agree_on_one_ca(tmp_path: Path) -> None:
    count = 8
    together = Barrier(count)

    def load(_: int) -> bytes:
        together.wait()
        identity = load_identity(tmp_path)
        return identity._authority.cert_pem.bytes()

    with ThreadPoolExecutor(count) as pool:
        made = set(pool.map(load, range(count)))

    assert made == {(tmp_path / "ca.pem").read_bytes()}
    assert len(list(tmp_path.iterdir())) == 3, "no temporary file is left"


def test_the_bundle_holds_the_systems_roots_and_the_ca(tmp_path: Path) -> None:
    identity = load_identity(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(identity.bundle)
    local = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    local.load_verify_locations(identity.ca)
    system = ssl.create_default_context()
    (ca,) = local.get_ca_certs()

    assert ca in context.get_ca_certs()
    assert ca not in system.get_ca_certs()
    # Also true where the machine has no roots of its own: certifi's stand in.
    assert len(context.get_ca_certs()) > max(len(system.get_ca_certs()), 20)


def test_a_process_that_uses_the_bundle_already_does_not_lose_the_roots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_identity(tmp_path).bundle
    size = before.stat().st_size
    monkeypatch.setenv("SSL_CERT_FILE", str(before))

    assert load_identity(tmp_path).bundle.stat().st_size == size


@pytest.mark.parametrize("content", [b"", b"no PEM at all", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_corrupt_key_file_is_named_with_the_cure(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ca-key.pem").write_bytes(content)
    with pytest.raises(ValueError, match=r"ca-key\.pem holds no certificate authority.*delete it"):
        load_identity(tmp_path)


def test_a_key_with_a_password_is_named_with_the_cure(tmp_path: Path) -> None:
    load_identity(tmp_path)
    secret = tmp_path / "ca-key.pem"
    pem = secret.read_bytes()
    locked = load_pem_private_key(pem, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )
    certificate = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.PEM)
    secret.write_bytes(certificate + locked)
    with pytest.raises(ValueError, match=r"holds no certificate authority.*delete it"):
        load_identity(tmp_path)


def test_a_key_without_its_certificate_is_named_with_the_cure(tmp_path: Path) -> None:
    load_identity(tmp_path)
    secret = tmp_path / "ca-key.pem"
    secret.write_bytes(secret.read_bytes().partition(b"-----END CERTIFICATE-----")[2])
    with pytest.raises(ValueError, match=r"holds no certificate authority.*delete it"):
        load_identity(tmp_path)


def test_the_state_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIDI_STATE_DIR", "/chosen")
    assert state_folder() == Path("/chosen")
    monkeypatch.delenv("BIDI_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert state_folder() == Path("/xdg/sagemaker-bidi")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert state_folder() == Path("/home/somebody/.local/state/sagemaker-bidi")


def test_the_state_folder_is_all_that_has_to_be_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    identity = load_identity(tmp_path / "state")
    assert identity.server_context([], protocol="h2").cert_store_stats()
    assert not list((tmp_path / "state").glob("tmp*"))
