"""Secrets are found under their names, and hidden wherever they stand."""

from __future__ import annotations

import json

import pytest

from ci.record.redact import redacted
from ci.record.secrets import (
    hide_in_argv,
    hide_in_env,
    hide_in_files,
    hide_in_text,
    hide_known,
    looks_secret,
    secrets_within,
)

NAMES = {
    True: (
        *("HF_TOKEN", "hf_token", "OPENAI_API_KEY", "AWS_ACCESS_KEY_ID", "MyPassword", "HFTOKEN"),
        *("CLIENT_SECRET", "GOOGLE_APPLICATION_CREDENTIALS", "TOKENIZER_TOKEN", "DB_PASSWD"),
        *("PGPASS_PASS", "GITHUB_PAT", "BASIC_AUTH", "BEARER", "SESSION_COOKIE", "SENTRY_DSN"),
        *("apiKey", "x-api-key", "--api-key", "Authorization", "access_token", "SSH_PASSPHRASE"),
        *("API_KEYS", "--ssl-keyfile-password"),
    ),
    False: (
        *("TOKENIZERS_PARALLELISM", "VLLM_CPU_KVCACHE_SPACE", "PATH", "PWD", "AUTHOR", "PATTERN"),
        *("HF_TOKEN_PATH", "SSH_AUTH_SOCK", "TOKEN_FILE", "KeyError", "--ssl-keyfile", "COMPASS"),
        *("MONKEYS", "KEYBOARD", "PASSED", "--tokenizer", "PATCH", ""),
    ),
}


@pytest.mark.parametrize(
    ("name", "secret"), [(name, secret) for secret, names in NAMES.items() for name in names]
)
def test_a_name_tells_whether_its_value_is_secret(name, secret):
    assert looks_secret(name, "value") is secret


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
