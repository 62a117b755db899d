"""Test the choice of indexes from the settings of pip and uv; no text has a password."""

from __future__ import annotations

import pytest

from ci.commands.indexes import (
    DEFAULT_INDEX,
    Index,
    display_url,
    forbidding_setting,
    indexes_of,
    uv_file_settings,
)
from ci.errors import InfrastructureError
from ci.prepare.recipes import uv_settings

HERE = "http://127.0.0.1:8/simple"
WORDS_FOR_NO = ["", "0", "false", "False", "no", "NO", "off", "f", "n"]
WORDS_FOR_YES = ["1", "true", "TRUE", "yes", "on", "t", "y", "2"]


@pytest.mark.parametrize("setting", ["PIP_NO_INDEX", "UV_OFFLINE"])
@pytest.mark.parametrize("value", [*WORDS_FOR_NO, *WORDS_FOR_YES])
def test_a_switch_has_the_meaning_of_pip_and_uv(setting, value):
    assert forbidding_setting({setting: value}) == (
        f"{setting}={value}" if value in WORDS_FOR_YES else ""
    )
    hosts = uv_settings.index_hosts({setting: value, "UV_DEFAULT_INDEX": HERE})
    assert hosts == ([] if value in WORDS_FOR_YES else [("127.0.0.1", 8)])


@pytest.mark.parametrize(
    ("settings", "indexes"),
    [
        ({}, [Index(DEFAULT_INDEX)]),
        ({"UV_DEFAULT_INDEX": " ", "UV_INDEX": ""}, [Index(DEFAULT_INDEX)]),
        ({"UV_DEFAULT_INDEX": f"{HERE}/"}, [Index(HERE)]),
        ({"UV_DEFAULT_INDEX": HERE, "UV_INDEX_URL": "https://b"}, [Index(HERE)]),
        ({"UV_DEFAULT_INDEX": f"mine={HERE}"}, [Index(HERE)]),
        ({"UV_DEFAULT_INDEX": f"myhttp={HERE}"}, [Index(HERE)]),
        ({"UV_DEFAULT_INDEX": "https://h/s?a=b=c"}, [Index("https://h/s?a=b=c")]),
        ({"UV_DEFAULT_INDEX": "HTTPS://h/s"}, [Index("HTTPS://h/s")]),
        ({"UV_INDEX_URL": HERE, "UV_EXTRA_INDEX_URL": f"{HERE}/ http://b"},
         [Index(HERE), Index("http://b")]),
        ({"UV_INDEX": f"a={HERE}\n b=http://b/", "UV_DEFAULT_INDEX": "http://c"},
         [Index("http://c"), Index(HERE), Index("http://b")]),
        ({"UV_DEFAULT_INDEX": f"my-own={HERE}", "UV_INDEX_MY_OWN_USERNAME": "me",
          "UV_INDEX_MY_OWN_PASSWORD": "pw"}, [Index(HERE, ("me", "pw"))]),
    ],
)  # fmt: skip
def test_the_indexes_that_uv_would_use(settings, indexes):
    assert indexes_of(settings) == tuple(indexes)


def test_a_page_is_below_the_path_of_its_index():
    assert Index("http://h/s").page("vllm") == "http://h/s/vllm/"
    assert Index("http://me:pw@h:1/s?token=x").page("vllm") == "http://me:pw@h:1/s/vllm/?token=x"


@pytest.mark.parametrize("setting", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX",
                                     "UV_EXTRA_INDEX_URL"])  # fmt: skip
@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8/simple",
        "simple",
        "htp://me:s3cret@h/simple",
        "http://",
        "http:/me:s3cret@h/simple",
        "http://[::1/simple",
        "http://me:s3cret@[h/simple",
        "http://h:port/simple",
        "http://h:99999/simple",
        "http://me:s3?cr#et@h:0/",
        "http://me:s3cr/et@h/simple",
        "file:///srv/simple",
        "ftp://h/simple",
        "http://h/\x1b[2J",
        "=http://",
        "me:s3cret@h",
    ],
)
def test_an_invalid_url_is_refused_with_its_setting(setting, url):
    with pytest.raises(InfrastructureError) as refused:
        indexes_of({setting: url})
    message = str(refused.value)
    assert message.startswith(setting)
    assert "http or https URL" in message
    assert "name another index with UV_DEFAULT_INDEX" in message
    assert not any(part in message for part in ("s3", "cret", "et@"))
    assert message.isprintable()


def test_hosts_survive_a_malformed_index():
    settings = {"UV_DEFAULT_INDEX": "http://[::1/simple", "UV_INDEX": f"http://h:99999/ n={HERE}"}
    assert uv_settings.index_hosts(settings) == [("127.0.0.1", 8)]


@pytest.mark.parametrize(
    ("value", "url"),
    [(HERE, HERE), (f"mine={HERE}", HERE), ("http://h/?a=b", "http://h/?a=b")],
)
def test_pip_gets_no_name_of_an_index(value, url):
    assert uv_settings.INDEX_NAME.sub("", value) == url


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://me:pw@h:1/simple/vllm/?token=x#y", "https://h:1/simple/vllm/"),
        ("https://h/simple", "https://h/simple"),
        ("http://h/\x1b[2J\n", "http://h/\\x1b[2J\\n"),
    ],
)
def test_a_url_is_shown_without_secrets(url, text):
    assert display_url(url) == text


LISTED = """
offline = true
index-url = "http://a/simple"
extra-index-url = ["http://b/simple"]
"""
TABLES = """
[[index]]
name = "a"
url = "http://a/simple"
default = true
[[index]]
url = "http://b/simple"
[[index]]
name = "torch"
url = "http://c/simple"
explicit = true
"""
BOTH = {"UV_DEFAULT_INDEX": "http://a/simple", "UV_INDEX": "http://b/simple"}


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", {}),
        (LISTED, {**BOTH, "UV_OFFLINE": "1"}),
        (TABLES, {**BOTH, "UV_DEFAULT_INDEX": "a=http://a/simple"}),
        ('[pip]\nindex-url = "http://a/simple"\nno-index = true\n',
         {"UV_DEFAULT_INDEX": "http://a/simple", "PIP_NO_INDEX": "1"}),
        ("offline = false\n", {}),
    ],
)  # fmt: skip
def test_uvs_own_file_is_read(tmp_path, text, settings):
    file = tmp_path / "uv" / "uv.toml"
    file.parent.mkdir()
    file.write_text(text, "utf-8")
    nowhere = {"XDG_CONFIG_HOME": str(tmp_path / "none"), "XDG_CONFIG_DIRS": str(tmp_path / "none")}
    assert uv_file_settings({"UV_CONFIG_FILE": str(file)}) == settings
    for name in ("XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"):
        assert uv_file_settings({**nowhere, name: str(tmp_path)}) == settings
    assert (
        uv_file_settings({**nowhere, "XDG_CONFIG_HOME": str(tmp_path), "UV_NO_CONFIG": "1"}) == {}
    )


@pytest.mark.parametrize(
    "text",
    ["=", "index = 7", "index = ['http://me:s3cret@h']", "[[index]]\nname = 'a'", "pip = 1",
     "index-url = 7", "extra-index-url = 'http://h'", "extra-index-url = [7]", "\udcff"],
)  # fmt: skip
def test_a_file_that_is_not_uvs_is_refused(tmp_path, text):
    file = tmp_path / "uv.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(
        InfrastructureError, match=r"uv\.toml: uv's settings cannot be read"
    ) as error:
        uv_file_settings({"UV_CONFIG_FILE": str(file)})
    assert "s3cret" not in str(error.value)


def test_a_configured_file_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(InfrastructureError, match=r"UV_CONFIG_FILE: .* does not exist"):
        uv_file_settings({"UV_CONFIG_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("listed", "url"),
    [
        ("global.index-url='http://a'\ninstall.index-url='http://b'\n", "http://b"),
        (":env:.index-url='http://c'\nglobal.index-url='http://a'\ninstall.index-url='http://b'\n",
         "http://c"),
        ("global.index-url='http://a'\nfreeze.index-url='http://b'\n", "http://a"),
    ],
)  # fmt: skip
def test_pips_sections_have_pips_precedence(listed, url, monkeypatch):
    monkeypatch.setattr(uv_settings, "output_of", lambda *_: listed)
    assert uv_settings.pip_settings()["index-url"] == url
