"""Secrets are found under their names, and hidden wherever they stand."""

from __future__ import annotations

import json
from base64 import b64encode
from urllib.parse import quote

import pytest

from ci.record.known_secrets import hide_in_log, hide_known, secrets_in_file, secrets_within
from ci.record.redact import redacted
from ci.record.secret_names import _ENDINGS, _WORDS, STEMS, looks_secret
from ci.record.secrets import hide_in_argv, hide_in_env, hide_in_files, hide_in_text

NAMES = {
    True: (
        *("HF_TOKEN", "hf_token", "OPENAI_API_KEY", "AWS_ACCESS_KEY_ID", "MyPassword", "HFTOKEN"),
        *("CLIENT_SECRET", "GOOGLE_APPLICATION_CREDENTIALS", "TOKENIZER_TOKEN", "DB_PASSWD"),
        *("PGPASS_PASS", "GITHUB_PAT", "BASIC_AUTH", "BEARER", "SESSION_COOKIE", "SENTRY_DSN"),
        *("apiKey", "x-api-key", "--api-key", "Authorization", "access_token", "SSH_PASSPHRASE"),
        *("API_KEYS", "--ssl-keyfile-password", "HF_TOKEN2", "API_KEY_V2", "MYSQL_PWD", "pwd"),
        *("SSHPASS", "CI_JOB_JWT", "OAUTH2", "SLACK_WEBHOOK_URL", "X-Amz-Signature", "AUTHTOKEN"),
    ),
    False: (
        *("TOKENIZERS_PARALLELISM", "VLLM_CPU_KVCACHE_SPACE", "PATH", "PWD", "AUTHOR", "PATTERN"),
        *("HF_TOKEN_PATH", "SSH_AUTH_SOCK", "TOKEN_FILE", "KeyError", "--ssl-keyfile", "COMPASS"),
        *("OLDPWD", "GIT_ASKPASS", "--key-dtype", "PASS_RATE", "BYPASS"),
        *("MONKEYS", "KEY_HOST", "SSH_KEY_FILE", "KEYBOARD", "PASSED", "--tokenizer", "PATCH", ""),
    ),
}


@pytest.mark.parametrize(
    ("name", "secret"), [(name, secret) for secret, names in NAMES.items() for name in names]
)
def test_a_name_tells_whether_its_value_is_secret(name, secret):
    assert looks_secret(name, "value") is secret


def test_every_secret_name_has_a_stem_that_texts_are_searched_for():
    for word in (*_WORDS, *_ENDINGS):
        assert any(stem in word for stem in STEMS)


@pytest.mark.parametrize("name", ["MAX_TOKENS", "--max-num-batched-tokens", "num_tokens"])
def test_a_number_of_tokens_is_a_count(name: str):
    assert not looks_secret(name, "8192")
    assert looks_secret(name, "hf_abcdefgh")


ARGV = {
    "a flag": (["vllm", "--api-key", "s3"], ["vllm", "--api-key", "***"]),
    "a flag with =": (["vllm", "--api-key=s3"], ["vllm", "--api-key=***"]),
    "underscores": (["--hf_token", "s3", "--port", "1"], ["--hf_token", "***", "--port", "1"]),
    "several values": (
        ["--api-key", "a", "b", "c", "--port", "1"],
        ["--api-key", "***", "***", "***", "--port", "1"],
    ),
    "a count": (["--max-num-batched-tokens=4096"], ["--max-num-batched-tokens=4096"]),
    "a count behind": (["--max-num-batched-tokens", "96"], ["--max-num-batched-tokens", "96"]),
    "a folder": (["--tokenizer", "folder"], ["--tokenizer", "folder"]),
    "an assignment": (["env", "HF_TOKEN=s3", "vllm"], ["env", "HF_TOKEN=***", "vllm"]),
    "a header": (
        ["-H", "Authorization: Bearer s3", "-H", "Accept: x"],
        ["-H", "Authorization: ***", "-H", "Accept: x"],
    ),
    "a scheme": (["--header=Bearer abcdefghijk"], ["--header=Bearer ***"]),
    "a password in a URL": (["redis://u:s3@h:1/0"], ["redis://u:***@h:1/0"]),
    "a password without user": (["--store=redis://:s3@h"], ["--store=redis://:***@h"]),
    "JSON": (
        ["--kv-transfer-config", '{"kv_role": "kv_both", "extra": {"api_key": "s3"}}'],
        ["--kv-transfer-config", '{"kv_role": "kv_both", "extra": {"api_key": "***"}}'],
    ),
    "JSON with =": (['--x={"a": ["b"], "token": "s3"}'], ['--x={"a": ["b"], "token": "***"}']),
    "JSON with a list": (['{"api_keys": ["s3", "s4"]}'], ['{"api_keys": ["***", "***"]}']),
    "JSON with a mapping": (
        ['{"auth": {"a": "s3", "n": 1}, "pass_config": {"fuse": true}}'],
        ['{"auth": {"a": "***", "n": 1}, "pass_config": {"fuse": true}}'],
    ),
    "JSON with a number": (['{"password": 1.5, "n": 1}'], ['{"password": "***", "n": 1}']),
    "JSON with names": (
        ['[{"name": "HF_TOKEN", "value": "s3"}, {"name": "A", "value": "b"}]'],
        ['[{"name": "HF_TOKEN", "value": "***"}, {"name": "A", "value": "b"}]'],
    ),
    "JSON that was cut": (['{"token": "s3", "a": [1'], ['{"token": "***", "a": [1']),
    "YAML": (["{token: s3, n: 1}"], ["{token: ***, n: 1}"]),
    "several values with =": (["--api-key=a", "b", "-x"], ["--api-key=***", "***", "-x"]),
    "a query": (["https://h/x?a=1&token=s3&sig=s4"], ["https://h/x?a=1&token=***&sig=***"]),
    "a token in a URL": (["https://ghp_abcdefg@h/x"], ["https://***@h/x"]),
    "@ and / in a password": (["pg://u:a@s3@h", "pg://u:a/s3@h"], ["pg://u:***@h"] * 2),
    "URLs in a list": (["a://u:s3@h:1,b://u:s4@h:2"], ["a://u:***@h:1,b://u:***@h:2"]),
    "a proxy": (["--proxy", "me:s3@proxy:80"], ["--proxy", "me:***@proxy:80"]),
    "a user": (["curl", "-u", "me:s3"], ["curl", "-u", "me:***"]),
    "a header with =": (["--header=X-Api-Key: s3"], ["--header=X-Api-Key: ***"]),
    "a header joined": (["-HX-Api-Key: s3"], ["-HX-Api-Key: ***"]),
    "an environment": (["--env=HF_TOKEN=s3", "-eA=b"], ["--env=HF_TOKEN=***", "-eA=b"]),
    "a shell": (
        ["sh", "-c", "export HF_TOKEN=s3; serve --api-key s4 --port 1"],
        ["sh", "-c", "export HF_TOKEN=***; serve --api-key *** --port 1"],
    ),
    "a connection": (["Server=h;Password=s3;Port=1"], ["Server=h;Password=***;Port=1"]),
    "a port before @": (["http://h:8000/v1/a@b"], ["http://h:8000/v1/a@b"]),
    "JSON without a secret": (['{"a":1,"max_tokens":  8}'], ['{"a":1,"max_tokens":  8}']),
}


@pytest.mark.parametrize("name", ARGV)
def test_the_secrets_of_a_command_line_are_hidden(name: str):
    argv, expected = ARGV[name]
    assert hide_in_argv(argv) == expected


TEXTS = {
    "vLLM's arguments": (
        "non-default args: {'api_key': ['sk-abc'], 'port': 8000}",
        "non-default args: {'api_key': ['***'], 'port': 8000}",
    ),
    "an assignment": ("export HF_TOKEN=hf_abc and go", "export HF_TOKEN=*** and go"),
    "a query": ("GET /v1?api_key=abc&x=1", "GET /v1?api_key=***&x=1"),
    "JSON": ('{"password": "abc", "n": 1}', '{"password": "***", "n": 1}'),
    "a header": ("authorization: Bearer abcdefghijk", "authorization: Bearer ***"),
    "a flag": ("started with --api-key sk-1 --port 8", "started with --api-key *** --port 8"),
    "a URL": ("no answer from http://me:pw@proxy:80/", "no answer from http://me:***@proxy:80/"),
    "several values": (
        "args: {'api_key': ['sk-a', 'sk-b'], 'port': 1}",
        "args: {'api_key': ['***', '***'], 'port': 1}",
    ),
    "values in others": (
        "x=[E(token='s3')] y='--api-key s4'",
        "x=[E(token='***')] y='--api-key ***'",
    ),
    "two words": ("password='my s3', port=1", "password='***', port=1"),
    "other headers": (
        "curl -H 'X-Api-Key: s3' -H 'Cookie: a=s3; b=s4' -H 'Accept: x'",
        "curl -H 'X-Api-Key: ***' -H 'Cookie: ***' -H 'Accept: x'",
    ),
    "a private key": (
        "-----BEGIN RSA PRIVATE KEY-----\ns3\ns4\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----",
    ),
    "a token's form": (f"cannot use hf_{'a' * 34}: denied", "cannot use ***: denied"),
    "our own messages": ("unknown key: modle; did you mean 'model'?", None),
    "a key path": ("env_common.HF_TOKEN: expected text, found the number 1", None),
    "an exception": ("KeyError: 'benchmarks'", None),
    "a figure": ("first token: 3.2 s, max_tokens=16", None),
    "a flag without a value": ("give --api-key --port 8", None),
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_looks_like_a_secret_in_a_text_is_hidden(name: str):
    text, expected = TEXTS[name]
    assert hide_in_text(text) == (expected or text)


def test_files_are_searched_whatever_their_format():
    files = {
        "a.json": '{"metadata": "redis://u:s3@h", "auth": {"secret_key": "s3"}}',
        "b.ini": "access_key = s3\nport = 1\n",
        "c.py": "models = [dict(api_key='s3', tokens=tokens(1))]",
    }
    hidden = hide_in_files(files)
    assert list(hidden) == list(files)
    assert "s3" not in str(hidden)
    assert json.loads(hidden["a.json"])["metadata"] == "redis://u:***@h"
    assert "port = 1" in hidden["b.ini"]
    assert "tokens=tokens(1)" in hidden["c.py"]


def test_an_environment_is_hidden_under_its_names_and_in_its_values():
    env = {"HF_TOKEN": "x", "DSN_URL": "pg://u:s3@h", "CONFIG": '{"key": "s3"}', "A": "b"}
    hidden = hide_in_env(env)
    assert hidden == {
        "HF_TOKEN": "***",
        "DSN_URL": "***",
        "CONFIG": '{"key": "***"}',
        "A": "b",
    }


def test_where_the_hosts_are_is_never_hidden():
    tree = {"targets": [{"address": "10.0.0.11", "identity": "/root/.ssh/id_ed25519"}]}
    assert redacted(tree, frozenset({"10.0.0.11", "/root/.ssh/id_ed25519"})) == tree


def test_a_secret_is_hidden_wherever_it_stands():
    pem = "-----BEGIN-----\nMIIEvQIBADANBgkqhkiG\n-----END-----"
    tree = {
        "processes": [
            {
                "env": {"HF_TOKEN": "hf_abcdefgh", "API_KEY": "1", "TLS_KEY": pem},
                "argv": ["--x", "1", "--store", "redis://u:redis-password@h"],
                "files": {"a": '{"auth_token": "file-secret"}'},
            }
        ],
        "nodes": [{"argv": ["serve", "--api-key", "sk-12345678", "sk-abcdefgh"]}],
        "tail": [
            *("bad token hf_abcdefgh", "key sk-12345678", "second sk-abcdefgh"),
            *("in redis-password", "cut file-sec", "rest -abcdefgh", "MIIEvQIBADANBgkqhkiG"),
        ],
        "n_tokens": 7,
    }
    shown = redacted(tree, secrets_within(tree))
    hidden = ["hf_abc", "sk-12345678", "sk-abcdefgh", "redis-password", "file-secret", "MIIEvQ"]
    assert not [secret for secret in hidden if secret in str(shown)]
    assert shown["tail"][:3] == ["bad token ***", "key ***", "second ***"]
    assert shown["processes"][0]["env"]["API_KEY"] == "***"
    assert shown["processes"][0]["argv"][:2] == ["--x", "1"]
    assert shown["n_tokens"] == 7


@pytest.mark.parametrize(
    "filler", ["a", "a.", "'", "a=[", "--a", "http://a:", "token='", "\\", "@"]
)
def test_a_long_text_takes_no_long_time(filler: str):
    """A pattern that goes back takes hours for a megabyte."""
    for text in (filler * 50_000, f"x={filler * 50_000}"):
        assert hide_in_argv([text])


FORMS = {
    "as a URL writes it": quote("p@ss/w0rd+1", safe=""),
    "as JSON writes it": json.dumps('p"ss\\w0rd')[1:-1],
    "in base64": b64encode(b"p@ss/w0rd+1").decode(),
    "in base64 behind a user": b64encode(b"me:p@ss/w0rd+1").decode(),
    "in base64 behind another": b64encode(b"user:p@ss/w0rd+1").decode(),
    "in capitals": "P@SS/W0RD+1",
    "one of a list": "k3y-number-2",
    "a cookie": "c00kie-c00kie",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_known_secret_is_hidden_in_every_form(form: str):
    env = {
        "PASSWORD": "p@ss/w0rd+1",
        "OTHER_PASSWORD": 'p"ss\\w0rd',
        "API_KEYS": "k3y-number-1,k3y-number-2",
    }
    tree = {"env": env, "argv": ["-H", "Cookie: id=c00kie-c00kie; a=b"]}
    shown = hide_known(f"refused {FORMS[form]} there", secrets_within(tree))
    assert FORMS[form][-9:-3] not in shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the key is sk-12345678", "the key is ***"),
        ("cut: sk-123456", "cut: ***"),
        ("cut: sk-123456…", "cut: ***…"),
        ("-12345678 is the rest", "*** is the rest"),
        ("sk-12 is too short to tell", "sk-12 is too short to tell"),
    ],
)
def test_a_secret_that_was_cut_is_hidden_too(text: str, expected: str):
    assert hide_known(text, frozenset({"sk-12345678"})) == expected


@pytest.mark.parametrize(
    "gap",
    [
        "\x1b[0m",
        "\x1b]8;;http://x\x07",
        "\x00",
        "\u200b",
        "\ufeff",
        "\r\n",
        "\n    ",
        "\n\x1b[1m\u200d",
    ],
)
@pytest.mark.parametrize("at", [1, 6, 10])
def test_a_secret_that_is_parted_is_hidden_too(gap: str, at: int):
    secret = "sk-12345678"  # noqa: S105 - made up
    parted = f"{secret[:at]}{gap}{secret[at:]}"
    for before, after in (("", ""), ("one\ntwo ", " three\n"), (f"{secret} ", f" {secret}")):
        shown = hide_known(f"{before}{parted}{after}", frozenset({secret}))
        assert shown == f"{before}***{after}".replace(secret, "***")


def test_a_text_with_gaps_stays_as_it_is():
    text = "a\x1b[0mb\n\u200bsk-1234 5678\n"
    assert hide_known(text, frozenset({"sk-12345678"})) == text


def test_colours_of_a_log_stay_where_they_part_no_secret():
    log = "\x1b[32mINFO\x1b[0m up\n\x1b[1mWARN\x1b[0m key hf_ABCDEFGHIJ\x1b[0mKLMNOPQRST is bad\n"
    log += "\x1b[2msk-12\x1b[0m345678\n"
    assert hide_in_log(log, frozenset({"sk-12345678"})) == (
        "\x1b[32mINFO\x1b[0m up\nWARN key *** is bad\n\x1b[2m***\n"
    )


def test_secrets_in_a_case_are_known():
    case = (
        "env_common:\n  API_TOKEN: tok-12345678\nserver_cmd: vllm serve m --api-key=key-87654321\n"
    )
    assert {"tok-12345678", "key-87654321"} <= secrets_in_file("case.yaml", case)
