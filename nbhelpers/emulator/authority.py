"""A certificate authority of one process: its key is in memory alone, and its certificates are valid for two days."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: How long certificates are valid, and for how long before they were made: a client's clock may be behind.
_LATE, _EARLY = timedelta(days=2), timedelta(hours=1)
#: So many hosts get a certificate of their own; the others are shown that of the default host.
_MOST_HOSTS = 200
_LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}([.]{_LABEL})*")


class Authority:
    """Certificates for any host, made when a client asks for it.

    Parameters
    ----------
    folder : Path
        A private folder.

    Attributes
    ----------
    bundle : Path
        What a client has to trust (PEM): this authority, beside the public ones.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key, self._host_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._addresses: list[Address] = []
        self.bundle = folder / "authorities.pem"
        _write(self.bundle, self._certificate() + Path(certifi.where()).read_bytes())

    def server_context(self, default: str) -> ssl.SSLContext:
        """The TLS settings of a server that has a certificate for whatever host a client asks for.

        Parameters
        ----------
        default : str
            The host whose certificate a client is shown that names none. It is also that of the addresses that were
            included.
        """

        def choose(connection: ssl.SSLObject, host: str | None, _context: ssl.SSLContext) -> None:
            connection.context = self._context((host or "").lower(), default)

        context = self._context(default, default)
        context.sni_callback = choose
        return context

    def include(self, host: str) -> None:
        """Prepare for a client that is about to ask for a host by its IP address, and so names none in the handshake.

        Parameters
        ----------
        host : str
            Nothing is done if it is a name.
        """
        with suppress(ValueError):
            address = ipaddress.ip_address(host.strip("[]"))
            if address not in self._addresses and len(self._addresses) < _MOST_HOSTS:
                self._addresses.append(address)
                self._contexts.clear()  # as one of them has the certificate that lacks this address

    def _context(self, host: str, default: str) -> ssl.SSLContext:
        """The TLS settings with the certificate of a host."""
        if not _HOST.fullmatch(host) or (host not in self._contexts and len(self._contexts) >= _MOST_HOSTS):
            host = default
        if host not in self._contexts:
            file = self._folder / "host.pem"  # `ssl` reads certificates from files alone
            key = self._host_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            _write(file, self._certificate(host, self._addresses if host == default else ()) + key)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(file)
            file.unlink()
            self._contexts[host] = context
        return self._contexts[host]

    def _certificate(self, host: str | None = None, addresses: Iterable[Address] = ()) -> bytes:
        """The certificate (PEM) of a host and of IP addresses, or of the authority itself."""
        is_host = host is not None
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nbhelpers emulator, for two days")])
        key, now = (self._host_key if is_host else self._key).public_key(), datetime.now(UTC)
        use = x509.KeyUsage(
            digital_signature=is_host,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=not is_host,
            crl_sign=not is_host,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            x509.CertificateBuilder()
            .issuer_name(name)
            .subject_name(x509.Name([]) if is_host else name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _EARLY)
            .not_valid_after(now + _LATE)
            .add_extension(x509.BasicConstraints(not is_host, None if is_host else 0), critical=True)
            .add_extension(use, critical=True)
            # The two identifiers are what Python's strict checks ask for.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if host is not None:
            names = x509.SubjectAlternativeName([x509.DNSName(host), *map(x509.IPAddress, addresses)])
            server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
            builder = builder.add_extension(names, critical=True).add_extension(server, critical=False)
        certificate: bytes = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        return certificate


def _write(path: Path, content: bytes) -> None:
    """Write a file that no other user may read."""
    path.touch(mode=0o600)
    path.write_bytes(content)
