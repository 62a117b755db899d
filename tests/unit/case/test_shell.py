"""Command lines as a shell would read them: understood as a whole, or refused with advice."""

from __future__ import annotations

import pytest

from ci.case.load import parse
from ci.case.shell import Started, understand
from ci.errors import CaseError

SET_ENV = "/usr/local/Ascend/ascend-toolkit/set_env.sh"
NNAL = "/usr/local/Ascend/nnal/atb/set_env.sh"
VLLM = ("vllm", "serve", "m", "--port", "9")
SERVE = " ".join(VLLM)


@pytest.mark.parametrize(
    ("text", "scripts"),
    [
        (SERVE, ()),
        (f"exec {SERVE}", ()),
        ("vllm serve m \\\n  --port 9", ()),
        ("vllm serve m\n  --port 9", ()),
        (f"source {SET_ENV} && {SERVE}", (SET_ENV,)),
        (f". {SET_ENV}; {SERVE}", (SET_ENV,)),
        (f"source {SET_ENV}\n. {NNAL}\n{SERVE}", (SET_ENV, NNAL)),
        (
            f"source {SET_ENV} --force && source {NNAL} && exec {SERVE}",
            (f"{SET_ENV} --force", NNAL),
        ),
        (f"source {SET_ENV} > /dev/null 2>&1 && {SERVE}", (SET_ENV,)),
        (f"source {SET_ENV} &>/dev/null; {SERVE}", (SET_ENV,)),
        (f"source '/a b/x.sh' && {SERVE}", ("'/a b/x.sh'",)),
        (f"source $HOME/x.sh && {SERVE}", ("~/x.sh",)),
        (f"source ${{HOME}}/x.sh && {SERVE}", ("~/x.sh",)),
        (f"source ~/x.sh && {SERVE}", ("~/x.sh",)),
        (f"bash -c '{SERVE}'", ()),
        (f"sh -c '{SERVE}'", ()),
        (f"/bin/bash -ec 'set -x; source {SET_ENV} && {SERVE}'", (SET_ENV,)),
        (f'bash -c "source {SET_ENV}\nexec {SERVE}\n"', (SET_ENV,)),
        (f"source {SET_ENV} && bash -c 'source {NNAL} && {SERVE}'", (SET_ENV, NNAL)),
    ],
)
def test_understood(text, scripts):
    assert understand(text) == Started(VLLM, scripts)


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        (f"numactl -N 0 bash -c 'source {SET_ENV} && {SERVE}'", ("numactl", "-N", "0", *VLLM)),
        (f"source {SET_ENV}; nice bash -o pipefail -c '{SERVE}'", ("nice", *VLLM)),
        (
            f"timeout 9 bash -c 'source {SET_ENV}; exec nice -n 5 {SERVE}'",
            ("timeout", "9", "nice", "-n", "5", *VLLM),
        ),
    ],
)
def test_a_shell_behind_a_wrapper_is_understood(text, argv):
    assert understand(text) == Started(argv, (SET_ENV,))


@pytest.mark.parametrize(
    "text",
    [
        f"numactl -C 0-3 {SERVE}",
        f"nice -n 5 {SERVE}",
        "bash run.sh --port 9",
        "vllm serve m --stop ';' --x '{\"a\": \"b && c > d | e &\"}' --y \"a;b\" --z '$(x) `y`'",
        "vllm serve m --url http://h/?a=1",
    ],
)
def test_left_as_it_is(text):
    assert understand(text).argv[0] == text.split()[0]
    assert understand(text).env_script == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("vllm serve 'm", "close every quote"),
        (f"export A=b && {SERVE}", "put environment variables under 'envs'"),
        (f"A=b {SERVE}", "put environment variables under 'envs'"),
        (f"env A=b {SERVE}", "put environment variables under 'envs'"),
        (f"source {SET_ENV} && export A=b && {SERVE}", "put environment variables under 'envs'"),
        (f"bash -c 'A=b {SERVE}'", "put environment variables under 'envs'"),
        (f"cd /x && {SERVE}", "write absolute paths"),
        (f"ulimit -n 65536; {SERVE}", "limits.conf"),
        (f"module load cann && {SERVE}", "env_script"),
        (f"conda activate x && {SERVE}", "env_script"),
        (f"eval x; {SERVE}", "env_script"),
        (f"nohup {SERVE} &", "foreground"),
        (f"setsid {SERVE}", "foreground"),
        (f"{SERVE} &", "foreground"),
        (f"{SERVE} | tee log", "keeps the server's output"),
        (f"{SERVE} > log 2>&1", "keeps the server's output"),
        (f"{SERVE} 2>&1", "keeps the server's output"),
        (f"{SERVE} &>log", "keeps the server's output"),
        (f"{SERVE} < /dev/null", "reads no input"),
        (f"{SERVE}; echo", "';'"),
        (f"{SERVE} && echo", "'&&'"),
        (f"{SERVE} || echo", "'||'"),
        (f"bash -c '{SERVE}\necho'", "a new line"),
        ("vllm serve $(cat m)", "'$('"),
        ("vllm serve `cat m`", "'`'"),
        ('vllm serve "$(cat m)"', "'$('"),
        (f"({SERVE})", "script on the host"),
        (f"if true; then {SERVE}; fi", "script on the host"),
        (f"bash -lc '{SERVE}'", "env_script"),
        (f"bash -l -c '{SERVE}'", "env_script"),
        (f"bash --login -c '{SERVE}'", "env_script"),
        (f"bash -ic '{SERVE}'", "env_script"),
        (f"bash -c '{SERVE}' name", "one quoted text"),
        ("bash -c", "one quoted text"),
        (f"fish -c '{SERVE}'", "a syntax of its own"),
        (f"nice tcsh -c '{SERVE}'", "a syntax of its own"),
        (f"busybox sh -c '{SERVE}'", "a syntax of its own"),
        (f"set -a; source {SET_ENV}; set +a; {SERVE}", "`set -a` exports"),
        (f"set -o allexport && source {SET_ENV} && {SERVE}", "`set -a` exports"),
        (f"{SERVE} # the port", "'#'"),
        (f"# serve it\n{SERVE}", "'#'"),
        (f"source set_env.sh && {SERVE}", "not an absolute path"),
        (f"source $ASCEND/set_env.sh && {SERVE}", "not an absolute path"),
        (f"source /x/$VERSION/set_env.sh && {SERVE}", "has a '$'"),
        (f"source {SET_ENV} || true; {SERVE}", "'||'"),
        (f"source {SET_ENV} & {SERVE}", "'&'"),
        (f"source {SET_ENV}", "starts no server"),
        (f"source && {SERVE}", "is empty"),
    ],
)
def test_refused(text, words):
    with pytest.raises(ValueError, match=r".") as raised:
        understand(text)
    assert words in str(raised.value)


DEPLOYMENT = """\
test_name: t
model: m
num_nodes: 1
npu_per_node: 0
env_script: [/a.sh, "~/b.sh --force"]
deployment:
  - server_cmd: "%s"
"""
SINGLE = """\
test_cases:
  - name: t
    model: m
    env_script: /a.sh
    server_cmd: %s
"""


def test_the_case_and_the_command_line_have_environment_scripts():
    (case,) = parse((DEPLOYMENT % f"source {SET_ENV} && {SERVE}").encode(), "c.yaml")
    assert case.env_script == ("/a.sh", "~/b.sh --force")
    assert (case.nodes[0].argv, case.nodes[0].env_script) == (VLLM, (SET_ENV,))


@pytest.mark.parametrize(
    ("command", "argv", "scripts"),
    [
        (f'"source {SET_ENV} && {SERVE}"', VLLM, (SET_ENV,)),
        (f'["source", "{SET_ENV}", "&&", "vllm", "serve", "m", "--port", "9"]', VLLM, (SET_ENV,)),
        (f'["bash", "-c", "source {SET_ENV} && {SERVE}"]', VLLM, (SET_ENV,)),
        (f'"numactl -C 0 {SERVE}"', ("numactl", "-C", "0", *VLLM), ()),
        ('["--port", "9"]', VLLM, ()),
        ('"--port 9"', VLLM, ()),
    ],
)
def test_a_test_case_of_one_host(command, argv, scripts):
    (case,) = parse((SINGLE % command).encode(), "c.yaml")
    assert (case.nodes[0].argv, case.nodes[0].env_script) == (argv, scripts)
    assert case.env_script == ("/a.sh",)


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        (DEPLOYMENT % f"{SERVE} &", "deployment[0].server_cmd", "foreground"),
        (SINGLE % f'"{SERVE} | tee x"', "test_cases[0].server_cmd", "pipe"),
        (SINGLE % '["--port", "9", "&"]', "test_cases[0].server_cmd", "foreground"),
        (SINGLE % '"bash run.sh"', "test_cases[0].server_cmd", "set SERVER_PORT under 'envs'"),
        ((SINGLE % '"--port 9"').replace("/a.sh", "a.sh"), "test_cases[0].env_script", "absolute"),
        (
            (SINGLE % '"--port 9"').replace("/a.sh", "'/a.sh \"'"),
            "test_cases[0].env_script",
            "quote",
        ),
    ],
)
def test_refused_at_its_place(text, key, words):
    with pytest.raises(CaseError) as raised:
        parse(text.encode(), "c.yaml")
    (problem,) = raised.value.problems
    assert problem.key == key
    assert problem.line > 1
    assert words in problem.message
