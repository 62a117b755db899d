"""A real pushgateway: what it keeps, what is deleted, and what becomes of a push it refuses."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from metric_runs import SECRET, night
from real_programs import find, get

from ci.metrics.families import Family, Group, Sample
from ci.metrics.gateway import push
from ci.metrics.labels import LabelValues
from ci.metrics.night import metrics_of
from ci.metrics.served import Served
from ci.metrics.settings import Credentials, Gateway, gateway_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from real_programs import Program

SERVED = Served("Qwen/Qwen3-8B-W8A8", "w8a8", "0.32.0")
PAUSES = (0.0, 0.0)
AS_IT_IS = LabelValues()


def go_on(_: float) -> bool:
    return True


def groups_of(run, value=AS_IT_IS):
    return metrics_of(run, SERVED, value).groups


def published(gateway: Program) -> str:
    return get(f"{gateway.url}/metrics").decode()


def series(text: str, name: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"{name}{{")]


def test_a_night_is_there_with_all_labels(gateway: Callable[..., Program]):
    real = gateway()
    assert push(Gateway(real.url), groups_of(night()), go_on).error == ""
    (value,) = [
        line for line in series(published(real), "lamplighter_check_value") if '"accuracy"' in line
    ]
    for label in (
        *('case="local"', 'model="Qwen/Qwen3-8B-W8A8"', 'quantization="w8a8"', 'cluster="lab"'),
        *('suite="nights"', 'run_type="daily"', 'vllm_version="0.32.0"', 'check="words"'),
        *('metric="accuracy"', 'unit="%"', 'job="lamplighter"'),
    ):
        assert label in value
    assert value.endswith("} 20")


def test_promtool_finds_nothing_to_object_to(gateway: Callable[..., Program]):
    real = gateway()
    push(Gateway(real.url), groups_of(night()), go_on)
    ours = [
        line
        for line in published(real).splitlines(keepends=True)
        if "lamplighter_" in line.partition("{")[0]
    ]
    checked = subprocess.run(
        [find("promtool"), "check", "metrics"],
        input="".join(ours),
        capture_output=True,
        text=True,
        check=False,
    )
    assert len(ours) > 30
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_a_failed_night_does_not_erase_the_last_success(gateway: Callable[..., Program]):
    real = gateway()
    for run in (night(day=1), night("fail", day=2)):
        assert push(Gateway(real.url), groups_of(run), go_on).error == ""
    text = published(real)
    (success,) = series(text, "lamplighter_last_success_timestamp_seconds")
    assert (
        float(success.rpartition(" ")[2]) == datetime(2026, 1, 1, 0, 1, 40, tzinfo=UTC).timestamp()
    )
    outcomes = {line for line in series(text, "lamplighter_night_outcome") if line.endswith(" 1")}
    assert ['outcome="fail"' in line for line in outcomes] == [True]


def test_what_a_night_no_longer_has_is_gone(gateway: Callable[..., Program]):
    real = gateway()
    push(Gateway(real.url), groups_of(night()), go_on)
    push(Gateway(real.url), groups_of(night(checks=[])), go_on)
    assert not series(published(real), "lamplighter_check_value")


def test_old_groups_are_deleted_and_no_others(gateway: Callable[..., Program]):
    real = gateway()
    other = Group("somebody", {"case": "x"}, (Family("theirs", "T.", (Sample({}, 1.0),)),))
    push(Gateway(real.url), [other], go_on)
    push(Gateway(real.url), groups_of(night(case="gone")), go_on)
    # Nothing may be older than the group that is pushed here.
    outcome = push(Gateway(real.url, keep_days=0), groups_of(night("fail", case="new")), go_on)
    assert (outcome.error, outcome.remark, outcome.deleted) == ("", "", 2)
    text = published(real)
    assert "theirs{" in text
    assert 'case="gone"' not in text
    assert 'case="new"' in text


def test_an_older_night_does_not_replace_a_later_one(gateway: Callable[..., Program]):
    real = gateway()
    push(Gateway(real.url), groups_of(night("fail", day=9)), go_on)
    before = series(published(real), "lamplighter_night_timestamp_seconds")
    # Of the older night that passed, the last success is news.
    outcome = push(Gateway(real.url), groups_of(night(day=8)), go_on, only_newer=True)
    assert (outcome.error, outcome.pushed) == ("", True)
    text = published(real)
    assert series(text, "lamplighter_night_timestamp_seconds") == before
    assert len(series(text, "lamplighter_last_success_timestamp_seconds")) == 1
    assert not push(Gateway(real.url), groups_of(night(day=7)), go_on, only_newer=True).pushed


NASTY = (
    'a"b\\c\nd\te',
    "数学/éval",
    "/",
    "..",
    "a/b/../../api/v1/admin",
    "%2e%2e%2f",
    "a b+c%20d",
    ".",
    "{x='y'} 1\n# TYPE",
    "\x1b[31mred\x07",
    "lone \ud800 surrogate",
    "x" * 5000,
    "",
    " ",
)


@pytest.mark.parametrize("name", NASTY)
def test_no_name_breaks_the_format(gateway: Callable[..., Program], name: str):
    real = gateway()
    # A record holds no lone surrogate; a host's or a user's text may.
    run = night(case="x").model_copy(update={"case": name, "cluster": name, "suite": name})
    outcome = push(Gateway(real.url), groups_of(run), go_on)
    assert (outcome.error, outcome.remark) == ("", "")
    text = published(real)
    assert len(series(text, "lamplighter_night_timestamp_seconds")) == 1
    listed = [each["labels"] for each in real.get("/api/v1/metrics")]
    assert sorted(listed, key=lambda labels: labels["job"]) == [
        {"job": each.job, **each.key} for each in groups_of(run)
    ]
    assert max(map(len, text.splitlines())) < 1500


def test_a_secret_in_a_name_is_hidden(gateway: Callable[..., Program]):
    real = gateway()
    value = LabelValues.without_secrets_of({"MY_API_KEY": SECRET})
    run = night().model_copy(update={"case": f"case-{SECRET}", "cluster": "y" * 95 + SECRET})
    assert push(Gateway(real.url), groups_of(run, value), go_on).error == ""
    text = published(real)
    assert SECRET[:8] not in text
    assert 'case="case-***"' in text


def config_with(folder: Path, user: str, password: str) -> Path:
    """Write a web configuration with TLS and a password; return it. Its CA is ca.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    config = folder / "web.yml"
    config.write_text(f"basic_auth_users:\n  {user}: {hashed}\n", "utf-8")
    return config


def test_a_gateway_with_a_password(gateway: Callable[..., Program], tmp_path: Path):
    config = config_with(tmp_path, "nights", "pässwörd-7")
    real = gateway(f"--web.config.file={config}")
    env = {"PROM_PUSHGATEWAY_URL": real.url, "PROM_PUSHGATEWAY_USER": "nights"}
    known = gateway_of(env | {"PROM_PUSHGATEWAY_PASSWORD": "pässwörd-7"})
    assert known is not None
    assert push(known, groups_of(night()), go_on).error == ""
    for wrong in (
        Credentials(),
        Credentials("nights", SECRET),
        Credentials(token=SECRET),
    ):
        outcome = push(Gateway(real.url, wrong), groups_of(night()), go_on, PAUSES)
        assert outcome.error.startswith("HTTP 401")
        assert outcome.tries == 1
        assert SECRET not in f"{outcome} {wrong}"


def test_a_gateway_with_tls(gateway: Callable[..., Program], tmp_path: Path):
    config = config_with(tmp_path, "nights", "password-7")
    files = f"tls_server_config:\n  cert_file: {tmp_path}/ca.pem\n  key_file: {tmp_path}/key.pem\n"
    config.write_text(files, "utf-8")
    real = gateway(f"--web.config.file={config}")
    url = real.url.replace("http://127.0.0.1", "https://localhost")
    known = Gateway(url, ca_file=f"{tmp_path}/ca.pem")
    assert push(known, groups_of(night()), go_on).error == ""
    outcome = push(Gateway(url), groups_of(night()), go_on, PAUSES)
    assert outcome.error.startswith("its certificate cannot be verified")


def test_a_gateway_that_is_down_is_tried_a_few_times():
    waited: list[float] = []
    outcome = push(
        Gateway("http://127.0.0.1:9"), groups_of(night()), lambda s: not waited.append(s), (1, 4)
    )
    assert (outcome.error, outcome.tries) == ("no connection: Connection refused", 3)
    assert waited == [1, 4]


def test_a_gateway_behind_a_prefix(gateway: Callable[..., Program]):
    real = gateway("--web.route-prefix=/push", "--web.external-url=http://x/push")
    known = gateway_of({"PROM_PUSHGATEWAY_URL": f"{real.url}/push/"})
    assert known is not None
    assert push(known, groups_of(night()), go_on).error == ""
    assert push(Gateway(real.url), groups_of(night()), go_on, PAUSES).error.startswith("HTTP 404")
