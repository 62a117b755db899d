"""Host keys: certificates of hosts and files that keep no key, beside OpenSSH's own client."""

import subprocess

import pytest
from sshds import by_openssh, here, make_key, make_sshd, shared_config

from ci.connect.trust import offers, trust
from ci.errors import HostKeyRefused
from ci.inventory.target import Target

pytestmark = pytest.mark.usefixtures("place")

GOOD = ("-n", "127.0.0.1")
AUTHORITY = "@cert-authority * {ca}\n"
# options of ssh-keygen -s, known_hosts, more configuration, why it ends
CERTIFIED = {
    "for this host": (GOOD, AUTHORITY, "", ""),
    "for a pattern": (("-n", "127.*,other"), AUTHORITY, "", ""),
    "its authority known with port": (GOOD, "@cert-authority [127.0.0.*]:* {ca}\n", "", ""),
    "its authority known without port": (GOOD, "@cert-authority 127.0.0.1 {ca}\n", "", ""),
    "by alias": (("-n", "npu-1"), AUTHORITY, "HostKeyAlias NPU-1", ""),
    "for another host": (
        ("-n", "npu-2,npu-3"),
        AUTHORITY,
        "",
        "is for npu-2, npu-3, not 127.0.0.1",
    ),
    "expired": ((*GOOD, "-V", "-2d:-1d"), AUTHORITY, "", "has expired"),
    "expired, and the key is known": ((*GOOD, "-V", "-2d:-1d"), AUTHORITY + "{known}", "", ""),
    "critical options": ((*GOOD, "-O", "critical:x"), AUTHORITY, "", "has critical options"),
    "another authority": (
        GOOD,
        "@cert-authority * {other}\n",
        "",
        "authority of its certificate is not known",
    ),
    "an authority of other hosts": (GOOD, "@cert-authority npu-* {ca}\n", "", "not known: ssh-"),
    "a revoked authority": (GOOD, AUTHORITY + "@revoked * {ca}\n", "", "is revoked in"),
    "a revoked key": (GOOD, AUTHORITY + "@revoked * {key}\n", "", "is revoked in"),
    "none": (None, AUTHORITY, "", "the host shows no certificate"),
}


def public(file):
    return " ".join(file.read_text().split()[:2])


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_hosts_certificate(place, sshd, connections, kind):
    for name in ("ca", "other"):
        make_key(place / name, "-t", kind)
    host = sshd("a", f"HostCertificate {place}/a/host-cert.pub")
    for name, (options, known, lines, why) in CERTIFIED.items():
        certificate = place / "a/host-cert.pub"
        certificate.unlink(missing_ok=True)
        if options is not None:
            sign = ["ssh-keygen", "-qh", "-s", place / "ca", "-I", "a", *options]
            subprocess.run([*sign, place / "a/host.pub"], check=True, capture_output=True)
        host.kill()
        host.start()
        keys = {file: public(place / f"{file}.pub") for file in ("ca", "other")}
        text = known.format(**keys, key=" ".join(host.key), known=host.known_line)
        (place / "known_hosts").write_text(text)
        shared_config(place, host, f"IdentityFile {place}/id", lines)
        ours = here(connections, "alias")
        assert why in ours if why else ours == "", name
        if name != "for a pattern":  # only new versions of OpenSSH take it
            assert by_openssh(place, "alias") is (why == ""), name
        [(_, offer)] = offers([Target("h1", "alias")])
        assert offer.known is (why == ""), name


@pytest.mark.parametrize("file", ["none", "/dev/null"])
def test_a_file_that_keeps_no_key_is_refused_with_advice_that_ends(place, sshd, connections, file):
    host = sshd()
    shared_config(place, host, f"IdentityFile {place}/id", "StrictHostKeyChecking no")
    config = place / "home/.ssh/config"
    config.write_text(config.read_text().replace(f"{place}/known_hosts", file))
    why = here(connections, "alias")
    advised = "Write `known_hosts: ~/.ssh/known_hosts` into the cluster file, or"
    expected = (
        advised,
        "StrictHostKeyChecking no is not followed",
        host.key[0],
        "none` or /dev/null",
    )
    assert [part for part in expected if part not in why] == []
    assert f"add to {file}" not in why
    [(_, offer)] = offers([Target("h1", "alias")])
    assert advised in offer.refused
    with pytest.raises(HostKeyRefused, match="known_hosts: ~/"):
        trust(offer)
    # The advice, followed:
    target = Target("h1", "alias", known_hosts=str(place / "home/.ssh/known_hosts"))
    [(_, offer)] = offers([target])
    assert (offer.known, offer.refused) == (False, "")
    trust(offer)
    assert here(connections, "alias", known_hosts=target.known_hosts) == ""
    config.write_text(config.read_text() + f" GlobalKnownHostsFile {place}/home/.ssh/known_hosts\n")
    assert here(connections, "alias") == ""


def test_a_new_key_goes_into_the_first_file_that_keeps_keys(place, sshd, connections):
    host = sshd()
    shared_config(place, host, f"IdentityFile {place}/id")
    config = place / "home/.ssh/config"
    config.write_text(
        config.read_text().replace(f"{place}/known_hosts", f"/dev/null {place}/new {place}/more")
    )
    [(_, offer)] = offers([Target("h1", "alias")])
    assert trust(offer) == place / "new"
    assert here(connections, "alias") == ""
    assert not (place / "more").exists()


def test_another_sshd_of_a_known_host_is_unknown_not_changed(place, sshd, connections):
    known = sshd()
    host = make_sshd(place / "b")
    try:
        (place / "known_hosts").write_text(f"127.0.0.1 {' '.join(known.key)}\n")
        shared_config(place, host, f"IdentityFile {place}/id")
        assert "is not known" in here(connections, "alias")
        [(_, offer)] = offers([Target("h1", "alias")])
        assert offer.refused == ""
        trust(offer)
        assert here(connections, "alias") == ""
    finally:
        host.end()
