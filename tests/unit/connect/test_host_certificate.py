import base64
import random
import subprocess

import pytest

from ci.connect.host_certificate import why_not


def keygen(*options):
    subprocess.run(["ssh-keygen", "-q", *options], check=True, capture_output=True)


def blob(file):
    kind, encoded = file.read_text().split()[:2]
    return kind, base64.b64decode(encoded)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ca", "host"):
        keygen("-t", "ed25519", "-N", "", "-f", folder / name)
    keygen("-t", "rsa", "-N", "", "-f", folder / "rsa")
    return folder


def authority(file):
    return {base64.b64encode(blob(file)[1]).decode()}


def test_a_damaged_certificate_proves_nothing_and_raises_nothing(keys):
    keygen("-h", "-s", keys / "ca", "-I", "a", "-n", "h1", keys / "host.pub")
    kind, good = blob(keys / "host-cert.pub")
    authorities = authority(keys / "ca.pub")
    assert why_not(kind, good, "h1", authorities) == ""
    chosen = random.Random(1)  # noqa: S311
    for _ in range(500):
        bad = bytearray(good)
        place = chosen.randrange(len(bad))
        bad[place : place + chosen.randrange(9)] = chosen.randbytes(chosen.randrange(9))
        if bytes(bad) != good:
            assert why_not(kind, bytes(bad), "h1", authorities) != ""


@pytest.mark.parametrize(("algorithm", "good"), [("rsa-sha2-512", True), ("ssh-rsa", False)])
def test_a_signature_with_sha1_proves_nothing(keys, algorithm, good):
    keygen("-h", "-s", keys / "rsa", "-t", algorithm, "-I", "a", "-n", "h1", keys / "host.pub")
    why = why_not(*blob(keys / "host-cert.pub"), "h1", authority(keys / "rsa.pub"))
    assert why == "" if good else "signature" in why


def test_a_users_certificate_proves_no_host(keys):
    keygen("-s", keys / "ca", "-I", "a", "-n", "h1", keys / "host.pub")
    why = why_not(*blob(keys / "host-cert.pub"), "h1", authority(keys / "ca.pub"))
    assert why == "its certificate is not for a host"
