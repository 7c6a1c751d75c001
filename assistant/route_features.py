"""What a question and a search for it show of where the answer lies: in this repository, or in general knowledge.

Numbers with names, from the question's wording, the search's findings and the questions before; the same for learning and for
answering. Nothing in here is learned: `assistant.route_model` has the weights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from statistics import fmean

from assistant import route_wording as wording
from assistant.gazetteer import Mention, is_capital, just_before, known, named_by_word
from assistant.language_terms import Terms, all_terms, language_terms, named_in
from assistant.library_names import LIBRARIES, is_library_name
from indexer.types import SearchResult

Features = Mapping[str, float]

# A longer follow-up says by itself what it is about.
_MOST_WORDS_CONTINUING = 9
# Words of a question that its phrases are made of, and how many words a phrase has.
_MOST_WORDS = 40
_LONGEST_PHRASE = 3
# Characters of a question in which known names are looked for.
_MOST_CHARACTERS = 1000
# Letters and signs of a pasted line that tells where it is from: more than a bracket or `else {`.
_SHORTEST_LINE = 10
# Words of a question that are looked for in string literals, and how many in a row are more than chance.
_MOST_WORDS_OF_MESSAGE = 200
_FEWEST_WORDS_IN_STRING = 3
# Logits beyond which an answer is there, or isn't.
_MOST_SUPPORT = 8.0


def features(question: str, found: SearchResult, repository: str, routes: Sequence[str] = ()) -> Features:
    """found: what a search for the question returned. repository: its name. routes: how the earlier questions of the
    conversation were answered, oldest first."""
    told: dict[str, float] = {
        **_wording(question, repository),
        **_findings(found),
        **_technologies(question, found, repository),
        **_language_terms(question, found),
        **_known_names(question, found, repository),
        **_names(question, found),
        **_as_written(question, found),
        **_conversation(question, found, routes),
    }
    return {**told, **_together(told)}


def _wording(question: str, repository: str) -> dict[str, float]:
    prose = prose_of(question)
    words = re.findall(r"\w+", prose)
    is_question = bool(wording.ASKING.search(prose))
    said = {
        "here": wording.HERE,
        "where": wording.WHERE,
        "notion": wording.NOTION,
        "difference": wording.DIFFERENCE,
        "task": wording.TASK,
        "mechanism": wording.MECHANISM,
        "passive": wording.PASSIVE,
        "generally": wording.GENERALLY,
        "it": wording.IT,
        "this": wording.THIS,
        "meta": wording.META,
        "advice": wording.ADVICE,
        "works": wording.WORKS,
        "talk": wording.TALK,
    }
    return {
        **{name: float(bool(pattern.search(prose))) for name, pattern in said.items()},
        "repository": float(bool(_name_of(repository).search(question))),
        "error": float(bool(wording.ERROR.search(question))),
        "system_error": float(bool(wording.SYSTEM_ERROR.search(question))),
        "pasted": float(_holds_code(question)),
        "code": min(3, len(wording.CODE.findall(question))),
        "lines": math.log1p(question.strip().count("\n")),
        "asks": float("?" in prose or "？" in prose),
        "wish": float(not is_question),
        "keywords": float(0 < len(words) <= 4 and not is_question and not re.search(r"[?？!]", question)),
    }


@lru_cache(maxsize=64)
def prose_of(question: str) -> str:
    """What is said, with a backtick for the code that is quoted and without the lines that are pasted; all of it where nothing
    else is said."""
    said, pasted = _said_and_pasted(question)
    lines = said if any(line.strip(" `") for line in said) else pasted
    return wording.QUOTED_CODE.sub("`", "\n".join(lines))


def prose_first(question: str) -> str:
    """What is said and then what is pasted, as MiniLM's lower layers read it: they read 64 tokens, which a paste before the
    question would fill."""
    said, pasted = _said_and_pasted(question)
    return "\n".join(line for line in (*said, *pasted) if line.strip(" `"))


@lru_cache(maxsize=64)
def _said_and_pasted(question: str) -> tuple[list[str], list[str]]:
    """Its lines; a backtick is said for what stands in a fence. One line alone is said, whatever it looks like."""
    said: list[str] = []
    pasted: list[str] = []
    fenced = False
    lines = question.splitlines()
    for line in lines:
        before, fence, after = line.partition("```")
        if not fence or "```" in after:
            (pasted if fenced or (len(lines) > 1 and wording.CODE_LINE.search(line)) else said).append(line)
        elif fenced:
            pasted.append(before)
            said += [after] if after.strip() else []
            fenced = False
        else:
            said += [before, "`"] if before.strip() else ["`"]
            # What stands after an opening fence is its language, unless it is more than a word.
            pasted.append(after if " " in after.strip() else "")
            fenced = True
    return said, [line for line in pasted if line.strip()]


def _holds_code(question: str) -> bool:
    return bool(wording.QUOTED_CODE.search(question) or _said_and_pasted(question)[1])


@cache
def _name_of(repository: str) -> re.Pattern[str]:
    """How people write a repository's name, in any capitals: the whole, or what stands before a dot or dash, without "lib" or
    "js"; also as a name's beginning: "laravel", "uv_close" in libuv, "fmt::print". It may be an ordinary word, too: "lazy"."""
    whole = repository.rsplit("/", 1)[-1].lower()
    first = re.split(r"[-._]", whole)[0]
    short = re.sub(r"^lib(?=\w\w)|(?<=\w\w)(?:lib|js)$", "", first)
    names = "|".join(re.escape(name) for name in (whole, first, short) if name)
    return re.compile(rf"(?<![^\W_])(?i:{names})(?![^\W_])")


def _findings(found: SearchResult) -> dict[str, float]:
    strength = found.strength
    matched, missing = len(found.matched_terms), len(found.missing_terms)
    message = any(origin.signal == "message" for passage in found.passages for origin in passage.origins)
    return {
        "matched": math.log1p(matched),
        "missing_share": missing / max(1, matched + missing),
        "coverage": strength.coverage,
        "rarest": max(strength.rarities, default=0.0),
        "rarity": fmean(strength.rarities) if strength.rarities else 0.0,
        "definition": strength.definition,
        "definitions": math.log1p(len(found.symbols)),
        "called": strength.called,
        "path": float(strength.named_files > 0),
        "message": float(message),
        "foreign_error": float(found.kind == "error" and not message),
        "chance": strength.chance,
        "name_in_query": strength.name_in_query,
        "nearest": strength.nearest,
        "support": max(-_MOST_SUPPORT, min(_MOST_SUPPORT, found.support or 0.0)),
        "is_error": float(found.kind == "error"),
        "is_symbol": float(found.kind == "symbol"),
        "is_overview": float(found.kind == "overview"),
        "other_language": float(bool(strength.language)),
        "chunks": math.log1p(found.chunks),
    }


def _technologies(question: str, found: SearchResult, repository: str) -> dict[str, float]:
    """Languages and software that the question names, without the repository itself."""
    own = _name_of(repository)
    prose = prose_of(question)[:_MOST_CHARACTERS]
    languages = [each for each in wording.LANGUAGES.finditer(question) if not own.fullmatch(each.group())]
    tools = [each for each in known("software").mentions(question[:_MOST_CHARACTERS]) if not own.search(each.name)]
    software = [each for each in known("software").mentions(prose) if not own.search(each.name)]
    words = [each for each in named_by_word(prose) if not own.search(each.name) and not _within(each, software)]
    starts = [each.start() for each in languages] + [each.start for each in tools]
    missing, there = ({word.lower() for word in terms} for terms in (found.missing_terms, found.matched_terms))
    defined = {symbol.lower() for symbol in found.symbols}
    libraries = [
        *wording.WITH_LIBRARY.findall(prose),
        *(each.name for each in words if wording.BEFORE_LIBRARY.search(just_before(prose, each.start))),
    ]
    others = [name for name in libraries if not own.fullmatch(name) and (name.islower() or name.lower() not in defined)]
    technologies = set(re.findall(r"\w+", " ".join(each.group() for each in languages).lower()))
    named = [set(re.findall(r"\w+", each.name)) for each in software]
    return {
        "language": float(bool(languages)),
        "in_language": float(any(wording.BEFORE_TECHNOLOGY.search(just_before(question, start)) for start in starts)),
        "tool": float(bool(tools)),
        "tools": min(3, len({each.name for each in software})),
        "tool_here": min(2, sum(not there.isdisjoint(each) for each in named)),
        "with_library": float(bool(others)),
        "with_unknown": float(not missing.isdisjoint(map(str.lower, wording.WITH.findall(question)))),
        "unknown_tool": float(not missing.isdisjoint(technologies.union(*named))),
        "named_word": min(2, len(words)),
        "named_capital": min(2, sum(is_capital(prose, each) for each in words)),
    }


def _within(word: Mention, software: Sequence[Mention]) -> bool:
    return any(each.start <= word.start < each.end for each in software)


def _language_terms(question: str, found: SearchResult) -> dict[str, float]:
    """Keywords and constructs of the languages that the findings are in, and of any language."""
    said, everywhere = named_in(question), all_terms()
    here = [language_terms().get(language, Terms()) for language in {passage.language for passage in found.passages}]
    return {
        "keyword": float(any(not said.keywords.isdisjoint(terms.keywords) for terms in here)),
        "construct": float(any(not said.constructs.isdisjoint(terms.constructs) for terms in here)),
        "any_keyword": float(not said.keywords.isdisjoint(everywhere.keywords)),
        "any_construct": float(not said.constructs.isdisjoint(everywhere.constructs)),
    }


def _known_names(question: str, found: SearchResult, repository: str) -> dict[str, float]:
    """What the question names that is the same in every project: notions, and what languages have."""
    prose = prose_of(question)[:_MOST_CHARACTERS]
    own = _name_of(repository)
    notions, names, everywhere = (
        [each for each in known(kind).mentions(text) if not own.search(each.name)]
        for kind, text in (("notions", prose), ("languages", prose), ("languages", question[:_MOST_CHARACTERS]))
    )
    lead = wording.NOTION_LEAD.match(prose)
    asked = lead.end() if lead else None
    missing = {word.lower() for word in found.missing_terms}
    return {
        "notions": min(3, sum(not each.name.isalpha() for each in notions)),
        "asked_notion": float(any(each.start == asked for each in notions)),
        "notion_share": _share(notions, prose),
        "language_names": min(3, len({each.name for each in names if _is_marked(each) and " " not in each.name})),
        "language_phrases": min(3, len({each.name for each in names if " " in each.name})),
        "language_names_unknown": min(2, sum(not missing.isdisjoint(re.findall(r"\w+", each.name.lower())) for each in names)),
        "language_names_pasted": min(3, len({each.name for each in everywhere if _is_marked(each)})),
        "language_share": _share(names, prose),
    }


def _is_marked(mention: Mention) -> bool:
    """Whether it looks like no ordinary word."""
    return not (mention.name.islower() and mention.name.isalpha())


def _share(mentions: Sequence[Mention], text: str) -> float:
    """Of the text's characters."""
    return sum(each.end - each.start for each in mentions) / max(1, len(text))


def _names(question: str, found: SearchResult) -> dict[str, float]:
    """Names that are written as only code writes them: defined here, occurring here, or unknown here."""
    written = {re.split(r"::|\.|^--", name.removesuffix("()"))[-1].lower() for name in wording.CODE_NAME.findall(question)}
    defined = {symbol.lower() for symbol in found.symbols}
    library = {name for name in _library_names(question) if name.lower() not in defined}
    there = {word.lower() for word in found.matched_terms} | defined
    known = {name for name in written if there.issuperset(name.split("-"))}
    return {
        "code_names": min(3, len(written)),
        "names_defined": min(3, len(written & defined)),
        "names_unknown": min(3, len(written - known)),
        "all_defined": float(bool(written) and written <= defined),
        "names_library": min(3, len(library)),
    }


def _as_written(question: str, found: SearchResult) -> dict[str, float]:
    """Whether what was found holds the question's names and the lines that are pasted in it, letter for letter."""
    texts = [passage.text for passage in found.passages]
    names = set(wording.WHOLE_NAME.findall(question))
    held = sum(any(name in text for text in texts) for name in names)
    pasted = [line for line in map(_tight, _said_and_pasted(question)[1]) if len(line) >= _SHORTEST_LINE]
    tight = [_tight(text) for text in texts] if pasted else []
    here = sum(any(line in text for text in tight) for line in pasted)
    words = re.findall(r"[^\W_]+", question.lower())[:_MOST_WORDS_OF_MESSAGE]
    run = _longest_run_in_strings(words, texts)
    return {
        "names_held": min(3, held),
        "names_not_held": min(3, len(names) - held),
        "pasted_here": here / max(1, len(pasted)),
        "pasted_elsewhere": float(bool(pasted) and not here),
        "string_here": min(6, run),
        "string_share": run / max(_FEWEST_WORDS_IN_STRING, len(words)),
    }


def _longest_run_in_strings(words: Sequence[str], texts: Sequence[str]) -> int:
    """How many of the question's words in a row stand in one string literal of what was found, as a message's words do; 0 for
    fewer than three."""
    size = _FEWEST_WORDS_IN_STRING
    runs = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
    wanted, spaced = set(runs), [" ".join(run) for run in runs]
    there: set[tuple[str, ...]] = set()
    for text in texts:
        small = text.lower()
        # Most texts have none of them, which is told faster than what their strings are.
        if any(run in small for run in spaced):
            for literal in wording.STRING_LITERAL.findall(small):
                said = re.findall(r"[^\W_]+", literal)
                there.update(wanted.intersection(zip(*(said[i:] for i in range(size)), strict=False)))
    longest = length = 0
    for run in runs:
        length = length + 1 if run in there else 0
        longest = max(longest, length)
    return longest + size - 1 if longest else 0


def _tight(text: str) -> str:
    """Without what layout differs in."""
    return re.sub(r"\s+", "", text)


def _library_names(question: str) -> set[str]:
    """Names that a language's own libraries have."""
    words = re.findall(r"[A-Za-z_][\w.]*(?:::\w+)*", question)
    return {
        word
        for word in words
        if (is_library_name(word) and not (word.isalpha() and word.islower()))
        or (re.match(r"\w+(?:::|\.)\w", word) and re.split(r"::|\.", word)[0] in LIBRARIES)
    }


def _conversation(question: str, found: SearchResult, routes: Sequence[str]) -> dict[str, float]:
    """last_route: 1 after the code, -1 after general knowledge, 0 without a question before."""
    last = 0.0 if not routes else -1.0 if routes[-1] == "general" else 1.0
    continues = len(question.split()) <= _MOST_WORDS_CONTINUING and wording.CONTINUES.search(question)
    return {
        "last_route": last,
        "follows": last * found.strength.follows,
        "continues": last * bool(continues),
        "back_to_ours": max(0.0, -last) * bool(wording.OURS.search(question)),
        "leaves": abs(last) * bool(wording.LEAVES.search(question)),
        "new_notion": abs(last) * bool(wording.NOTION.search(question)),
    }


def _together(told: Features) -> dict[str, float]:
    """What means something else where nothing ties the question to here, or where it names a technology."""
    pointed = max(told["where"], told["it"], told["this"])
    ours = float(told["code_names"] > told["names_library"] + told["names_unknown"])
    untied = 1.0 - max(pointed, ours, *(told[name] for name in ("here", "repository", "meta")))
    technology = max(told["language"], told["tool"])
    return {
        "untied": untied,
        "loose_technology": technology * untied,
        "loose_notion": max(told["notion"], told["works"]) * untied,
        "own_notion": max(told["notion"], told["works"]) * told["called"],
        "plain_task": told["task"] * (1.0 - technology),
        "technology_task": told["task"] * technology,
        "technology_wish": told["wish"] * technology * untied,
        "loose_difference": told["difference"] * untied,
        "returns": max(0.0, -told["last_route"]) * max(told["here"], told["repository"]),
        "tied_overview": told["is_overview"] * (1.0 - untied),
    }


def phrases(question: str, words: frozenset[str]) -> set[str]:
    """The runs of one to three words in the question's prose, `*` for what isn't in `words`; ^ begins and $ ends it."""
    spoken = re.findall(r"\w+|[?`]", prose_of(question).lower())[:_MOST_WORDS]
    masked = ["^", *("#" if any(map(str.isdigit, word)) else word if word in words else "*" for word in spoken), "$"]
    return set(_runs(masked))


def _runs(words: Sequence[str]) -> Iterator[str]:
    for length in range(1, _LONGEST_PHRASE + 1):
        for start in range(len(words) - length + 1):
            yield " ".join(words[start : start + length])
