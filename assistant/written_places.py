"""Paths, `file:line` and names of code that an answer writes without a number: where they are in the snapshot, if they are.

A link leads only to what exists: a path to the one file that it means, a name to its one definition. Where several could be
meant nothing is said, unless just one of them is among the passages. "Not in this repository" is said only when all of this
holds, since a wrong one is worse than none:

* a path has the ending of some file here and a folder or a telling name, its end is no file, no folder and nothing that was
  left out, and no file writes it out;
* a name has the shape that only code has (`snake_case`, `camelCase`) and no file spells it; of `A.b` the A is defined here;
* it is no well-known name of a library, no placeholder, no address, no command, and the sentence doesn't propose something
  new or speak of something elsewhere ("create", "for example", "the standard library").
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from assistant.code_names import CODE_SPAN
from assistant.library_names import LIBRARIES, is_library_name, is_placeholder
from indexer.lookup import DefinitionPlace, Lookup

_SEGMENT = r"[\w@+-][\w.@+-]*"
_LINES = r"(?::(?P<line>\d{1,6})(?:[-–:](?P<last>\d{1,6}))?|#L(?P<hash>\d{1,6})(?:-L?(?P<hash_last>\d{1,6}))?)?"
_PATH = rf"(?P<path>(?:\.{{0,2}}/)?(?:{_SEGMENT}/)*[\w.@+-]*[\w+-])"
_WRITTEN_PATH = re.compile(_PATH + _LINES)
_BARE_PATH = re.compile(rf"(?<![\w./:@#~-]){_PATH}{_LINES}(?![\w/:@])")
_NAME = re.compile(r"(?P<head>(?:[A-Za-z_$][\w$]*(?:\.|::|->|#))*)(?P<last>[A-Za-z_$][\w$]*(?:[!?]|'+)?)(?:\([^()\n]{0,60}\))?")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S+|\bwww\.\S+|\S+@\S+\.\w+|\]\([^)\n]*\)")
_DOMAIN = re.compile(r"^[\w-]+\.(?:com|org|net|io|dev|ai|co|edu|gov|app|sh)(?:/|$)")
_OUTSIDE = re.compile(
    r"^(?:/|~|\.\.?/)|(?:^|/)(?:node_modules|vendor|site-packages|dist-packages|\.git|\.?venv|build|dist|target)/"
)
_SHAPE_OF_CODE = re.compile(r"[A-Za-z0-9]_[A-Za-z0-9]|[a-z0-9][A-Z]|[A-Z]{2}[a-z]{2}")
_PROPOSES = re.compile(
    r"\b(?:create|add|write|implement|introduce|rename|generate[ds]?|install|propose|suggest|suppose|imagine|let's"
    r"|let’s|e\.g|for example|for instance|such as|your|you (?:can|could|may|might|would|should)|could be"
    r"|would be|might be|instead of|unlike|similar to|equivalent|alternative(?:ly)?|standard library|built-?ins?"
    r"|third[- ]party|librar(?:y|ies)|packages?|frameworks?|dependency|dependencies|plugins?|placeholder"
    r"|hypothetical\w*|typically|usually|conventionally|in general|comes from|imported from)\b",
    re.IGNORECASE,
)
_FILE_ENDING = re.compile(
    r"py|pyi|js|jsx|mjs|cjs|ts|tsx|mts|go|rs|java|kt|kts|scala|c|h|cc|cpp|cxx|hpp|hh|cs|rb|php|swift|m|mm|lua|ex|exs"
    r"|hs|zig|sh|bash|bats|toml|json|yaml|yml|md|rst|txt|html|css|scss|sql|xml|ini|cfg|gradle|lock|proto|vue|svelte|clj|ml|fs|r|jl|pl|vim|cabal"
)
# Definitions that a name in passing seldom means.
_MINOR = frozenset(("variable", "field", "property", "constant", "test", "parameter", "namespace"))
_OWN = frozenset(("self", "this", "cls", "super", "Self", "@"))


@dataclass(frozen=True, slots=True)
class Written:
    """A path or a name as an answer writes it, from start to end of its text. firmly: no doubt is cast on its being here."""

    start: int
    end: int
    kind: Literal["path", "name"]
    text: str
    line: int
    last_line: int
    head: str
    firmly: bool


@dataclass(frozen=True, slots=True)
class WrittenPlace:
    """A `place` event of docs/protocol.md. A line of 0 is the whole file; `path` is "" where the state is "absent"."""

    start: int
    end: int
    state: Literal["here", "absent"]
    path: str = ""
    start_line: int = 0
    end_line: int = 0
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "start": self.start,
            "end": self.end,
            "state": self.state,
            "path": self.path,
            "start_line": self.start_line,
            "end_line": self.end_line,
            "reason": self.reason,
        }


def written_in(prose: str, start: int = 0, before: str = "") -> list[Written]:
    """What a sentence mentions. start: where it begins in the answer, whose text before it is `before`."""
    firmly = not _PROPOSES.search(prose) and not prose.rstrip().endswith(":")
    found: list[Written] = []
    rest = prose
    for address in _ADDRESS.finditer(prose):
        rest = _blanked(rest, *address.span())
    for span in CODE_SPAN.finditer(rest):
        said = prose[slice(*span.span(2))].strip()  # an address in it is no blank
        if (written := _read(said, start + span.start(), start + span.end(), firmly)) is not None:
            found.append(written)
        rest = _blanked(rest, *span.span())
    for bare in _BARE_PATH.finditer(rest):
        if "/" in bare["path"].strip("./") or bare["line"]:
            found.append(_path(bare, start + bare.start(), start + bare.end(), firmly))
    return [_told_before(each, before) for each in sorted(found, key=lambda each: each.start)]


def _blanked(text: str, start: int, end: int) -> str:
    return text[:start] + " " * (end - start) + text[end:]


def _read(text: str, start: int, end: int, firmly: bool) -> Written | None:
    """What a code span says, if it is one path or one name and nothing else."""
    path = _WRITTEN_PATH.fullmatch(text)
    if path and ("/" in text or path["line"] or path["hash"] or _has_file_ending(text)):
        return _path(path, start, end, firmly)
    name = _NAME.fullmatch(text)
    if name is None:
        return None
    return Written(start, end, "name", name["last"], 0, 0, name["head"], firmly)


def _path(match: re.Match[str], start: int, end: int, firmly: bool) -> Written:
    line = int(match["line"] or match["hash"] or 0)
    last = int(match["last"] or match["hash_last"] or line)
    return Written(start, end, "path", match["path"], line, max(line, last), "", firmly)


def _has_file_ending(text: str) -> bool:
    """`app.py` is a file, `app.run` a name: endings are short and in lower case, but for what may be an attribute."""
    stem, dot, ending = text.rpartition(".")
    return bool(stem and dot) and _FILE_ENDING.fullmatch(ending) is not None


def _told_before(written: Written, before: str) -> Written:
    """What the answer has made up itself, in a block of code, it may go on to speak of."""
    if "```" not in before and "~~~" not in before:
        return written
    blocks = re.findall(r"(?ms)^\s*(?:```|~~~).*?(?:^\s*(?:```|~~~)|\Z)", before)
    if any(written.text in block for block in blocks):
        return replace(written, firmly=False)
    return written


def resolve(written: Sequence[Written], lookup: Lookup, passages: Collection[str]) -> Iterator[WrittenPlace]:
    """passages: the paths of what the model was shown."""
    for each in written:
        place = _resolve_path(each, lookup, passages) if each.kind == "path" else _resolve_name(each, lookup, passages)
        if place is not None:
            yield place


# --- paths ------------------------------------------------------------------------------------------------------------------


def _resolve_path(written: Written, lookup: Lookup, passages: Collection[str]) -> WrittenPlace | None:
    path = re.sub(r"^(?:\.{1,2}/)+|/$", "", written.text)
    if _DOMAIN.match(path) or path.startswith("/"):
        return None
    files = lookup.files(path)
    if len(files) > 1:
        files = [file for file in files if file.path in passages]
        if len(files) != 1:
            return None
    if files:
        file = files[0]
        if written.line and written.last_line <= file.lines:
            return WrittenPlace(written.start, written.end, "here", file.path, written.line, written.last_line)
        reason = f"{file.path} has no line {written.last_line}: it has {file.lines}." if written.line else ""
        return WrittenPlace(written.start, written.end, "here", file.path, reason=reason)
    if written.firmly and _is_no_file_here(written.text, path, lookup):
        return WrittenPlace(written.start, written.end, "absent", reason=f"{path} is no file in this repository.")
    return None


def _is_no_file_here(text: str, path: str, lookup: Lookup) -> bool:
    name = path.rpartition("/")[2]
    stem, _, ending = name.rpartition(".")
    if not stem or is_placeholder(path) or _OUTSIDE.search(text) or not lookup.has_suffix(f".{ending}"):
        return False
    if "/" not in path and (not _SHAPE_OF_CODE.search(stem) or lookup.occurs(stem)):
        return False
    return not lookup.is_beyond_the_index(path) and not lookup.is_written("/".join(path.split("/")[-2:]), stem)


# --- names ------------------------------------------------------------------------------------------------------------------


def _resolve_name(written: Written, lookup: Lookup, passages: Collection[str]) -> WrittenPlace | None:
    heads = [head for head in re.split(r"\.|::|->|#", written.head) if head and head not in _OWN]
    name = written.text
    if len(name) < 3 or (heads and heads[0] in LIBRARIES and not lookup.definitions(heads[0])):
        return None
    found = lookup.definitions(name)
    if heads:
        found = [place for place in found if _is_of(place, heads[-1])] or ([] if _is_type(heads[-1]) else found)
    if place := _meant(found, passages, telling=bool(heads) or _tells(name)):
        return WrittenPlace(written.start, written.end, "here", place.path, place.start_line, place.end_line)
    if found or not written.firmly or not _is_nowhere(name, heads, lookup):
        return None
    return WrittenPlace(written.start, written.end, "absent", reason=f"{name} occurs in no file of this repository.")


def _is_of(place: DefinitionPlace, head: str) -> bool:
    owners = re.split(r"\W+", place.qualified_name)[:-1]
    return head in owners or head in re.split(r"\W+", place.path)


def _tells(name: str) -> bool:
    """Whether a name is none that something else could be called by in passing, as `get` and `open` could."""
    return _SHAPE_OF_CODE.search(name) is not None or (name[:1].isupper() and len(name) > 3)


def _is_type(head: str) -> bool:
    return head[:1].isupper()


def _meant(found: Sequence[DefinitionPlace], passages: Collection[str], *, telling: bool) -> DefinitionPlace | None:
    """The one definition that a name means, or None where that isn't certain."""
    shown = [place for place in found if place.path in passages]
    if len(shown) == 1:
        return shown[0]
    major = [place for place in (shown or found) if place.kind not in _MINOR]
    return major[0] if len(major) == 1 and (telling or shown) else None


def _is_nowhere(name: str, heads: Sequence[str], lookup: Lookup) -> bool:
    if is_library_name(name) or is_placeholder(name) or lookup.occurs(name):
        return False
    if heads:
        return len(name) >= 5 and bool(lookup.definitions(heads[-1])) and heads[0] not in LIBRARIES
    return len(name) >= 6 and not name.isupper() and _SHAPE_OF_CODE.search(name) is not None
