"""Whether a host's certificate is good: signed by a known authority, for this name, and now."""

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


# What cryptography raises for what is damaged.
DAMAGED = (ValueError, TypeError, UnsupportedAlgorithm, NotImplementedError, AssertionError)


@dataclass(frozen=True)
class Certificate:
    """A certificate and the blobs, in base64, of the key that it is for and of its signer's."""

    fields: SSHCertificate
    key: str
    authority: str


def parse(type_: str, blob: bytes) -> Certificate | None:
    """Read a certificate; None if it is not one, or of a kind that is not known here."""
    try:
        found = load_ssh_public_identity(f"{type_} {base64.b64encode(blob).decode()}".encode())
        if not isinstance(found, SSHCertificate):
            return None
        return Certificate(found, _blob(found.public_key()), _blob(found.signature_key()))
    except DAMAGED:
        return None


def why_not(type_: str, blob: bytes, host: str, authorities: Collection[str]) -> str:
    """Return why a certificate does not prove that a key is the host's; "" if it does.

    As sshkey_cert_check_host of OpenSSH does it.

    Args:
        type_: of the certificate.
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
        "its certificate is of an authority that is not known": parsed.authority not in authorities,
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
    except (InvalidSignature, *DAMAGED):
        return False
    return True


def _blob(key: object) -> str:
    line: bytes = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)  # type: ignore[attr-defined]
    return line.split()[1].decode()
