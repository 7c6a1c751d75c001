"""Whether the lines that a stretch of prose cites hold what it names or quotes, and which passage does when it cites none.

* Words are verified when they name code and all of the names occur in the cited lines (or in their path and symbol). Words
  that name none are verified when a run of QUOTED_WORDS of them stands in the lines: they quote, as answers from
  documentation do. So are words that name the cited file and nothing in it, for where a line stands doesn't tell what it says.
  Several passages cited in one place share the names: together they must hold all, and each at least one.
* Words that cite nothing are matched to a passage when that one alone holds every name in them, or alone holds what they
  quote. Rather no match than a wrong one: they have to name something distinctive, and to share words with the passage.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from assistant.code_names import (
    CODE_SPAN,
    IDENTIFIER,
    TRIVIAL,
    WORD,
    Evidence,
    Found,
    beginnings_of,
    find,
    is_place_of,
    names_in,
    stems_of,
)
from assistant.sentences import MARK

State = Literal["pending", "verified", "unverified", "similar"]
_DENIAL = re.compile(
    r"\b(?:(?:do|does|did)(?: not|n't|n’t) (?:show|contain|mention|hold|say|include|provide|specify|define|describe|cover)"
    r"|(?:is|are)(?: not|n't|n’t) (?:shown|mentioned|defined|described|provided|found|included|covered)"
    r"|no (?:information|evidence|mention))\b",
    re.IGNORECASE,
)
# Shorter runs of words are the same by chance.
QUOTED_WORDS = 6
# A sentence that names one thing must share this part of its longer words with the passage to be matched to it.
MATCHED_WORDS = 0.3

Checked = tuple[State, tuple[Found, ...], tuple[str, ...], str]


def check(prose: str, cited: Sequence[Evidence], given: Mapping[int, Evidence]) -> dict[int, Checked]:
    """Each cited passage's number → (state, found, missing, reason). `given`: all passages, to tell where a name is instead."""
    named = names_in(MARK.sub(" ", prose))
    names = [name for name in named if not any(is_place_of(evidence, name) for evidence in cited)]
    if set(names) <= TRIVIAL:
        quotes = {number: quoted_in(prose, passage) for number, passage in given.items()}
        return {evidence.number: _judge_quote(evidence.number, quotes, len(names) < len(named)) for evidence in cited}
    lines = {evidence.number: found_in(prose, evidence) for evidence in cited}
    somewhere = {found.name for founds in lines.values() for found in founds}
    missing = tuple(name for name in names if name not in somewhere)
    return {number: _judge(number, names, found, missing, given) for number, found in lines.items()}


def found_in(prose: str, evidence: Evidence) -> tuple[Found, ...]:
    """The names in a stretch of prose that a passage holds, but for its file's own."""
    names = [name for name in names_in(MARK.sub(" ", prose)) if not is_place_of(evidence, name)]
    lines = [(name, find(name, evidence)) for name in names]
    return tuple(Found(name, line) for name, line in lines if line is not None)


def quoted_in(prose: str, evidence: Evidence) -> Found | None:
    """The longest run of words that stands in the passage too, whatever is between the words and whatever their endings, if it
    is long enough."""
    stems = _stems_of(prose)
    if not any(f" {' '.join(run)} " in evidence.stemmed for run in _runs(stems, evidence)):
        return None
    places = list(WORD.finditer(evidence.text))
    run = difflib.SequenceMatcher(None, stems, evidence.stems, autojunk=False).find_longest_match()
    first, last = places[run.b], places[run.b + run.size - 1]
    quote = " ".join(evidence.text[first.start() : last.end()].split())
    return Found(quote, evidence.start_line + evidence.text.count("\n", 0, first.start()))


@functools.lru_cache(maxsize=1000)
def _stems_of(prose: str) -> tuple[str, ...]:
    return tuple(stems_of(MARK.sub(" ", prose)))


def _runs(stems: Sequence[str], evidence: Evidence) -> Iterator[Sequence[str]]:
    """The runs of QUOTED_WORDS that are all in the passage: only they can stand in it."""
    there = 0
    for end, stem in enumerate(stems, 1):
        there = there + 1 if stem in evidence.known_stems else 0
        if there >= QUOTED_WORDS:
            yield stems[end - QUOTED_WORDS : end]


def _judge_quote(number: int, quotes: Mapping[int, Found | None], names_file: bool) -> Checked:
    """quotes: what the words quote from each passage. names_file: whether they name the cited file, and no other code."""
    quote = quotes[number]
    if quote is not None:
        return "verified", (quote,), (), f"Its words stand in these lines: “{quote.name[:120]}”."
    elsewhere = [str(other) for other, found in quotes.items() if found is not None]
    if elsewhere:
        return "unverified", (), (), f"Its words don't stand in these lines, but in passage {elsewhere[0]}."
    named = "the file, and no code" if names_file else "no code"
    return "unverified", (), (), f"The words before it name {named} that could be looked up in these lines."


def _judge(
    number: int, names: Sequence[str], found: tuple[Found, ...], missing: tuple[str, ...], given: Mapping[int, Evidence]
) -> Checked:
    if missing:
        elsewhere = [passage.number for passage in given.values() if all(find(name, passage) is not None for name in missing)]
        where = f", but in passage {elsewhere[0]}" if elsewhere and elsewhere[0] != number else ""
        return "unverified", found, missing, f"Names {listed(missing)}, which isn't in these lines{where}."
    if not found:
        return "unverified", (), tuple(names), f"Names {listed(names)}, which is in the passage cited beside it."
    return "verified", found, (), _verified_reason(found)


def _verified_reason(found: Sequence[Found]) -> str:
    return f"Named in the answer and found: {listed([item.name for item in found])}."


def listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name[:60]}`" for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def best_match(prose: str, evidence: Sequence[Evidence]) -> Evidence | None:
    """The one passage that a stretch of prose tells of, or None when it isn't certain.

    Every name must occur there, and one at least that isn't its file's. Where several passages have them all, it is the one
    whose symbol is named.
    """
    names = names_in(MARK.sub(" ", prose))
    if prose.startswith("#") or _DENIAL.search(prose):
        return None
    if not names:
        quoting = [passage for passage in evidence if quoted_in(prose, passage) is not None]
        return quoting[0] if len(quoting) == 1 else None
    if not any(map(_is_distinctive, names)):
        return None
    holding = [
        passage
        for passage in evidence
        if all(find(name, passage) is not None for name in names) and not all(is_place_of(passage, name) for name in names)
    ]
    if len(holding) > 1:
        holding = [passage for passage in holding if _names_symbol(names, passage)]
    if len(holding) != 1 or (len(names) < 2 and _shared_words(prose, holding[0]) < MATCHED_WORDS):
        return None
    return holding[0]


def claims_something(prose: str) -> bool:
    """Whether a stretch of prose says that something is so: no heading, no words before a list, nothing that is denied."""
    return not prose.startswith("#") and not prose.rstrip().endswith(":") and not denies(prose)


def names_code(prose: str) -> bool:
    return any(map(_is_distinctive, set(names_in(MARK.sub(" ", prose))) - TRIVIAL))


def denies(text: str) -> bool:
    """Whether an answer says itself that the passages don't hold it."""
    return _DENIAL.search(text) is not None


def _is_distinctive(name: str) -> bool:
    return len(name) >= 5 or any(not character.isalnum() for character in name)


def _names_symbol(names: Sequence[str], evidence: Evidence) -> bool:
    last = evidence.symbol_names[-1:]
    return any(tuple(IDENTIFIER.findall(name)[-1:]) == last for name in names) and bool(last)


def _shared_words(prose: str, evidence: Evidence) -> float:
    """The part of the sentence's longer words whose first five letters begin some word of the passage."""
    words = beginnings_of(CODE_SPAN.sub(" ", prose))
    return len(words & evidence.beginnings) / len(words) if words else 0.0
