"""OpenSSH's configuration: each login here ends as the login of OpenSSH's own client does."""

import base64
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import textwrap

import pytest
from sshds import by_openssh, here, make_key, shared_config, write_config

pytestmark = pytest.mark.usefixtures("place")


LOGINS = {
    "keywords in any case and with =": """
        hOST=alias
         HOSTNAME = 127.0.0.1
         port={port}
        """,
    "comments and quotes": """
        Host alias # of the lab
         HostName "127.0.0.1" # loopback
         Port {port}  # not 22
        """,
    "a later block does not win": """
        Host alias
         HostName 127.0.0.1
         Port {port}
        Host *
         Port 1
        """,
    "Match host and originalhost": """
        Match originalhost alias
         HostName 127.0.0.1
        Match host 127.0.0.1
         Port {port}
        """,
    "Match exec": """
        Match originalhost alias exec "test %n = alias"
         HostName 127.0.0.1
         Port {port}
        """,
    "Match exec that fails": """
        Host alias
         HostName 127.0.0.1
        Match exec false
         Port {port}
        Host *
         Port 1
        """,
    "Match final": """
        Host alias
         HostName 127.0.0.1
        Match final host 127.0.0.1
         Port {port}
        """,
    "CanonicalizeHostname": """
        Host alias
         HostName 127.0.0.1
         CanonicalizeHostname always
        Match canonical host 127.0.0.1
         Port {port}
        """,
    "Match user": """
        Host alias
         HostName 127.0.0.1
         Port 1
        Match user nobody
         Port {port}
        """,
    "Include": """
        Include {place}/more/*.conf
        """,
    "Include in a block": """
        Host other
         Include {place}/more/*.conf
        """,
    "ConnectTimeout with a unit, and what does not matter": """
        Host alias
         HostName 127.0.0.1
         Port {port}
         ConnectTimeout 1m30s
         ServerAliveInterval 5
         ControlMaster auto
         ControlPath {place}/%C
         SendEnv LANG
        """,
    "ConnectTimeout 0, which is no limit": """
        Host alias
         HostName 127.0.0.1
         Port {port}
         ConnectTimeout 0
        """,
    "tokens and variables in paths": """
        Host alias
         HostName 127.0.0.1
         Port {port}
         IdentityFile ${{PLACE}}/keys/%n-%p-%%
        """,
    "a socket address that is not ours": """
        Host alias
         HostName 127.0.0.1
         Port {port}
         AddressFamily inet6
        """,
    "BindAddress": """
        Host alias
         HostName 127.0.0.1
         Port {port}
         AddressFamily inet
         BindAddress 127.0.0.1
        """,
    "several known_hosts files, one with a space": """
        Host alias
         HostName 127.0.0.1
         Port {port}
         UserKnownHostsFile {place}/missing "{place}/with space" {place}/other
        """,
    "HostKeyAlias": """
        Host alias
         HostName 127.0.0.1
         Port {port}
         HostKeyAlias Its-Name
         UserKnownHostsFile {place}/by-alias
        """,
    "a key known without the port": """
        Host alias
         HostName 127.0.0.1
         Port {port}
         UserKnownHostsFile {place}/portless
        """,
    "a global file": """
        Host alias
         HostName 127.0.0.1
         Port {port}
         UserKnownHostsFile none
         GlobalKnownHostsFile {place}/known_hosts
        """,
    "two jump hosts": """
        Host alias
         HostName 127.0.0.1
         Port {port}
         ProxyJump outer,ssh://{user}@127.0.0.1:{inner}
        Host outer
         HostName 127.0.0.1
         Port {outer}
        """,
    "a jump host that has a jump host": """
        Host alias
         HostName 127.0.0.1
         Port {port}
         ProxyJump inner
        Host inner
         HostName 127.0.0.1
         Port {inner}
         ProxyJump outer
        Host outer
         HostName 127.0.0.1
         Port {outer}
        """,
    "ProxyCommand": """
        Host alias
         HostName 127.0.0.1
         Port {port}
         ProxyCommand ssh -F {place}/home/.ssh/config -W %h:%p {user}@outer
        Host outer
         HostName 127.0.0.1
         Port {outer}
        """,
    "ProxyCommand none before another": """
        Host alias
         HostName 127.0.0.1
         Port {port}
         ProxyCommand none
        Host *
         ProxyCommand false
        """,
}
ENDS_BADLY = {
    "Match exec that fails",
    "Match user",
    "Include in a block",
    "a socket address that is not ours",
}


def test_logins_are_as_openssh_makes_them(place, sshd, connections, monkeypatch):
    host, outer, inner = sshd(), sshd("outer"), sshd("inner")
    (place / "more").mkdir()
    (place / "more/a.conf").write_text(
        f"Host alias\n HostName 127.0.0.1\nMatch host 127.0.0.1\n Port {host.port}\n"
    )
    (place / "keys").mkdir()
    shutil.copy(place / "id", place / f"keys/alias-{host.port}-%")
    key = " ".join(host.key)
    (place / "with space").write_text(host.known_line)
    (place / "by-alias").write_text(f"its-name {key}\n")
    (place / "portless").write_text(f"127.0.0.1 {key}\n")
    monkeypatch.setenv("PLACE", str(place))
    words = {"port": host.port, "outer": outer.port, "inner": inner.port, "place": place}
    outcomes = {}
    for name, lines in LOGINS.items():
        text = textwrap.dedent(lines).format(user=host.target("").user, **words)
        text += f"Host *\n UserKnownHostsFile {place}/known_hosts\n"
        text += "" if "IdentityFile" in text else f" IdentityFile {place}/id\n"
        write_config(place, text)
        outcomes[name] = (here(connections, "alias"), by_openssh(place, "alias"))
    ended = {name: why for name, (why, _) in outcomes.items() if why}
    assert set(ended) == ENDS_BADLY, ended
    assert {name for name, (_, there) in outcomes.items() if not there} == ENDS_BADLY


@contextlib.contextmanager
def agent(place, *keys):
    """A real agent that holds these keys, in this order; the path of its socket."""
    path = place / "agent"
    env = {**os.environ, "SSH_AUTH_SOCK": str(path)}
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL) as process:
        try:
            while not path.is_socket():
                assert process.poll() is None
            for key in keys:
                subprocess.run(["ssh-add", key], check=True, env=env, capture_output=True)
            yield path
        finally:
            process.kill()
            path.unlink()


def make_fido_key(file):
    """Write a key as `ssh-keygen -t ed25519-sk` does; its device is nowhere."""

    def text(data):
        return struct.pack(">I", len(data)) + data

    def public(rest):
        return text(b"sk-ssh-ed25519@openssh.com") + text(bytes(range(32))) + text(b"ssh:") + rest

    private = struct.pack(">II", 7, 7) + public(
        b"\x01" + text(b"handle") + text(b"") + text(b"yubi")
    )
    private += bytes(range(1, 1 + -len(private) % 8))
    blob = b"openssh-key-v1\0" + text(b"none") + text(b"none") + text(b"") + struct.pack(">I", 1)
    encoded = base64.b64encode(blob + text(public(b"")) + text(private)).decode()
    file.write_text(
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{textwrap.fill(encoded, 70)}\n"
        "-----END OPENSSH PRIVATE KEY-----\n"
    )
    file.chmod(0o600)
    return file


def test_a_fido_key_in_the_agent_costs_nothing(place, sshd, connections, monkeypatch):
    fido = make_fido_key(place / "fido")
    shared_config(place, sshd())
    with agent(place, fido, place / "id") as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        assert here(connections, "alias") == ""
        subprocess.run(["ssh-add", "-d", place / "id"], check=True, capture_output=True)
        assert "yubi: a FIDO key, which needs a touch" in here(connections, "alias")


def test_a_fido_key_in_a_file(place, sshd, connections):
    fido = make_fido_key(place / "fido")
    (place / "fido.pub").write_text(
        subprocess.run(
            ["ssh-keygen", "-yf", fido], check=True, capture_output=True, text=True
        ).stdout
    )
    shared_config(place, sshd(), f"IdentityFile {fido}", f"IdentityFile {place}/id")
    assert here(connections, "alias") == ""
    shared_config(place, sshd("b"), f"IdentityFile {fido}")
    assert "fido: a FIDO key, which needs a touch" in here(connections, "alias")


def test_more_keys_in_the_agent_than_a_host_lets_be_tried(place, sshd, connections, monkeypatch):
    keys = [place / f"key{number}" for number in range(4)]
    for key in keys:
        make_key(key)
    shared_config(place, sshd("a", "MaxAuthTries 3"))
    with agent(place, *keys, place / "id") as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        why = here(connections, "alias")
        assert "ended the connection after 3 of our keys, agent's " in why
        assert "name the right key as `identity`" in why
        assert by_openssh(place, "alias") is False


def test_keys_that_the_agent_does_not_sign_with_cost_nothing(place, sshd, connections, monkeypatch):
    make_key(place / "asked")
    monkeypatch.setenv("SSH_ASKPASS", "/bin/false")
    shared_config(place, sshd())
    with agent(place) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        for options in (["-c", place / "asked"], [place / "id"]):
            subprocess.run(["ssh-add", *options], check=True, capture_output=True)
        assert here(connections, "alias") == ""


AGENTS = {
    "SSH_AUTH_SOCK": ("OTHER", "IdentityAgent SSH_AUTH_SOCK", False),
    "its path": ("OTHER", "IdentityAgent {place}/agent", True),
    "a variable": ("OTHER", "IdentityAgent $OTHER", True),
    "a variable that is not set": ("SSH_AUTH_SOCK", "IdentityAgent $MISSING", False),
    "none": ("SSH_AUTH_SOCK", "IdentityAgent none", False),
    "a public key": ("SSH_AUTH_SOCK", "IdentitiesOnly yes\n IdentityFile {place}/id.pub", True),
    "a missing key with its public half": (
        "SSH_AUTH_SOCK",
        "IdentitiesOnly yes\n IdentityFile {place}/gone",
        True,
    ),
    "only other keys": (
        "SSH_AUTH_SOCK",
        "IdentitiesOnly yes\n IdentityFile {place}/other.pub",
        False,
    ),
}


def test_which_keys_of_which_agent_are_shown(place, sshd, connections, monkeypatch):
    host = sshd()
    make_key(place / "other")
    shutil.copy(place / "id.pub", place / "gone.pub")
    with agent(place, place / "id") as path:
        (place / "id").rename(place / "held")
        for name, (variable, lines, expected) in AGENTS.items():
            shared_config(place, host, lines.format(place=place))
            with monkeypatch.context() as only:
                only.setenv(variable, str(path))
                ours = here(connections, "alias")
                assert bool(ours) is not expected, (name, ours)
                assert by_openssh(place, "alias") is expected, name
        assert f"{place}/other.pub: a public key, and no agent has" in ours


def test_an_encrypted_key_without_its_public_half_that_the_agent_holds(
    place, sshd, connections, monkeypatch
):
    host = sshd()
    with agent(place, place / "id") as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        shutil.copy(place / "id", place / "locked")
        convert(place / "locked", "-N", "secret")
        shared_config(place, host, f"IdentityFile {place}/locked", "IdentitiesOnly yes")
        assert here(connections, "alias") == ""
        assert by_openssh(place, "alias") is True


def convert(key, *options):
    subprocess.run(["ssh-keygen", "-qp", *options, "-f", key], check=True, capture_output=True)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
def test_the_forms_of_a_key(place, sshd, connections, kind, form):
    host = sshd()
    make_key(place / "key", "-t", kind)
    convert(place / "key", "-N", "", "-m", form)
    shutil.copy(place / "key.pub", place / "id.pub")
    shared_config(place, host, f"IdentityFile {place}/key")
    assert here(connections, "alias") == ""
    assert by_openssh(place, "alias") is True


@pytest.mark.filterwarnings("ignore::UserWarning")  # cryptography's, about such keys
@pytest.mark.parametrize("kind", ["ed448", "x25519"])
def test_a_kind_of_key_that_is_unknown_costs_nothing(place, sshd, connections, kind):
    host = sshd()
    openssl = ["openssl", "genpkey", "-algorithm", kind, "-out", place / "old"]
    subprocess.run(openssl, check=True, capture_output=True)
    shared_config(place, host, f"IdentityFile {place}/old", f"IdentityFile {place}/id")
    assert here(connections, "alias") == ""
    shared_config(place, host, f"IdentityFile {place}/old")
    assert "old: a kind of key that is not used here (" in here(connections, "alias")


def test_an_agent_that_is_silent_or_gone(place, sshd, connections, monkeypatch):
    monkeypatch.setattr("ci.connect.ssh_agent.ANSWER_S", 0.5)
    host = sshd()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(place / "silent"))
        silent.listen()
        for path in (place / "silent", place / "no-agent"):
            shared_config(place, host, f"IdentityAgent {path}")
            assert f"the agent at {path}: " in here(connections, "alias")


def sign(place, *options):
    subprocess.run(
        ["ssh-keygen", "-q", "-s", place / "ca", *options], check=True, capture_output=True
    )


CERTIFICATES = {
    "beside the key": ("IdentityFile {place}/user", True),
    "CertificateFile": ("IdentityFile {place}/moved\n CertificateFile {place}/user-cert.pub", True),
    "CertificateFile of another key": (
        "IdentityFile {place}/moved\n CertificateFile {place}/other-cert.pub",
        False,
    ),
    "in the agent": ("IdentityFile {place}/x", True),
    "CertificateFile of a key in the agent": ("CertificateFile {place}/user-cert.pub", True),
}


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_a_users_certificate(place, sshd, connections, monkeypatch, kind):
    for key in ("ca", "user"):
        make_key(place / key, "-t", kind)
    host = sshd("a", f"TrustedUserCAKeys {place}/ca.pub")
    (place / "id.pub").rename(place / "other.pub")  # which lets nobody in by the key alone
    sign(place, "-I", "me", "-n", host.target("").user, place / "user.pub", place / "other.pub")
    shutil.copy(place / "user", place / "moved")
    shutil.copy(place / "user.pub", place / "x.pub")
    for name, (lines, expected) in CERTIFICATES.items():
        with contextlib.ExitStack() as held:
            if "in the agent" in name:
                key = "moved" if "CertificateFile" in name else "user"  # with its certificate
                path = held.enter_context(agent(place, place / key))
                held.enter_context(monkeypatch.context()).setenv("SSH_AUTH_SOCK", str(path))
            shared_config(place, host, lines.format(place=place))
            ours = here(connections, "alias")
            assert bool(ours) is not expected, (name, ours)
            assert by_openssh(place, "alias") is expected, name


def test_a_key_is_shown_beside_its_certificate(place, sshd, connections):
    """The certificate is of no use, but the key itself is let in."""
    make_key(place / "ca")
    sign(place, "-I", "me", "-V", "-2d:-1d", place / "id.pub")
    assert here(connections, "127.0.0.1", **fields(sshd())) == ""


def fields(host):
    target = host.target("h1")
    names = ("user", "port", "identity", "known_hosts")
    return {name: getattr(target, name) for name in names}
