"""Which language a file is in, and the grammar and query that read it.

A language is told by the file's name, then by its `#!` line. Twenty languages have a tree-sitter grammar and a query in
`queries/`; Markdown, reStructuredText and notebooks have readers of their own (prose.py); everything else is text that
is cut by lines, and its name here only serves the page's colours.

Grammars come from tree-sitter-language-pack, whose 0.13 carries them inside the wheel. They and the queries are compiled on
first use, once a process. The query vocabulary is described in `queries/README.md`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Literal, cast

from tree_sitter import Language as Grammar
from tree_sitter import Query
from tree_sitter_language_pack import SupportedLanguage, get_language

QUERIES = Path(__file__).resolve().parent / "queries"

Reader = Literal["code", "markdown", "rst", "notebook", "lines"]


@dataclass(frozen=True, slots=True)
class Language:
    """name: what the index and the page show. grammar: tree-sitter-language-pack's name, or "" where none is used.

    clauses: neighbouring definitions of one name are one (Haskell's equations, Elixir's clauses).
    """

    name: str
    reader: Reader = "lines"
    grammar: str = ""
    clauses: bool = False


TEXT = Language("text")

_CODE = {
    "python": ".py .pyi .pyw",
    "javascript": ".js .mjs .cjs .jsx",
    "typescript": ".ts .mts .cts",
    "tsx": ".tsx",
    "go": ".go",
    "rust": ".rs",
    "java": ".java",
    "c": ".c",
    "cpp": ".cc .cpp .cxx .c++ .hh .hpp .hxx .h++ .ipp .inl .tpp .ixx .cppm .cu .cuh",
    "csharp": ".cs .csx",
    "ruby": ".rb .rake .gemspec .ru",
    "php": ".php .phtml",
    "kotlin": ".kt .kts",
    "swift": ".swift",
    "scala": ".scala .sc .sbt",
    "bash": ".sh .bash .bats .zsh .ksh",
    "lua": ".lua",
    "elixir": ".ex .exs",
    "haskell": ".hs",
    "zig": ".zig",
}

_LINES = {
    "batch": ".bat .cmd",
    "clojure": ".clj .cljs .cljc .edn",
    "cmake": ".cmake",
    "css": ".css",
    "csv": ".csv .tsv",
    "dart": ".dart",
    "diff": ".diff .patch",
    "erlang": ".erl .hrl",
    "fsharp": ".fs .fsx .fsi",
    "graphql": ".graphql .gql",
    "groovy": ".groovy .gradle",
    "haml": ".haml",
    "heex": ".eex .heex .leex",
    "html": ".html .htm .xhtml .j2 .jinja",
    "erb": ".erb",
    "ini": ".ini .cfg .conf .properties .editorconfig",
    "json": ".json .jsonc .json5 .webmanifest",
    "julia": ".jl",
    "latex": ".tex .sty",
    "less": ".less",
    "lhs": ".lhs",
    "nim": ".nim",
    "nix": ".nix",
    "objective-c": ".m .mm",
    "ocaml": ".ml .mli",
    "perl": ".pl .pm .t",
    "powershell": ".ps1 .psm1 .psd1",
    "protobuf": ".proto",
    "r": ".r",
    "scss": ".scss .sass",
    "sql": ".sql",
    "svelte": ".svelte",
    "swig": ".i",
    "terraform": ".tf .tfvars .hcl",
    "toml": ".toml",
    "vim": ".vim",
    "vue": ".vue",
    "xml": ".xml .svg .xsd .xsl .csproj .props .targets .plist .resx",
    "yaml": ".yaml .yml",
}

_NAMES = {
    "bash": ".bashrc .bash_profile .profile .zshrc PKGBUILD",
    "cmake": "CMakeLists.txt",
    "docker": "Dockerfile Containerfile",
    "go-module": "go.mod go.work",
    "groovy": "Jenkinsfile",
    "make": "Makefile makefile GNUmakefile",
    "python": "SConstruct SConscript wscript",
    "ruby": "Rakefile Gemfile Vagrantfile Guardfile Podfile Fastfile Brewfile",
    "toml": "Pipfile Cargo.lock poetry.lock uv.lock",
}

_GRAMMARS = {"csharp": "csharp"}  # a language whose grammar has another name would stand here
_CLAUSES = {"haskell", "elixir"}


def _table() -> dict[str, Language]:
    languages = {name: Language(name, "code", _GRAMMARS.get(name, name), clauses=name in _CLAUSES) for name in _CODE} | {
        name: Language(name) for name in [*_LINES, *_NAMES] if name not in _CODE
    }
    languages["markdown"] = Language("markdown", "markdown", "markdown")
    languages["rst"] = Language("rst", "rst", "rst")
    languages["notebook"] = Language("notebook", "notebook")
    return languages


LANGUAGES = _table()
_BY_SUFFIX = {suffix: LANGUAGES[name] for table in (_CODE, _LINES) for name, row in table.items() for suffix in row.split()} | {
    ".md": LANGUAGES["markdown"],
    ".markdown": LANGUAGES["markdown"],
    ".mdx": LANGUAGES["markdown"],
    ".rst": LANGUAGES["rst"],
    ".ipynb": LANGUAGES["notebook"],
}
_BY_NAME = {file_name: LANGUAGES[name] for name, row in _NAMES.items() for file_name in row.split()}
_INTERPRETERS = {
    "python": "python",
    "pypy": "python",
    "sh": "bash",
    "bash": "bash",
    "dash": "bash",
    "ksh": "bash",
    "zsh": "bash",
    "bats": "bash",
    "node": "javascript",
    "deno": "typescript",
    "bun": "typescript",
    "ruby": "ruby",
    "php": "php",
    "lua": "lua",
    "luajit": "lua",
    "elixir": "elixir",
    "perl": "perl",
    "runghc": "haskell",
    "runhaskell": "haskell",
}
_VERSION = re.compile(r"[\d.]+$")
_CPP_LINE = re.compile(r"^\s*(?:class|namespace|template|using|public:|private:|protected:)\b", re.MULTILINE)
_CPP_NAME = re.compile(r"\w::\w")


def language_of(path: str, text: str) -> Language:
    """The language of the file at `path` whose text (its beginning is enough) is `text`; TEXT when nothing tells."""
    name = path.rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    suffix = dot + ending.lower() if stem else ""
    if suffix == ".h":
        return LANGUAGES["cpp" if _is_cpp(text[:100_000]) else "c"]
    if language := _BY_NAME.get(name) or _BY_SUFFIX.get(suffix):
        return language
    if name.startswith(("Dockerfile", "Containerfile")):
        return LANGUAGES["docker"]
    return _by_shebang(text)


def _is_cpp(header: str) -> bool:
    return bool(_CPP_LINE.search(header) or ("::" in header and _CPP_NAME.search(header)))


def _by_shebang(text: str) -> Language:
    if not text.startswith("#!"):
        return TEXT
    words = [word for word in text[2:200].split("\n", 1)[0].split() if not word.startswith("-") and "=" not in word]
    programs = [PurePosixPath(word).name for word in words[:2]]
    name = programs[1] if programs[:1] == ["env"] and len(programs) > 1 else programs[0] if programs else ""
    return LANGUAGES.get(_INTERPRETERS.get(_VERSION.sub("", name), ""), TEXT)


@cache
def grammar(language: Language) -> Grammar:
    """The compiled grammar of a language that has one."""
    return get_language(cast(SupportedLanguage, language.grammar))


@cache
def query(language: Language) -> Query:
    """The compiled query of a language whose reader is "code"."""
    return Query(grammar(language), _query_text(language.name))


@cache
def not_called(language: Language) -> frozenset[str]:
    """What a `@reference.bare` may stand on that is a word of the language and no name. Not told by the query, whose predicates
    cost as much as all the rest of it."""
    first = re.match(r"; not called: (.+)\n", _query_text(language.name))
    return frozenset(first[1].split()) if first else frozenset()


def _query_text(name: str) -> str:
    """The text of `queries/NAME.scm`, before the text of the query that its first line inherits."""
    text = (QUERIES / f"{name}.scm").read_text(encoding="utf-8")
    inherited = re.match(r"; inherits: (\w+)\n", text)
    return f"{text}\n{_query_text(inherited[1])}" if inherited else text
