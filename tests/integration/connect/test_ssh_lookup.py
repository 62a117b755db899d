"""Looking a host up in OpenSSH's configuration: what is asked, what is refused and how it ends."""

import errno
import os
import shutil
import threading

import pytest
from hosts_here import until
from sshds import here, shared_config, write_config

from ci.connect import ssh_ask
from ci.connect.fan_out import fan_out
from ci.connect.ssh import SshConnections
from ci.connect.trust import offers
from ci.errors import UserError
from ci.inventory.target import Target

pytestmark = pytest.mark.usefixtures("place")


def settings_of(target):
    with SshConnections([target]) as connections:
        return connections.link(target).route


@pytest.fixture
def commands(place, monkeypatch):
    """A folder in front of PATH."""
    folder = place / "commands"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(name, text):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
        return folder

    return make


def asked(place, commands):
    """Have each question to OpenSSH's client noted in a file."""
    notes = place / "asked"
    notes.touch()
    commands("ssh", f'echo "$*" >> {notes}; exec {shutil.which("ssh")} "$@"')
    return notes


def test_nothing_is_read_for_a_target_that_is_fully_stated(place, sshd, connections, commands):
    host = sshd()
    notes = asked(place, commands)
    write_config(place, "No such keyword\n")
    target = host.target("h1")
    connection = connections(target).open(target)
    assert connection.open(["true"]).exit_code(60) == 0
    assert [offer.known for _, offer in offers([target])] == [True]
    assert notes.read_text() == ""
    behind = host.target("h2", jump="h1")
    assert connections(target, behind).open(behind).open(["true"]).exit_code(60) == 0
    assert notes.read_text() == ""


@pytest.mark.parametrize(
    "lines",
    [
        "Host *\n NoSuchKeyword yes\n",
        "Host *\n Port none\n",
        'Host *\n HostName "open\n',
        "Match exec\n",
        "Host *\n ConnectTimeout soon\n",
        "\1\2 binary\n",
        "Include {place}/more\n",
    ],
)
def test_a_configuration_that_openssh_refuses(place, connections, lines):
    (place / "more").write_text("Host *\n NoSuchKeyword yes\n")
    file = write_config(place, lines.format(place=place))
    why = here(connections, "alias")
    assert why.startswith("h1: OpenSSH's configuration of alias cannot be used: ")
    assert f"{place}/more" if "Include" in lines else str(file) in why
    assert "line " in why
    assert "\n" not in why
    with pytest.raises(UserError, match="cannot be used"):
        list(offers([Target("h1", "alias")]))


REFUSED = {
    "ProxyUseFdpass yes": "proxyusefdpass yes cannot be followed here; use a ProxyCommand",
    "RevokedHostKeys /etc/revoked": "revokedhostkeys /etc/revoked cannot be followed here",
    "BindInterface lo": "bindinterface lo cannot be followed here; use BindAddress",
    "IdentityFile ~/${NO_SUCH_VARIABLE}": "${NO_SUCH_VARIABLE}",
    "ProxyCommand nc %q": "%q",
    "ProxyJump user@domain@gate": "user@domain",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_followed_is_refused_by_name(place, connections, line):
    write_config(place, f"Host alias\n {line}\n")
    why = here(connections, "alias")
    assert why.startswith("h1: ")
    assert REFUSED[line] in why


def test_a_program_of_the_configuration_that_hangs(place, connections, monkeypatch):
    monkeypatch.setattr(ssh_ask, "ANSWER_S", 0.5)
    os.mkfifo(place / "held")
    write_config(place, f'Match exec "cat {place}/held"\n Port 22\n')
    hosts = {f"h{number}": Target(f"h{number}", "alias", jump="gate") for number in range(3)}
    opener = connections()
    outcomes = fan_out(hosts, lambda name: opener.open(hosts[name]))
    assert [type(why) for why in outcomes.values()] == [UserError] * 3
    assert "gave no answer within 0.5 s; look for a `Match exec` that hangs" in str(outcomes["h0"])
    until(lambda: nobody_reads(place / "held"))


def nobody_reads(fifo):
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        return error.errno == errno.ENXIO
    return False


@pytest.mark.parametrize(
    "text", ["exit 0", "echo usage >&2; exit 1", "kill -9 $$", "yes | head -c 9999"]
)
def test_a_client_that_is_not_openssh(place, connections, commands, text):
    commands("ssh", text)
    assert here(connections, "alias").startswith("h1: ")


@pytest.mark.parametrize("text", ["no program", "#!/no/such/shell\n"])
def test_a_client_that_does_not_start(place, connections, commands, text):
    (commands("ssh", "") / "ssh").write_text(text)
    why = here(connections, "alias")
    assert why.startswith(f"h1: {place}/commands/ssh cannot be run: ")
    assert "install OpenSSH's client" in why


def test_an_sshd_without_a_common_algorithm(place, sshd, connections):
    shared_config(place, sshd("a", "Ciphers chacha20-poly1305@openssh.com"))
    why = here(connections, "alias")
    assert "no algorithm in common (Incompatible ssh server (no acceptable ciphers))" in why
    assert "Ciphers aes256-gcm@openssh.com" in why


@pytest.mark.parametrize(
    "name", ["-oProxyCommand=touch ran", "-V", "a b", "a;touch ran", "$(id)", "", "ä"]
)
def test_a_name_is_never_an_option_or_a_command(place, connections, monkeypatch, name):
    monkeypatch.chdir(place)
    assert here(connections, name).startswith("h1: ")
    for jump in (name, f"gate,{name}"):
        if name:
            assert here(connections, "127.0.0.1", jump=jump).startswith("h1: ")
    write_config(place, f"Host alias\n HostName 127.0.0.1\n ProxyCommand echo %r\n User {name!r}\n")
    here(connections, "alias")
    assert not (place / "ran").exists()


ODD = {
    "HostName joe@127.0.0.1": "the name 'joe@127.0.0.1' is not known",
    "HostName 127.0.0.1:22": "h1: ",
    "HostName -oProxyCommand=x": "h1: ",
    "HostName fe80::1%nowhere": "h1: ",
    "HostName caf\xe9": "h1: ",
    "Port 70000": "h1: ",
    "BindAddress 192.0.2.7": "h1: ",
    "ProxyCommand true\n SHELL": "h1: cannot run its proxy command with /no/such/shell",
    "UserKnownHostsFile {place}/fifo": "h1: ",
    "IdentityAgent {place}/" + "x" * 200: "h1: ",
    "IdentityFile {place}": "h1: ",
}


@pytest.mark.parametrize("line", ODD)
def test_odd_values_end_in_a_message(place, sshd, connections, monkeypatch, line):
    os.mkfifo(place / "fifo")
    host = sshd()
    if "SHELL" in line:
        monkeypatch.setenv("SHELL", "/no/such/shell")
    shared_config(place, host)
    file = place / "home/.ssh/config"
    first = line.partition("\n")[0].format(place=place)
    file.write_bytes(f"Host alias\n {first}\n{file.read_text()}".encode("latin-1"))
    why = here(connections, "alias")
    assert ODD[line] in why
    why.encode()


def test_many_hosts_are_looked_up_side_by_side(place, commands):
    """Each waits until another one is asked too, which takes for ever in turn."""
    notes = asked(place, commands)
    write_config(place, "Host h*\n HostName 127.0.0.1\n ProxyJump gate\n")
    hosts = {f"h{number}": Target(f"h{number}", f"h{number}") for number in range(60)}
    meeting = threading.Barrier(2)
    ask = ssh_ask.ask

    with SshConnections(list(hosts.values())) as connections, pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "ci.connect.ssh_settings.ask",
            lambda target: (target.name in hosts and meeting.wait(120), ask(target))[1],
        )
        links = fan_out(hosts, lambda name: connections.link(hosts[name]))
    assert len({id(link.route.jump) for link in links.values()}) == 1
    assert len(notes.read_text().splitlines()) == 61


def test_each_jump_host_is_looked_up_by_itself(place, commands):
    notes = asked(place, commands)
    write_config(
        place,
        """
        Host far
         ProxyJump ops@near:2200,nearer
        Host near
         HostName 192.0.2.1
         User nobody
         IdentityFile /keys/near
        Host nearer
         HostName 192.0.2.2
         User joe
         Port 2222
         ProxyJump never
        """,
    )
    route = settings_of(Target("h1", "far", identity="/keys/mine"))
    assert route.identities.files == ("/keys/mine",)
    assert (route.jump.address, route.jump.identities.files) == (
        "joe@192.0.2.2 port 2222",
        ("/keys/mine",),
    )
    first = route.jump.jump
    assert (first.address, first.identities.files) == (
        "ops@192.0.2.1 port 2200",
        ("/keys/near",),
    )
    assert first.jump is None
    assert "-- far" in notes.read_text()


def test_hosts_that_jump_in_a_circle(place, connections):
    write_config(place, "Host a\n ProxyJump b\nHost b\n ProxyJump a\nHost c\n ProxyJump c\n")
    assert "circle" in here(connections, "a")
    assert "jumphost loop via c" in here(connections, "c")


def test_without_a_client_plain_settings_are_read(place, sshd, connections, monkeypatch):
    host, gate = sshd(), sshd("gate")
    monkeypatch.setattr("ci.connect.ssh_ask.shutil.which", lambda _: None)
    shared_config(
        place, host, f"IdentityFile={place}/id", "ProxyJump gate", "ServerAliveInterval 5"
    )
    with (place / "home/.ssh/config").open("a") as file:
        file.write(f"host gate\n hostname 127.0.0.1\n port {gate.port}\n identityfile {place}/id\n")
        file.write(f" userknownhostsfile {place}/known_hosts\n")
    assert here(connections, "alias") == ""
    assert gate.accepted == 1


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("Match host x", "Match"),
        ("Include co*", "Include"),
        ("CanonicalizeHostname yes", "CanonicalizeHostname"),
        ("ConnectTimeout 1m", "ConnectTimeout"),
        ("IdentityFile ${HOME}/x", "IdentityFile"),
        ("HostName %h.lab", "HostName"),
        ("Port 22 # comment", "Port"),
        ('UserKnownHostsFile "/a b"', "UserKnownHostsFile"),
        ("RevokedHostKeys /x", "RevokedHostKeys"),
        ("nonsense", "nonsense"),
    ],
)
def test_without_a_client_the_rest_is_refused_by_name(place, connections, monkeypatch, line, named):
    monkeypatch.setattr("ci.connect.ssh_ask.shutil.which", lambda _: None)
    file = write_config(place, f"Include none/*.conf\n{line}\n")
    why = here(connections, "alias")
    assert f"{file}:2: " in why
    assert named in why
    assert "openssh-client" in why


def test_without_a_client_and_without_files(connections, monkeypatch):
    monkeypatch.setattr("ci.connect.ssh_ask.shutil.which", lambda _: None)
    assert "is not known here" in here(connections, "no-such-host.invalid")
