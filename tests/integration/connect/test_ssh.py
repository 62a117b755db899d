"""Connections over SSH, to real sshds on loopback addresses."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue

import pytest
from hosts_here import new_run, until
from sshds import descendants, make_key

from ci.agent import reconnect
from ci.agent.connected import connected
from ci.agent.process_spec import ProcessSpec
from ci.agent.start_process import start
from ci.connect import ssh_link
from ci.connect.fan_out import fan_out
from ci.connect.ssh import SshConnections
from ci.connect.trust import Offer, offers, trust
from ci.errors import ConnectionLost, HostKeyRefused, HostUnreachable, LamplighterError, UserError
from ci.inventory.target import Target

pytestmark = pytest.mark.usefixtures("place")

ECHO = "import json, sys; print(json.dumps(sys.argv[1:]))"
MB = 1 << 20


def output(channel):
    channel.finish()
    return b"".join(iter(channel.read, b""))


def ssh_config(place, text):
    (place / "home/.ssh/config").write_text(text)


def held():
    """The threads and the sockets of this process.

    Not the thread of all alarms, which begins with the first, nor the timer of who waits for this.
    """
    threads = {
        thread
        for thread in threading.enumerate()
        if not isinstance(thread, threading.Timer) and thread.name != "alarms"
    }
    links = set()
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            links.add(str(file.readlink()))
    return threads | {link for link in links if link.startswith("socket:")}


def python(code, *arguments):
    return [sys.executable, "-c", code, *arguments]


@pytest.mark.parametrize(
    "argument",
    [
        "two words",
        '{"a": [1, "x y"]}',
        "$HOME `id` $(id)",
        "a;b|c&d>e<f",
        "it's",
        '"q"',
        "a\nb\n",
        "a\\nb\\",
        "größe 日本語 🙂",
        "",
        "*",
        "~",
        "!!",
        "-e",
        "#x",
    ],
)
def test_an_argument_arrives_as_it_is(sshd, connections, argument):
    connection = connections().open(sshd().target("h1"))
    channel = connection.open(python(ECHO, argument, "last"))
    assert json.loads(output(channel)) == [argument, "last"]
    assert channel.exit_code(10) == 0


def test_much_both_ways_at_once(sshd, connections):
    connection = connections().open(sshd().target("h1"))
    channel = connection.open(["cat"])
    data = os.urandom(MB) * 10
    writer = threading.Thread(target=lambda: (channel.write(data), channel.finish()))
    writer.start()
    assert b"".join(iter(channel.read, b"")) == data
    writer.join()
    assert channel.exit_code(10) == 0


def test_its_stderr_is_kept_to_the_last_lines(sshd, connections):
    connection = connections().open(sshd().target("h1"))
    code = "import sys; [print('line', n, file=sys.stderr) for n in range(100)]; sys.exit(7)"
    channel = connection.open(python(code))
    assert output(channel) == b""
    assert channel.exit_code(10) == 7
    assert channel.error_output.splitlines() == [f"line {number}" for number in range(80, 100)]


def test_much_stderr_does_not_block_a_command(sshd, connections):
    connection = connections().open(sshd().target("h1"))
    code = f"import sys; sys.stderr.write('x' * 79 + '\\n'); sys.stderr.write('y' * {6 * MB})"
    channel = connection.open(python(code + "; print('done')"))
    assert output(channel) == b"done\n"
    assert channel.error_output.endswith("yyy")
    assert len(channel.error_output) < MB


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [("", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", None)],
)
def test_exit_codes(sshd, connections, code, exit_code):
    channel = connections().open(sshd().target("h1")).open(python(code))
    assert output(channel) == b""
    assert channel.exit_code(10) == exit_code


def test_the_exit_code_of_what_still_runs_is_not_known(sshd, connections):
    channel = connections().open(sshd().target("h1")).open(["cat"])
    assert channel.exit_code(0.1) is None
    channel.finish()
    assert channel.exit_code(10) == 0


def test_a_channel_closed_by_another_thread_ends_the_reader(sshd, connections):
    channel = connections().open(sshd().target("h1")).open(["cat"])
    read = []
    reader = threading.Thread(target=lambda: read.append(channel.read()))
    reader.start()
    channel.close()
    channel.close()
    reader.join(20)
    assert read == [b""]
    with pytest.raises(ConnectionLost, match="cat"):
        channel.write(b"x")


def test_a_command_that_ended_takes_no_more(sshd, connections):
    channel = connections().open(sshd().target("h1")).open(python("raise SystemExit('bad day')"))
    assert output(channel) == b""
    assert channel.exit_code(10) == 1
    with pytest.raises(ConnectionLost, match=r"h1: .* no longer listens.*bad day"):
        channel.write(b"x")


def test_two_connections_and_two_channels_at_once(sshd, connections):
    opener = connections()
    target = sshd().target("h1")
    both = [opener.open(target), opener.open(target)]
    channels = [connection.open(["cat"]) for connection in both for _ in range(2)]
    for number, channel in enumerate(channels):
        channel.write(b"%d" % number)
    assert [channel.read() for channel in channels] == [b"0", b"1", b"2", b"3"]
    both[0].close()
    assert channels[1].read() == b""
    channels[2].write(b"on")
    assert channels[2].read() == b"on"


def test_a_broken_connection_is_seen_and_mended_by_reopen_only(sshd, connections):
    host = sshd()
    connection = connections().open(host.target("h1"))
    channel = connection.open(["cat"])
    host.kill()
    assert channel.read() == b""
    with pytest.raises(ConnectionLost, match="h1: "):
        channel.write(b"x")
    with pytest.raises(ConnectionLost, match="h1: the connection broke"):
        connection.open(["true"])
    with pytest.raises(HostUnreachable, match="nothing listens there"):
        connection.reopen()
    host.start()
    with pytest.raises(ConnectionLost):
        connection.open(["true"])
    connection.reopen()
    assert output(connection.open(["echo", "back"])) == b"back\n"
    assert host.accepted == 1


def test_an_unknown_key_is_refused_until_it_is_trusted(place, sshd, connections):
    host = sshd()
    target = host.target("h1", known_hosts=str(place / "new/known"))
    with pytest.raises(HostKeyRefused) as refused:
        connections().open(target)
    [(name, offer)] = offers([target])
    assert (name, offer.known, offer.refused) == ("h1", False, "")
    assert offer.line == host.known_line.strip()
    expected = [offer.key.fingerprint, offer.line, target.known_hosts, "inv hosts.trust"]
    assert [part for part in expected if part not in str(refused.value)] == []
    assert trust(offer) == place / "new/known"
    assert trust(offer) is None
    assert (place / "new/known").stat().st_mode & 0o777 == 0o600
    assert (place / "new").stat().st_mode & 0o777 == 0o700
    assert output(connections().open(target).open(["echo", "in"])) == b"in\n"


def test_a_line_is_added_after_one_that_has_no_end(place, sshd):
    target = sshd().target("h1", known_hosts=str(place / "torn"))
    (place / "torn").write_text("other ssh-ed25519 AAAA")
    [(_, offer)] = offers([target])
    trust(offer)
    assert (place / "torn").read_text() == f"other ssh-ed25519 AAAA\n{offer.line}\n"


@pytest.mark.parametrize("marker", ["", "@revoked "])
def test_a_changed_or_revoked_key_is_refused_and_not_trusted(place, sshd, connections, marker):
    host = sshd()
    known = place / "known_hosts"
    make_key(place / "former")
    former = " ".join((place / "former.pub").read_text().split()[:2])
    line = f"@revoked {host.known_line}" if marker else f"{host.known_name} {former}\n"
    known.write_text(line)
    target = host.target("h1")
    with pytest.raises(HostKeyRefused, match="revoked" if marker else "changed") as refused:
        connections().open(target)
    assert f"{known}:1" in str(refused.value)
    [(_, offer)] = offers([target])
    assert offer.refused == str(refused.value)
    with pytest.raises(HostKeyRefused):
        trust(offer)
    assert known.read_text() == line


def test_hashed_names_are_known(place, sshd, connections):
    target = sshd().target("h1")
    subprocess.run(["ssh-keygen", "-qHf", target.known_hosts], check=True, capture_output=True)
    assert output(connections().open(target).open(["echo", "in"])) == b"in\n"


def test_the_host_is_asked_for_the_type_of_key_that_is_known(place, sshd, connections):
    make_key(place / "ecdsa", "-t", "ecdsa")
    host = sshd("a", f"HostKey {place}/ecdsa")
    key = " ".join((place / "ecdsa.pub").read_text().split()[:2])
    (place / "known_hosts").write_text(f"{host.known_name} {key}\n")
    assert output(connections().open(host.target("h1")).open(["echo", "in"])) == b"in\n"


def jumped(sshd, jump="gate", **others):
    hosts = [sshd(f"h{number}", address=f"127.0.0.{number}") for number in (2, 3, 4)]
    return [host.target(host.folder.name, jump=jump, **others) for host in hosts]


def test_one_connection_to_a_jump_host_for_all_behind_it(sshd, connections):
    gate = sshd("gate")
    targets = jumped(sshd, f"{gate.target('').user}@127.0.0.1:{gate.port}")
    opener = connections(*targets)
    by_name = {target.name: target for target in targets}
    opened = fan_out(by_name, lambda name: opener.open(by_name[name]))
    assert [output(connection.open(["echo", "in"])) for connection in opened.values()] == [
        b"in\n"
    ] * 3
    assert gate.accepted == 1
    opened["h2"].reopen()
    assert output(opened["h2"].open(["echo", "in"])) == b"in\n"
    assert gate.accepted == 1


def test_a_jump_host_that_went_is_connected_to_anew(sshd, connections):
    gate = sshd("gate")
    target = jumped(sshd)[0]
    opener = connections(gate.target("gate"), target)
    connection = opener.open(target)
    channel = connection.open(["cat"])
    gate.kill()
    assert channel.read() == b""
    gate.start()
    connection.reopen()
    assert output(connection.open(["echo", "in"])) == b"in\n"


def test_behind_a_jump_host_that_freezes_a_host_is_lost_and_found(sshd, place, monkeypatch):
    # Its kernel still answers for it: only that nobody says anything any more is to be seen.
    monkeypatch.setattr(reconnect, "BEAT_S", 0.5)
    monkeypatch.setattr(reconnect, "SILENT_S", 3.0)
    monkeypatch.setattr(ssh_link, "JUMP_S", 1.0)
    gate = sshd("gate")
    jump = f"{gate.target('').user}@127.0.0.1:{gate.port}"
    target = jumped(sshd, jump, workspace=str(place / "workspace"))[0]
    notes = SimpleQueue()
    with connected([target], notes.put) as agents:
        process = start(
            agents["h2"], ProcessSpec(new_run(), "sleep", ("sleep", "1000")), lambda _: None
        )
        with frozen(gate):
            assert notes.get(timeout=60).startswith("h2: the connection broke")
        assert notes.get(timeout=60) == "h2: connected again"
        assert process.alive
        assert process.stop(0).complete


@contextlib.contextmanager
def frozen(sshd):
    everybody = [sshd.process.pid, *descendants(sshd.process.pid)]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)


def test_a_jump_host_behind_a_jump_host(sshd, connections):
    outer, inner = sshd("outer"), sshd("inner")
    target = jumped(sshd)[0]
    opener = connections(outer.target("outer"), inner.target("gate", jump="outer"), target)
    assert output(opener.open(target).open(["echo", "in"])) == b"in\n"
    assert (outer.accepted, inner.accepted) == (1, 1)


def test_hosts_that_jump_in_a_circle(sshd, connections):
    a, b = Target("a", "192.0.2.1", jump="b"), Target("b", "192.0.2.2", jump="a")
    with pytest.raises(UserError, match="circle"):
        connections(a, b).open(a)


def test_a_jump_host_that_is_down_is_named_for_each_behind_it(sshd, connections):
    gate = sshd("gate")
    gate.kill()
    targets = jumped(sshd)
    opener = connections(gate.target("gate"), *targets)
    by_name = {target.name: target for target in targets}
    for name, error in fan_out(by_name, lambda name: opener.open(by_name[name])).items():
        assert isinstance(error, HostUnreachable)
        assert str(error).startswith(f"{name}: jump host gate: 127.0.0.1 port {gate.port}: ")


def test_a_host_that_the_jump_host_cannot_reach(sshd, connections):
    gate, host = sshd("gate"), sshd("a")
    host.kill()
    target = host.target("h1", jump="gate")
    with pytest.raises(HostUnreachable, match=r"h1: cannot reach .* through jump host gate: "):
        connections(gate.target("gate"), target).open(target)


def test_a_jump_host_that_does_not_forward(sshd, connections):
    gate = sshd("gate", "AllowTcpForwarding no")
    target = jumped(sshd)[0]
    with pytest.raises(HostUnreachable, match="AllowTcpForwarding"):
        connections(gate.target("gate"), target).open(target)


def test_the_keys_of_jump_hosts_are_checked_and_offered_first(place, sshd, connections):
    gate = sshd("gate")
    jump = gate.target("gate", known_hosts=str(place / "new"))
    target = jumped(sshd)[0]
    with pytest.raises(HostKeyRefused, match=r"h2: jump host gate: .* not known"):
        connections(jump, target).open(target)
    asked = offers([target, jump])
    name, offer = next(asked)
    assert (name, isinstance(offer, Offer)) == ("gate", True)
    trust(offer)
    assert [(name, offer.known) for name, offer in asked] == [("h2", True), ("gate", True)]


def test_what_ssh_config_says(place, sshd, connections):
    host, gate = sshd("a"), sshd("gate")
    ssh_config(
        place,
        f"Host alias\n HostName 127.0.0.1\n Port {host.port}\n IdentityFile {place}/id\n"
        f" UserKnownHostsFile {place}/none {place}/known_hosts\n StrictHostKeyChecking no\n"
        f"Host far\n HostName 127.0.0.1\n Port {host.port}\n ProxyJump near\n"
        f"Host near\n HostName 127.0.0.1\n Port {gate.port}\n"
        f"Host far near\n IdentityFile {place}/id\n UserKnownHostsFile {place}/known_hosts\n",
    )
    opener = connections()
    for alias in ("alias", "far"):
        channel = opener.open(Target("h1", alias)).open(["echo", alias])
        assert output(channel) == f"{alias}\n".encode()
    assert gate.accepted == 1
    gate.kill()
    direct = opener.open(Target("h1", "far", jump="none"))
    assert output(direct.open(["echo", "direct"])) == b"direct\n"


def test_the_target_wins_over_ssh_config_and_no_setting_opens_a_door(place, sshd, connections):
    host = sshd()
    ssh_config(
        place,
        f"Host *\n Port 1\n User nobody\n IdentityFile {place}/missing\n"
        "  StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n",
    )
    assert output(connections().open(host.target("h1")).open(["echo", "in"])) == b"in\n"
    with pytest.raises(HostKeyRefused, match="not known"):
        connections().open(host.target("h1", known_hosts=None))


def test_a_proxy_command(place, sshd, connections):
    host = sshd()
    pump = place / "pump.py"
    pump.write_text(
        "import os, socket, sys, threading\n"
        f"sock = socket.create_connection(('127.0.0.1', {host.port}))\n"
        "def pump(read, write):\n"
        "    while data := read(65536): write(data)\n"
        "    os._exit(0)\n"
        "threading.Thread(target=pump, args=(sock.recv, lambda d: os.write(1, d))).start()\n"
        "pump(lambda n: os.read(0, n), sock.sendall)\n",
    )
    ssh_config(
        place,
        f"Host alias\n IdentityFile {place}/id\n UserKnownHostsFile {place}/known_hosts\n"
        f" HostKeyAlias {host.known_name}\n ProxyCommand {sys.executable} {pump}\n"
        "Host broken\n ProxyCommand exit 1\n",
    )
    connection = connections().open(Target("h1", "alias"))
    assert output(connection.open(["echo", "in"])) == b"in\n"
    with pytest.raises(HostUnreachable, match=r"h2: .*run its proxy command by hand: exit 1"):
        connections().open(Target("h2", "broken"))


def test_ipv6(sshd, connections):
    try:
        host = sshd(address="::1")
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    assert output(connections().open(host.target("h1")).open(["echo", "in"])) == b"in\n"


def test_a_key_that_is_not_let_in(place, sshd, connections):
    make_key(place / "other")
    host = sshd()
    target = host.target("h1", identity=str(place / "other"))
    with pytest.raises(HostUnreachable, match=r"takes none of our keys: .*other; .*authorized_"):
        connections().open(target)


@pytest.mark.parametrize(
    ("identity", "reason"),
    [("missing", "missing"), ("nonsense", "not a private key"), ("locked", "encrypted.*ssh-add")],
)
def test_a_key_that_cannot_be_used(place, sshd, connections, identity, reason):
    make_key(place / "locked", "-N", "secret")
    (place / "nonsense").write_text("no key\n")
    target = sshd().target("h1", identity=str(place / identity))
    with pytest.raises(HostUnreachable, match=rf"h1: there is no key to show.*{reason}"):
        connections().open(target)


def test_an_encrypted_key_that_the_agent_holds(place, sshd, connections, monkeypatch):
    if shutil.which("ssh-agent") is None:
        pytest.fail("there is no ssh-agent here: apt-get install openssh-client", pytrace=False)
    shutil.copy(place / "id", place / "locked")
    shutil.copy(place / "id.pub", place / "locked.pub")
    asker = place / "asker"
    asker.write_text("#!/bin/sh\necho secret\n")
    asker.chmod(0o700)
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", place / "locked"],
        check=True,
        capture_output=True,
    )
    monkeypatch.setenv("SSH_AUTH_SOCK", str(place / "agent"))
    with subprocess.Popen(["ssh-agent", "-D", "-a", place / "agent"], stdout=-3) as agent:
        try:
            while not (place / "agent").is_socket():
                assert agent.poll() is None
            env = {**os.environ, "SSH_ASKPASS": str(asker), "SSH_ASKPASS_REQUIRE": "force"}
            subprocess.run(
                ["ssh-add", place / "locked"],
                check=True,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
            )
            opener = connections()
            host = sshd()
            for identity in (str(place / "locked"), None):
                connection = opener.open(host.target("h1", identity=identity))
                assert output(connection.open(["echo", "in"])) == b"in\n"
        finally:
            agent.kill()


def test_a_name_that_nobody_knows(connections):
    with pytest.raises(HostUnreachable, match=r"h1: the name 'no-such-host.invalid' is not known"):
        connections().open(Target("h1", "no-such-host.invalid"))


def test_a_port_where_nobody_answers(place, connections):
    ssh_config(place, "Host *\n ConnectTimeout 1\n")
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for waiting in (first, second):  # they fill the queue: from here on SYNs are dropped
            waiting.setblocking(False)  # noqa: FBT003
            waiting.connect_ex(server.getsockname())
        target = Target("h1", "127.0.0.1", port=server.getsockname()[1])
        with pytest.raises(HostUnreachable, match="no answer within 1 s"):
            connections().open(target)


def test_a_port_that_says_nothing(connections, monkeypatch):
    monkeypatch.setattr("ci.connect.ssh_link.BANNER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = Target("h1", "127.0.0.1", port=server.getsockname()[1])
        with pytest.raises(HostUnreachable, match="no SSH banner came"):
            connections().open(target)


def test_no_thread_and_no_socket_is_left(sshd, place):
    host = sshd()
    make_key(place / "other")
    before = held()
    with SshConnections() as opener:
        channel = opener.open(host.target("h1")).open(["cat"])
        for bad in ({"identity": str(place / "other")}, {"known_hosts": "/dev/null"}):
            with pytest.raises(LamplighterError):
                opener.open(host.target("h1", **bad))
    assert channel.read() == b""
    until(lambda: held() <= before)  # what earlier tests began may have ended meanwhile
