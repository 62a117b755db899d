"""Whether a host's certificate is good: signed by a known authority, for this name, and now."""

from __future__ import annotations

import base64
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

if TYPE_CHECKING:
    from collections.abc import Collection

SUFFIX = "-cert-v01@openssh.com"


def parse(type_: str, blob: bytes) -> SSHCertificate | None:
    """Read a certificate; None if it is not one, or of a kind that is not known here."""
    try:
        found = load_ssh_public_identity(f"{type_} {base64.b64encode(blob).decode()}".encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    return found if isinstance(found, SSHCertificate) else None


def key_of(certificate: SSHCertificate) -> bytes:
    """Return the blob of the key that a certificate is for."""
    return _blob(certificate.public_key())


def authority_of(certificate: SSHCertificate) -> str:
    """Return the blob, in base64, of the key that signed a certificate."""
    return base64.b64encode(_blob(certificate.signature_key())).decode()


def why_not(type_: str, blob: bytes, host: str, authorities: Collection[str]) -> str:
    """Return why a certificate does not prove that a key is the host's; "" if it does.

    As sshkey_cert_check_host of OpenSSH does it.

    Args:
        type_: of the certificate.
        blob: the certificate.
        host: name or address, without a port.
        authorities: blobs, in base64, of the authorities' keys.
    """
    certificate = parse(type_, blob)
    if certificate is None:
        return "its certificate cannot be read"
    names = [name.decode(errors="replace") for name in certificate.valid_principals]
    problems = {
        "its certificate is of an authority that is not known": authority_of(certificate)
        not in authorities,
        "the signature of its certificate is wrong": not _signed(certificate, blob),
        "its certificate is not for a host": certificate.type is not SSHCertificateType.HOST,
        "its certificate has expired, or is not valid yet": not (
            certificate.valid_after <= time.time() < certificate.valid_before
        ),
        f"its certificate is for {', '.join(names) or 'nobody'}, not {host}": not any(
            fnmatchcase(host, name.replace("[", "[[]")) for name in names
        ),
        "its certificate has critical options": bool(certificate.critical_options),
    }
    return next((problem for problem, found in problems.items() if found), "")


def _signed(certificate: SSHCertificate, blob: bytes) -> bool:
    authority = certificate.signature_key()
    if isinstance(authority, RSAPublicKey):
        # A certificate ends with the signature's algorithm, then its length and itself.
        size = (authority.key_size + 7) // 8
        if blob[: -(size + 4)].endswith(b"ssh-rsa"):
            return False  # SHA-1, which OpenSSH does not take either
    try:
        certificate.verify_cert_signature()
    except InvalidSignature:
        return False
    return True


def _blob(key: object) -> bytes:
    line: bytes = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)  # type: ignore[attr-defined]
    return base64.b64decode(line.split()[1])
