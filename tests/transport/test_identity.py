"""The local CA: made once, private, and handed out together with the system's roots."""

from __future__ import annotations

import ssl
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from sagemaker_bidi.transport.identity import load_identity, state_folder


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
