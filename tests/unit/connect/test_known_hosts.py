import base64
import subprocess

import pytest

from ci.connect.key_check import check_key
from ci.connect.known_hosts import HostKey, KnownFiles, known_keys, known_name, line_to_add
from ci.errors import HostKeyRefused, UserError

ED = HostKey("ssh-ed25519", base64.b64encode(b"one key of a host").decode())
OTHER = HostKey("ssh-ed25519", base64.b64encode(b"another key").decode())
RSA = HostKey("ssh-rsa", base64.b64encode(b"an rsa key").decode())


def line(names, key=ED, marker=""):
    return f"{marker} {names} {key.type} {key.blob} comment\n".lstrip()


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("h1", 22, "h1"),
        ("H1.Lab", 22, "h1.lab"),
        ("10.0.0.1", 2222, "[10.0.0.1]:2222"),
        ("fe80::1", 22, "fe80::1"),
        ("fe80::1", 2222, "[fe80::1]:2222"),
    ],
)
def test_name_of_a_host(host, port, expected):
    assert known_name(host, port) == expected


@pytest.mark.parametrize(
    ("names", "name", "known"),
    [
        ("h1", "h1", True),
        ("h1", "h11", False),
        ("h1,10.0.0.1", "10.0.0.1", True),
        ("H1", "h1", True),
        ("[h1]:2222", "[h1]:2222", True),
        ("h1", "[h1]:2222", False),
        ("*.lab", "h1.lab", True),
        ("*.lab", "lab", False),
        ("h?", "h1", True),
        ("h?", "h12", False),
        ("h*,!h2", "h1", True),
        ("h*,!h2", "h2", False),
        ("[10.0.0.*]:2222", "[10.0.0.7]:2222", True),
        ("10.0.0.*", "10x0x0x1", False),
    ],
)
def test_which_lines_are_of_a_host(tmp_path, names, name, known):
    file = tmp_path / "known_hosts"
    file.write_text(line(names))
    assert bool(known_keys(name, [str(file)]).keys) is known


def test_what_is_no_key_is_passed_over(tmp_path):
    file = tmp_path / "known_hosts"
    file.write_bytes(
        b"# h1 is a comment\n\n   \nh1\nh1 ssh-ed25519\n@unheard h1 ssh-ed25519 AAAA\n\xff\xfe\n"
        b"|1|broken h1 AAAA\n|1|!|! ssh-ed25519 AAAA\n" + line("h1").encode(),
    )
    known = known_keys("h1", [str(file)])
    assert [(entry.key, entry.line) for entry in known.keys] == [(ED, 10)]


def test_keys_of_several_files_in_their_order(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text(line("h1", RSA))
    second.write_text(line("h2") + line("h1"))
    known = known_keys("h1", [str(first), str(tmp_path / "missing"), str(second)])
    assert [entry.location for entry in known.keys] == [f"{first}:1", f"{second}:2"]


def test_a_file_that_changed_is_read_again(tmp_path):
    file = tmp_path / "known_hosts"
    file.write_text(line("h1"))
    assert known_keys("h2", [str(file)]).keys == ()
    with file.open("a") as lines:
        lines.write(line("h2"))
    assert known_keys("h2", [str(file)]).keys[0].key == ED


def test_a_folder_is_no_known_hosts(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        known_keys("h1", [str(tmp_path)])


def test_the_names_that_ssh_keygen_hashed(tmp_path):
    """2,000 lines, hashed by OpenSSH itself, with the fingerprint that it prints."""
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", tmp_path / "k"], check=True)
    kind, blob = (tmp_path / "k.pub").read_text().split()[:2]
    key, file = HostKey(kind, blob), tmp_path / "known_hosts"
    file.write_text("".join(line(f"h{number}", key) for number in range(2000)))
    subprocess.run(["ssh-keygen", "-qHf", file], check=True, capture_output=True)
    assert "h1999" not in file.read_text()
    assert [entry.line for entry in known_keys("h1999", [str(file)]).keys] == [2000]
    assert known_keys("h2000", [str(file)]).keys == ()
    printed = subprocess.run(
        ["ssh-keygen", "-lf", tmp_path / "k.pub"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert key.fingerprint in printed


REFUSED = {
    "unknown": ("", ["not known", ED.fingerprint, "inv hosts.trust", line_to_add("h1", ED)]),
    "changed": (line("h1", OTHER), ["changed", ED.fingerprint, OTHER.fingerprint, "known:1"]),
    "another type": (line("h1", RSA), ["changed", RSA.fingerprint, "ssh-keygen -f"]),
    "revoked": (line("h1") + line("*", ED, "@revoked"), ["revoked", "known:2"]),
    "authority": (line("*", RSA, "@cert-authority"), ["not known", "authority", "known:1"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_key_is_refused(tmp_path, case):
    text, expected = REFUSED[case]
    file = tmp_path / "known"
    file.write_text(text)
    with pytest.raises(HostKeyRefused) as refused:
        check_key(
            "h1", "h1", ED, known_keys("h1", [str(file)]), KnownFiles((str(file),), str(file))
        )
    message = str(refused.value)
    assert [part for part in expected if part not in message] == []
    assert "\n" not in message


@pytest.mark.parametrize(
    "text",
    [line("h1"), line("h1", OTHER) + line("h1"), line("h1") + line("h1", OTHER, "@revoked")],
)
def test_a_known_key_is_taken(tmp_path, text):
    file = tmp_path / "known"
    file.write_text(text)
    check_key("h1", "h1", ED, known_keys("h1", [str(file)]), KnownFiles((str(file),), str(file)))
