"""Check a host's certificate: its authority, signature, names and time."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
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


# cryptography's errors for damaged keys and certificates.
DAMAGED = (ValueError, TypeError, UnsupportedAlgorithm, NotImplementedError, AssertionError)


@dataclass(frozen=True)
class Certificate:
    """A certificate, and the base64 blobs of its key and of its authority's key."""

    fields: SSHCertificate
    key: str
    authority: str


def parse(type_: str, blob: bytes) -> Certificate | None:
    """Parse a certificate; None if it is damaged or of an unknown kind."""
    try:
        identity = load_ssh_public_identity(f"{type_} {base64.b64encode(blob).decode()}".encode())
        if not isinstance(identity, SSHCertificate):
            return None
        return Certificate(identity, _blob(identity.public_key()), _blob(identity.signature_key()))
    except DAMAGED:
        return None


def why_not(type_: str, blob: bytes, host: str, authorities: Collection[str]) -> str:
    """Return why a certificate does not prove that a key is the host's; "" if it does.

    Follows sshkey_cert_check_host of OpenSSH.

    Args:
        type_: the certificate's type.
        blob: the certificate.
        host: name or address, without a port.
        authorities: blobs, in base64, of the authorities' keys.
    """
    parsed = parse(type_, blob)
    if parsed is None:
        return "its certificate cannot be read"
    certificate = parsed.fields
    names = [name.decode(errors="replace") for name in certificate.valid_principals]
    problems = {
        "the authority of its certificate is not known": parsed.authority not in authorities,
        "the signature of its certificate is wrong": not _signed(certificate, blob),
        "its certificate is not for a host": certificate.type is not SSHCertificateType.HOST,
        "its certificate has expired, or is not valid yet": not (
            certificate.valid_after <= time.time() < certificate.valid_before
        ),
        f"its certificate is for {', '.join(names) or 'no name'}, not {host}": not any(
            fnmatchcase(host, name.replace("[", "[[]")) for name in names
        ),
        "its certificate has critical options": bool(certificate.critical_options),
    }
    return next((problem for problem, present in problems.items() if present), "")


def _signed(certificate: SSHCertificate, blob: bytes) -> bool:
    authority = certificate.signature_key()
    if isinstance(authority, RSAPublicKey):
        # A certificate ends with the signature's algorithm, then its length and itself.
        size = (authority.key_size + 7) // 8
        if blob[: -(size + 4)].endswith(b"ssh-rsa"):
            return False  # SHA-1, which OpenSSH does not accept either
    try:
        certificate.verify_cert_signature()
    except (InvalidSignature, *DAMAGED):
        return False
    return True


def _blob(key: object) -> str:
    line: bytes = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)  # type: ignore[attr-defined]
    return line.split()[1].decode()
