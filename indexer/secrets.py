"""Secrets in files are taken out before anything else reads them: no index, no vector, no page and no prompt holds them.

A file is first looked through for marks that no secret of these kinds is without (`AKIA`, `ghp_`, `PRIVATE KEY`, a quoted run
of letters and digits beside a word such as "token"), which costs a few microseconds. Only where one is found, detect-secrets'
detectors look at those few hundred characters. A secret becomes `[redacted: AWS access key]`; line ends stay, and so do the
numbers of the lines. Made for few false alarms: what people write as an example (`user:password@`) stays.

What is taken out wrongly all the same is kept by the conventions of detect-secrets: `pragma: allowlist secret` in a comment of
its line, `pragma: allowlist nextline secret` in the line before, or an entry of `.secrets.baseline` that was audited as false.
"""

from __future__ import annotations

import base64
import importlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from functools import cache
from itertools import count, pairwise
from typing import Any

from ahocorasick_rs import AhoCorasick

from indexer.secrets_baseline import hash_of

REDACTION_VERSION = 2
"""Goes up with what counts as a secret; 0 means that nothing was redacted."""

# How far from a secret the comment may stand that says that it is none; lines may be without end.
_MARK_WITHIN = 500
# How a secret's own characters go on after its mark.
_TAIL = 400
_LONGEST_HEAD = 250
_LONGEST = 10_000
_REST = re.compile(r"[A-Za-z0-9_.\-+/=]*")

# The password of a URL, and the value that is assigned to a name that sounds like a secret.
_URL = re.compile(r"://([^\s:/@'\"<>]{0,100}):([^\s/@'\"<>]{6,200})@")
_QUOTED = re.compile(r'"([A-Za-z0-9+/=_\-]{20,200})"')
_NAME_BEFORE = re.compile(
    r"(?:secret|token|passw(?:or)?d|passphrase|api_?key|access_?key|private_?key|auth_?key|credential)s?"
    r"[\w.\-\]\"']{0,20}\s{0,4}(?::=|=>|[:=])\s{0,4}$",
    re.IGNORECASE,
)
# Names whose values only sound like secrets: identifiers, hashes of files, and what is public on purpose.
_HARMLESS_NAME = re.compile(
    r"public|hash|digest|checksum|sha\d|md5|fingerprint|csrf|integrity|token_?type|site_?key|key_?id|name|path|url|"
    r"header|field|selector|label|title|message|class",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(
    r"^(?:x+|\*+|\.+|pass(?:word|wd)?|secret|hunter2|changeme|example|your|my|some|dummy|foo|bar|test|abc|123|user|admin|root|"
    r"token|fake|sample|placeholder|redacted|username|credentials?)",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(r"[{}<>$%*]|\.\.\.|…|\\\(|#\{")

_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----((?:(?!-----)[\s\S]){1,20000}?)(?:-----END |\Z)"
)
# Also as one string whose line ends are written as \\n.
_KEY_MATERIAL = re.compile(r"(?:(?<=\\n)|(?<![A-Za-z0-9+/=\\]))[A-Za-z0-9+/=]{24,}")
_SAME_KEY = "private key, continued"
_ENTROPY = 4.0
"""Bits a character that a value has to have beside a name such as "token"; English words have about 3.5, base64 5 and more."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text without its secrets, how many of each kind it held, and how many were left in because somebody says that they are
    none."""

    text: str
    kinds: Counter[str]
    allowed: Counter[str]


def redact(text: str, path: str = "", known: Set[str] = frozenset()) -> Redacted:
    """Take the secrets out of a text. It keeps its number of lines.

    path: tells how its comments are written. known: hashes of values that are no secrets (secrets_baseline.py).
    """
    kinds: Counter[str] = Counter()
    allowed: Counter[str] = Counter()
    spans: list[tuple[int, int, str, int]] = []
    for find in (_private_keys, _tokens, _url_passwords, _assigned):
        spans.extend(find(text))
    if not spans:
        return Redacted(text, kinds, allowed)
    parts: list[str] = []
    end = 0
    for start, stop, kind, place in sorted(spans):
        if start < end:
            continue  # a second detector has found the same
        if _is_allowed(text, start, stop, place, path, known):
            allowed[kind] += kind != _SAME_KEY
            parts.append(text[end:stop])
            end = stop
            continue
        parts += [text[end:start], f"[redacted: {kind}]"]
        if kind != _SAME_KEY:
            kinds[kind] += 1
        end = stop
    return Redacted("".join([*parts, text[end:]]), kinds, +allowed)


def _is_allowed(text: str, start: int, stop: int, place: int, path: str, known: Set[str]) -> bool:
    """Whether somebody says that this is no secret; place: where in the line that may say so."""
    if known and hash_of(text[start:stop]) in known:
        return True
    line = max(text.rfind("\n", 0, place) + 1, place - _MARK_WITHIN)
    before = max(text.rfind("\n", 0, max(0, line - 1)) + 1, line - _MARK_WITHIN)
    end = text.find("\n", place, max(stop, place) + _MARK_WITHIN)
    window = text[before : end if end >= 0 else max(stop, place) + _MARK_WITHIN]
    if "pragma:" not in window:
        return False
    from detect_secrets.filters.allowlist import is_line_allowlisted
    from detect_secrets.util.code_snippet import CodeSnippet

    lines = [window[: max(0, line - before - 1)], window[line - before :].partition("\n")[0]]
    return is_line_allowlisted(path, lines[1], CodeSnippet(lines, 1, 1))


def _private_keys(text: str) -> Iterator[tuple[int, int, str, int]]:
    if "PRIVATE KEY" not in text:
        return
    for match in _PRIVATE_KEY.finditer(text):
        lines = _KEY_MATERIAL.finditer(text, match.start(1), match.end(1))
        spans = [line.span() for line in lines if _is_mixed(line[0]) and _entropy(line[0]) > 3.5]
        kinds = ("private key" if number == 0 else _SAME_KEY for number in count())
        yield from ((*span, kind, match.start()) for span, kind in zip(spans, kinds, strict=False))


def _tokens(text: str) -> Iterator[tuple[int, int, str, int]]:
    """What has a form of its own, wherever it stands."""
    looked: dict[int, int] = {}
    for number, place, _ in _marks().find_matches_as_indexes(text):
        if place < looked.get(number, 0):
            continue
        _, kind, detector = _KINDS[number]
        line = text.rfind("\n", max(0, place - 100), place) + 1 or max(0, place - 100)
        end = text.find("\n", place, place + _TAIL)
        snippet = text[line : end if end >= 0 else place + _TAIL]
        # Each stretch is looked at once or twice, whatever it holds; the next one begins where a long token could.
        looked[number] = end if end >= 0 else place + _TAIL - _LONGEST_HEAD
        for secret in filter(None, dict.fromkeys(detector()(snippet))):
            found = text.find(secret, line, line + len(snippet))
            while found >= 0:
                # Of a token that is longer than what was looked at.
                rest = _REST.match(text, found + len(secret), found + _LONGEST)
                stop = rest.end() if rest else found + len(secret)
                looked[number] = max(looked[number], stop)
                if not _is_example(secret):
                    yield found, stop, kind, found
                found = text.find(secret, stop, line + len(snippet))


def _url_passwords(text: str) -> Iterator[tuple[int, int, str, int]]:
    if "://" not in text or "@" not in text:
        return
    for match in _URL.finditer(text):
        user, password = match[1], match[2]
        if not _TEMPLATE.search(password) and not _EXAMPLE.match(password) and password != user and _is_mixed(password):
            yield match.start(2), match.end(2), "password in a URL", match.start(2)


def _assigned(text: str) -> Iterator[tuple[int, int, str, int]]:
    # An expression that begins with one of three characters takes five times as long to find as one that begins with one.
    for match in _QUOTED.finditer(text.replace("'", '"').replace("`", '"')):
        value = match[1]
        before = text[max(0, match.start() - 60) : match.start()].rpartition("\n")[2]
        name = _NAME_BEFORE.search(before)
        if (
            name
            and _is_mixed(value)
            and not _HARMLESS_NAME.search(before)
            and not _EXAMPLE.match(value)
            and _entropy(value) >= (3.0 if re.fullmatch(r"[0-9a-fA-F]+", value) else _ENTROPY)
            and not _sequential(value)
        ):
            yield match.start(1), match.end(1), "value of a secret", match.start(1)


def _is_mixed(text: str) -> bool:
    """Whether it has both digits and letters, which words and numbers have not."""
    return any(character.isdigit() for character in text) and any(character.isalpha() for character in text)


def _is_example(secret: str) -> bool:
    """The documentation's own: AKIAIOSFODNN7EXAMPLE, ghp_xxxxxxxx."""
    return "EXAMPLE" in secret.upper() or len(set(secret)) < 9 or _TEMPLATE.search(secret) is not None or _sequential(secret)


def _sequential(text: str) -> bool:
    """Whether most characters are neighbours of the one before: 0123456789, abcdef."""
    steps = sum(abs(ord(a) - ord(b)) <= 1 for a, b in pairwise(text))
    return steps > len(text) // 2


def _entropy(text: str) -> float:
    """Shannon's, in bits a character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


@cache
def _marks() -> AhoCorasick:
    """All marks at once, four times as fast as one after the other."""
    return AhoCorasick([mark for mark, _, _ in _KINDS])


@cache
def _plugin(module: str, name: str) -> Any:
    """A detector of detect-secrets, imported by the first file that needs it: it brings requests along, whose import takes as
    long as reading a hundred files."""
    return getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)()


def _matching(pattern: str) -> Callable[[], Callable[[str], list[str]]]:
    """For the kinds that detect-secrets doesn't know."""
    compiled = re.compile(pattern)
    return lambda: compiled.findall


def _json_web_tokens() -> Callable[[str], list[str]]:
    """Parts in base64 of which the first two hold JSON, as detect-secrets tells them. They are the one kind that is common in
    ordinary code, so they don't wait for its import."""
    find_all = re.compile(r"eyJ[\w\-=]+\.[\w\-=]+\.?[\w\-.+/=]*?", re.ASCII).findall
    return lambda text: [
        token for token in find_all(text) if all(map(_is_part_of_token, token.split("."), (True, True, False)))
    ]


def _is_part_of_token(part: str, holds_json: bool) -> bool:
    if len(part) % 4 == 1:
        return False
    try:
        data = base64.urlsafe_b64decode(part + "=" * (len(part) % 4))
        if holds_json:
            json.loads(data.decode())
    except ValueError:
        return False
    return True


def _with_regexes(module: str, name: str, least: str = "") -> Callable[[], Callable[[str], list[str]]]:
    """The whole match of a detector's expressions, where its groups would give a part only; least: as in `_detector`."""
    worth_it = re.compile(least)

    def find_all(text: str) -> list[str]:
        if not worth_it.search(text):
            return []
        return [match[0] for expression in _plugin(module, name).denylist for match in expression.finditer(text)]

    return lambda: find_all


_AWS = _matching(r"\b(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{16}\b")
_GITHUB = _with_regexes("github_token", "GitHubTokenDetector", r"gh[opsur]_\w{36}")
_GITLAB = _with_regexes("gitlab_token", "GitLabTokenDetector")
_SLACK = _with_regexes("slack", "SlackDetector")
_STRIPE = _with_regexes("stripe", "StripeDetector")
_KINDS: tuple[tuple[str, str, Callable[[], Callable[[str], list[str]]]], ...] = (
    *((mark, "AWS access key", _AWS) for mark in ("AKIA", "ASIA", "ABIA", "ACCA")),
    *((mark, "GitHub token", _GITHUB) for mark in ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
    ("github_pat_", "GitHub token", _matching(r"github_pat_[A-Za-z0-9_]{36,255}")),
    *((mark, "GitLab token", _GITLAB) for mark in ("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "GR1348941")),
    *((mark, "GitLab token", _GITLAB) for mark in ("glcbt-", "glimt-", "glptt-", "glagent-", "gloas-")),
    *(
        (mark, "Slack token", _SLACK)
        for mark in ("xoxa-", "xoxb-", "xoxp-", "xoxo-", "xoxs-", "xoxr-", "hooks.slack.com/services/T")
    ),
    *((mark, "Stripe key", _STRIPE) for mark in ("sk_live_", "rk_live_")),
    ("eyJ", "JSON web token", _json_web_tokens),
    ("_authToken", "npm token", _matching(r"(?<=_authToken=)\s*(npm_[A-Za-z0-9]{30,}|[A-Fa-f0-9-]{36})")),
    ("npm_", "npm token", _matching(r"\bnpm_[A-Za-z0-9]{36}\b")),
    ("pypi-AgE", "PyPI token", _with_regexes("pypi_token", "PypiTokenDetector")),
    ("AIza", "Google API key", _matching(r"\bAIza[0-9A-Za-z_\-]{35}\b")),
    ("AccountKey=", "Azure storage key", _with_regexes("azure_storage_key", "AzureStorageKeyDetector")),
    ("T3BlbkFJ", "OpenAI key", _with_regexes("openai", "OpenAIDetector")),
    ("SG.", "SendGrid key", _with_regexes("sendgrid", "SendGridDetector", r"SG\.[\w\-]{22}\.")),
)
