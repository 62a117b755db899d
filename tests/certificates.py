"""Certificates of servers, made with openssl for a test."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = ("openssl", "req", "-newkey", "rsa:2048", "-nodes")


def authority(folder: Path) -> str:
    """Make an authority; return the file with its certificate."""
    run(
        *REQUEST,
        "-x509",
        "-subj",
        "/CN=an authority",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        folder=folder,
    )
    return str(folder / "ca.pem")


def certificate(
    folder: Path, name: str = "IP:127.0.0.1", days: int = 1, *, signed: bool = False
) -> tuple[str, str]:
    """Make a certificate of its own, or one that the folder's authority signed, and its key.

    Args:
        folder: a folder of the test.
        name: its subjectAltName.
        days: how long it is valid; negative for one that has expired.
        signed: whether the authority signs it.
    """
    (folder / "extensions").write_text(f"subjectAltName={name}\n")
    run(*REQUEST, "-subj", "/CN=light", "-keyout", "key.pem", "-out", "request.pem", folder=folder)
    by = (
        ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
        if signed
        else ["-signkey", "key.pem"]
    )
    argv = ["openssl", "x509", "-req", "-in", "request.pem", "-extfile", "extensions", *by]
    run(*argv, "-days", str(days), "-out", "cert.pem", folder=folder)
    return str(folder / "cert.pem"), str(folder / "key.pem")


def run(*argv: str, folder: Path) -> None:
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)
