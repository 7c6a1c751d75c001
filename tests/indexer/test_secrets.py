"""What counts as a secret, what doesn't, and that nothing of it reaches a snapshot. All of these are made up."""

from __future__ import annotations

import base64
import json
import random
import string
import zlib

import pytest
from detect_secrets.plugins.jwt import JwtTokenDetector
from hypothesis import given
from hypothesis import strategies as st

from indexer.parser import parse
from indexer.secrets import _json_web_tokens, redact
from indexer.secrets_baseline import digest, hash_of, known_false_positives
from indexer.types import ParsedFile

from .builds import SMALL, Bench, write_files

CHARACTERS = string.ascii_letters + string.digits


def made_up(length: int, alphabet: str = CHARACTERS, seed: int = 1) -> str:
    return "".join(random.Random(seed).choices(alphabet, k=length))


def private_key(kind: str = "RSA ") -> str:
    body = "\n".join(made_up(64, seed=line) for line in range(20))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----\n"


JWT = ".".join(("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJhbm4iLCJleHAiOjE5MDAwMDAwMDB9", made_up(43)))
SECRETS = {
    "AWS access key": "AKIA" + made_up(16, string.ascii_uppercase + string.digits),
    "GitHub token": "ghp_" + made_up(36),
    "GitLab token": "glpat-" + made_up(20),
    "Slack token": "xoxb-123456789012-210987654321-" + made_up(24, string.ascii_lowercase + string.digits),
    "Stripe key": "sk_live_" + made_up(24),
    "JSON web token": JWT,
    "npm token": "npm_" + made_up(36),
    "PyPI token": "pypi-AgEIcHlwaS5vcmc" + made_up(80),
    "Google API key": "AIza" + made_up(35),
    "Azure storage key": "AccountKey=" + made_up(86) + "==",
    "OpenAI key": "sk-" + made_up(20) + "T3BlbkFJ" + made_up(20, seed=2),
    "SendGrid key": f"SG.{made_up(22)}.{made_up(43, seed=2)}",
}


@pytest.mark.parametrize(("kind", "secret"), SECRETS.items(), ids=SECRETS)
@pytest.mark.parametrize(
    "line", ['KEY = "{}"', "export TOKEN={}", "    - curl -H 'Authorization: {}' https://example.org", "{}"]
)
def test_a_token_is_taken_out_wherever_it_stands(kind, secret, line):
    text = f"first\n{line.format(secret)}\nlast {secret}\n"
    clean = redact(text)
    assert secret.removeprefix("AccountKey=") not in clean.text
    assert clean.text.count(f"[redacted: {kind}]") == 2
    assert (clean.text.splitlines()[0], clean.kinds) == ("first", {kind: 2})


def test_a_fine_grained_github_token_and_an_npmrc_are_known_too():
    for text, kind in (
        (f"github_pat_{made_up(22)}_{made_up(59, seed=2)}", "GitHub token"),
        (f"//registry.npmjs.org/:_authToken={'0a1b2c3d-4e5f-6a7b-8c9d-0e1f2a3b4c5d'}", "npm token"),
    ):
        assert list(redact(text).kinds) == [kind]


@pytest.mark.parametrize("kind", ["RSA ", "EC ", "", "OPENSSH ", "ENCRYPTED "])
def test_a_private_key_goes_line_by_line_and_counts_once(kind):
    key = private_key(kind)
    clean = redact(f"a = 1\n{key}b = 2\n")
    assert clean.text.count("\n") == key.count("\n") + 2
    assert not any(line in clean.text for line in key.splitlines()[1:-1])
    assert clean.text.splitlines()[-1] == "b = 2"
    assert clean.kinds == {"private key": 1}


PARTS = st.sampled_from(['{"alg":"HS256"}', '{"sub":1}', '{"sub":12}', '{"sub":"é"}', "no JSON", "\N{NULL}"]).map(
    lambda text: base64.urlsafe_b64encode(text.encode()).decode()
)


@given(
    st.lists(PARTS | PARTS.map(lambda part: part.rstrip("=")) | st.sampled_from([".", ".", " ", "=", "é", "-_"]), max_size=8)
)
def test_json_web_tokens_are_those_of_detect_secrets(parts):
    text = "".join(parts)
    assert _json_web_tokens()(text) == list(JwtTokenDetector().analyze_string(text))


def test_a_private_key_in_one_string_is_taken_out_and_json_stays_json():
    document = json.dumps({"type": "service_account", "private_key": private_key(""), "client": "ann"}, indent=1)
    clean = redact(document)
    assert clean.kinds == {"private key": 1}
    assert made_up(64, seed=3) not in clean.text
    assert json.loads(clean.text)["client"] == "ann"


def test_a_token_longer_than_what_is_looked_at_is_taken_out_to_its_end():
    long = f"{JWT.rpartition('.')[0]}.{made_up(3000)}"
    clean = redact(f"a {long} b\n")
    assert clean.text == "a [redacted: JSON web token] b\n"


@pytest.mark.parametrize(
    "text",
    [
        "postgres://app:k3v9Qx7TzL@db.example.org/app",
        'url = "redis://:s3cr4t7pw9@cache:6379/0"',
        "git clone https://ann:9f8e7d6c5b4a@git.example.org/x.git",
    ],
)
def test_the_password_of_a_url_is_taken_out_and_the_rest_stays(text):
    clean = redact(text)
    assert clean.kinds == {"password in a URL": 1}
    assert ":[redacted: password in a URL]@" in clean.text


@pytest.mark.parametrize(
    "line",
    [
        'client_secret = "q8Zr2LxW7vN4tYb6Kd1PmS5h"',
        "  apiKey: '9c3ced6fed60d2670bb36ab7e8bed8bc',",
        'config["password"] = "aV7-kQ2_xM9+pT4/zR6=wY1b"',
        '"access_token" => "m4Kq9Zt2Wv7Lx5Np8Rb3Yc6D",',
    ],
)
def test_a_value_that_looks_random_beside_a_name_that_sounds_secret_is_taken_out(line):
    clean = redact(line)
    assert clean.kinds == {"value of a secret": 1}
    assert "[redacted: value of a secret]" in clean.text


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "x" * 36,
        "postgresql://user:password@localhost/app",
        "https://{user}:{password}@example.org and redis://:<password>@host and https://u:$PASSWORD@h",
        "http://localhost:8000/a@b and ssh://git@example.org:22/a, file:///a:b@c",
        'password = "correct horse battery staple"',
        'token = "CONTENT_TYPE_APPLICATION_JSON"',
        'secret_name = "q8Zr2LxW7vN4tYb6Kd1PmS5h"',
        'public_token_hash = "9c3ced6fed60d2670bb36ab7e8bed8bc"',
        'password: "0123456789abcdefghij0123456789"',
        'token = get_token("q8Zr2LxW7vN4tYb6Kd1PmS5h")',
        'commit = "9c3ced6fed60d2670bb36ab7e8bed8bcdeadbeef"',
        '"integrity": "sha512-q8Zr2LxW7vN4tYb6Kd1PmS5hq8Zr2LxW7vN4tYb6Kd1PmS5h=="',
        'if "-----BEGIN PRIVATE KEY-----" in text:\n    AbstractPrivateKeyLoaderFactory().load()\n-----END PRIVATE KEY-----',
        "eyJ is how a token begins, npm_config_registry is a setting, SG. is Singapore, AIza too",
        "def hooks.slack.com/services/T",
    ],
)
def test_what_only_looks_like_a_secret_stays(text):
    assert redact(text).text == text


@given(st.lists(st.sampled_from([*SECRETS.values(), "\n", private_key(), '"', "password = ", "://a:", "@", " ", "eyJ", "x"])))
def test_whatever_is_taken_out_the_lines_stay_and_doing_it_twice_changes_nothing(parts):
    text = "".join(parts)
    clean = redact(text)
    assert clean.text.count("\n") == text.count("\n")
    assert redact(clean.text).text.count("\n") == text.count("\n")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece", ["eyJ", "-----BEGIN PRIVATE KEY-----\n", "://a:b1b1b1b1", '"password" = "', "AKIA", "SG.", "ghp_a1"]
)
def test_a_file_made_of_marks_only_is_looked_through_at_once(piece):
    text = piece * (1_000_000 // len(piece))
    assert redact(text).text.count("\n") == text.count("\n")


def test_a_parsed_file_tells_what_was_taken_out_and_keeps_its_definitions():
    source = f'KEY = "{SECRETS["GitHub token"]}"\n\ndef f():\n    return KEY\n'
    parsed = parse("a.py", source.encode())
    assert isinstance(parsed, ParsedFile)
    assert parsed.redacted == (("GitHub token", 1),)
    assert [(definition.name, definition.line) for definition in parsed.definitions] == [("KEY", 1), ("f", 3)]
    assert SECRETS["GitHub token"] not in repr(parsed)
    kept = parse("a.py", source.encode(), redact=False)
    assert isinstance(kept, ParsedFile)
    assert (SECRETS["GitHub token"] in kept.text, kept.redacted) == (True, ())


# What somebody says is none

VALUE = "q8Zr2LxW7vN4tYb6Kd1PmS5h"
KEY = f'client_secret = "{VALUE}"'


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", f"{KEY}  # pragma: allowlist secret"),
        ("a.go", f"{KEY} // pragma: allowlist secret"),
        ("a.c", f"{KEY} /* pragma: allowlist secret */"),
        ("a.py", f"# pragma: allowlist nextline secret\n{KEY}"),
        ("a.txt", f"x = {SECRETS['GitHub token']} # pragma: allowlist secret"),
        ("a.sql", f"'https://ann:{VALUE}@example.org' -- pragma: allowlist secret"),
        ("a.pem", f"# pragma: allowlist nextline secret\n{private_key()}"),
    ],
)
def test_a_mark_of_detect_secrets_keeps_what_is_no_secret(path, text):
    clean = redact(text, path)
    assert (clean.text, clean.kinds, clean.allowed.total()) == (text, {}, 1)


@pytest.mark.parametrize(
    "text",
    [
        f"# pragma: allowlist secret\n{KEY}",
        f"{KEY}\n# pragma: allowlist secret",
        f"x = 1  # pragma: allowlist nextline secret\n{KEY}",
        f"# pragma: allowlist nextline secret\n\n{KEY}",
        f"{KEY} pragma: allowlist secret",
        f"{KEY}{' ' * 2000}# pragma: allowlist secret",
        f"-----BEGIN x\n# pragma: allowlist secret\n{private_key()}",
    ],
)
def test_a_mark_elsewhere_keeps_nothing(text):
    clean = redact(text, "a.py")
    assert VALUE not in clean.text
    assert (clean.kinds.total(), clean.allowed) == (1, {})


def test_one_mark_keeps_one_line():
    clean = redact(f"{KEY}  # pragma: allowlist secret\n{KEY}\n", "a.py")
    assert clean.text.count(VALUE) == 1
    assert (clean.kinds, clean.allowed) == ({"value of a secret": 1}, {"value of a secret": 1})


def baseline(**files: list[dict[str, object]]) -> bytes:
    return json.dumps({"version": "1.5.0", "results": files}).encode()


def entry(value: str, **more: object) -> dict[str, object]:
    return {"type": "Secret Keyword", "hashed_secret": hash_of(value), "line_number": 1, **more}


def test_a_baseline_keeps_only_what_was_audited_as_false_and_only_in_its_file():
    known = known_false_positives(
        baseline(a=[entry(VALUE, is_secret=False), entry("b", is_secret=True), entry("c")], b=[entry("d")])
    )
    assert known == {"a": {hash_of(VALUE)}}
    assert redact(KEY, "a", known["a"]).text == KEY
    assert redact(KEY.replace("q8", "q9"), "a", known["a"]).kinds == {"value of a secret": 1}


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=3), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_what_is_no_baseline_is_an_error_or_keeps_nothing(value):
    for data in (json.dumps(value), json.dumps({"results": value}), json.dumps({"results": {"a": value}})):
        try:
            assert digest(known_false_positives(data.encode())) == ""
        except ValueError:
            continue


def test_detect_secrets_writes_the_hash_that_is_looked_for(tmp_path):
    from detect_secrets import SecretsCollection
    from detect_secrets.settings import default_settings

    file = tmp_path / "a.py"
    file.write_text(f"{KEY}\n")
    with default_settings():
        found = SecretsCollection()
        found.scan_file(str(file))
    written = {each["hashed_secret"] for each in found.json()[str(file)]}
    assert hash_of(VALUE) in written


# What is built

HIDDEN = {
    "settings.py": f'TOKEN = "{SECRETS["GitHub token"]}"\n',
    "keys/server.key": private_key(),
    "docs/setup.md": f"# Setup\n\nUse {SECRETS['AWS access key']} and {SECRETS['Stripe key']}.\n",
    "try.ipynb": json.dumps(
        {"cells": [{"cell_type": "code", "source": [f"key = '{SECRETS['Google API key']}'\n", "use(key)"]}], "nbformat": 4}
    ),
}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path, {**SMALL, **HIDDEN})


@pytest.mark.integration
def test_nothing_in_a_snapshot_and_nothing_in_the_cache_holds_a_secret(bench):
    bench.build()
    secrets = [SECRETS[kind] for kind in ("GitHub token", "AWS access key", "Stripe key", "Google API key")]
    secrets += private_key().splitlines()[1:-1]
    with bench.reader() as reader:
        everything = b"".join(
            path.read_bytes() for path in bench.folder.rglob("*") if path.is_file() and "source" not in path.parts
        )
        everything += b"".join(zlib.decompress(row[0]) for row in reader.connection.execute("SELECT content FROM files"))
        manifest = reader.manifest
    assert [secret for secret in secrets if secret.encode() in everything or secret.lower().encode() in everything] == []
    assert manifest.redacted == {
        "GitHub token": 1, "private key": 1, "AWS access key": 1, "Stripe key": 1, "Google API key": 1
    }  # fmt: skip
    assert set(manifest.redacted_files) == set(HIDDEN)


@pytest.mark.integration
def test_files_that_are_copied_from_the_snapshot_before_still_count(bench):
    bench.build()
    first = bench.reader().manifest
    write_files(bench.source, {"greetings.py": "changed = True\n"})
    bench.build()
    second = bench.reader().manifest
    assert (second.redacted, second.redacted_files) == (first.redacted, first.redacted_files)


@pytest.mark.integration
def test_turning_it_off_or_on_reads_every_file_again(bench):
    off = bench.build(redact=False)
    with bench.reader() as reader:
        assert SECRETS["GitHub token"] in reader.file("settings.py").text
        assert reader.manifest.redacted == {}
    on = bench.build()
    assert on.snapshot != off.snapshot
    with bench.reader() as reader:
        assert SECRETS["GitHub token"] not in reader.file("settings.py").text
    assert bench.build().snapshot == on.snapshot


@pytest.mark.integration
def test_a_change_of_the_baseline_reads_every_file_again_and_the_manifest_counts_what_was_left_in(bench):
    write_files(bench.source, {"client.py": f"{KEY}\n", "marked.py": f"{KEY}  # pragma: allowlist secret\n"})
    bench.build()
    with bench.reader() as reader:
        assert (reader.manifest.redacted["value of a secret"], reader.manifest.allowed) == (1, {"value of a secret": 1})
    write_files(bench.source, {".secrets.baseline": baseline(**{"client.py": [entry(VALUE, is_secret=False)]})})
    bench.build()
    write_files(bench.source, {"greetings.py": "changed = True\n"})
    bench.build()
    with bench.reader() as reader:
        assert reader.file("client.py").text == f"{KEY}\n"
        assert reader.manifest.allowed == {"value of a secret": 2}
        assert "value of a secret" not in reader.manifest.redacted
        assert "marked.py" not in reader.manifest.redacted_files
    write_files(bench.source, {".secrets.baseline": b"{}"})
    bench.build()
    with bench.reader() as reader:
        assert VALUE not in reader.file("client.py").text
        assert reader.manifest.notes == (".secrets.baseline is passed over: it isn't what `detect-secrets scan` writes",)
