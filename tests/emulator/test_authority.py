from __future__ import annotations

import ssl
import stat
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nbhelpers.emulator.names import HOSTS

pytest.importorskip("cryptography", reason="needs the azure environment: make install-azure")
from nbhelpers.emulator import authority as module
from nbhelpers.emulator.authority import Authority

DEFAULT = "management.azure.com"


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str | None) -> dict[str, Any]:
    """The certificate that a client is shown, after it has checked it."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        for side in (ours, theirs):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    certificate = ours.getpeercert()
    assert certificate is not None, "no handshake"
    return certificate


def trusting(bundle: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=bundle)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize("host", [*HOSTS, "data.example.org", "a", "x_y.example.org", f"{'a' * 63}.{'b' * 63}.example"])
def test_a_client_that_trusts_it_accepts_any_host_by_a_certificate_of_its_own(authority: Authority, host: str) -> None:
    certificate = handshake(authority.server_context(DEFAULT), trusting(authority.bundle), host)
    assert certificate["subjectAltName"] == (("DNS", host),)


def test_certificates_end_after_two_days(authority: Authority) -> None:
    certificate = handshake(authority.server_context(DEFAULT), trusting(authority.bundle), DEFAULT)
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    assert end - datetime.now(UTC) == pytest.approx(timedelta(days=2), abs=timedelta(minutes=1))


@pytest.mark.parametrize("bundle", ["public", "of another one"])
def test_a_client_that_does_not_trust_it_refuses(authority: Authority, tmp_path: Path, bundle: str) -> None:
    (tmp_path / "other").mkdir()
    trusted = None if bundle == "public" else Authority(tmp_path / "other").bundle
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority.server_context(DEFAULT), trusting(trusted), DEFAULT)


def test_its_clients_trust_the_public_authorities_too(authority: Authority) -> None:
    public = ssl.create_default_context(cafile=module.certifi.where()).cert_store_stats()["x509_ca"]
    assert trusting(authority.bundle).cert_store_stats()["x509_ca"] == public + 1


@pytest.mark.parametrize("host", [None, "-a.example.org"])
def test_who_names_no_host_or_a_wrong_one_is_shown_the_default_one(authority: Authority, host: str | None) -> None:
    client = trusting(authority.bundle)
    client.check_hostname = False
    certificate = handshake(authority.server_context(DEFAULT), client, host)
    assert certificate["subjectAltName"] == (("DNS", DEFAULT),)


def test_who_asks_by_an_address_that_was_included_accepts_the_default_one(authority: Authority) -> None:
    context, client = authority.server_context(DEFAULT), trusting(authority.bundle)
    handshake(context, client, DEFAULT)
    for host in ("192.0.2.1", "[2001:db8::1]", "data.example.org"):
        authority.include(host)
    client.check_hostname = False
    certificate = handshake(context, client, None)
    assert certificate["subjectAltName"] == (
        ("DNS", DEFAULT),
        ("IP Address", "192.0.2.1"),
        ("IP Address", "2001:DB8:0:0:0:0:0:1"),
    )


def test_so_many_hosts_that_they_would_fill_the_memory_are_shown_the_default_one(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_HOSTS", 2)
    context, client = authority.server_context(DEFAULT), trusting(authority.bundle)
    client.check_hostname = False
    names = [handshake(context, client, host)["subjectAltName"][0][1] for host in ("one", "two", "one")]
    assert names == ["one", DEFAULT, "one"]


def test_no_key_is_left_in_a_file_and_no_other_user_can_read_any(authority: Authority, tmp_path: Path) -> None:
    handshake(authority.server_context(DEFAULT), trusting(authority.bundle), "data.example.org")
    (file,) = tmp_path.iterdir()
    assert file == authority.bundle
    assert b"PRIVATE KEY" not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
