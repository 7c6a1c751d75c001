"""Write assistant/language_terms.json: the keywords and constructs of each language that has a tree-sitter grammar.

python -m benchmarks.language_terms
"""

from __future__ import annotations

import json
import re

from assistant.language_terms import TERMS
from indexer.languages import LANGUAGES, Language, grammar


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What a grammar adds to a construct's name to tell in which place it stands.
_PLACES = _words("""
expression statement declaration definition list item literal clause pattern type block specifier body declarator parameter
parameters modifier operator expr decl stmt op
""")
# Keywords and constructs that are more often meant in their ordinary sense.
_ORDINARY = _words("""
add all and any as at body by case class command default do else end error exit file for from function get how if in is it key
list match method module name new not object of on only option or out package path print program record return set string test
the then this to type use value what when where while with
""")


def terms_of(language: Language) -> dict[str, list[str]]:
    kinds = grammar(language)
    keywords, constructs = set[str](), set[str]()
    for kind in range(kinds.node_kind_count):
        name = kinds.node_kind_for_id(kind) or ""
        if kinds.node_kind_is_named(kind):
            words = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower().strip("_").split("_")
            constructs |= {" ".join(words), " ".join(words[:-1] if words[-1] in _PLACES else words)}
        elif re.fullmatch("[a-z]{3,}", name):
            keywords.add(name)
    return {"keywords": sorted(keywords - _ORDINARY), "constructs": sorted(constructs - _ORDINARY - {""})}


def as_json() -> str:
    told = {name: terms_of(language) for name, language in sorted(LANGUAGES.items()) if language.reader == "code"}
    return json.dumps(told, indent=0) + "\n"


if __name__ == "__main__":
    TERMS.write_text(as_json(), encoding="utf-8")
