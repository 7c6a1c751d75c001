"""Text that is made of headings or cells instead of definitions: Markdown, reStructuredText, notebooks, and plain lines.

Each section becomes a block whose symbol is the path of headings that leads to it ("Install > Linux"), and then
chunker.py cuts sections as it cuts definitions. Prose has no definitions, so headings don't drown the search for symbols.

A notebook's stored text is not its JSON file but its cells, each below a marker line such as `# %% [markdown] cell 3`, which
editors know too; outputs are left out. Its chunks, its definitions and every citation refer to the lines of that text,
because a line of the JSON file tells a reader nothing. What the page shows is the same text, so they always agree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from indexer.chunker import chunk_blocks, split_lines
from indexer.comments import HEADER_CHARACTERS
from indexer.languages import LANGUAGES, Language
from indexer.syntax import Block, read_syntax
from indexer.types import Definition, ParsedFile, Reference

MAX_HEADING = 120
_DEEPEST = 6
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_MARKS_OF_LINES = frozenset("`~#=-")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_MARKS = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|[`*]|<[^<>]*>")
_NOT_TITLE = re.compile(r"\s*(?:[-*+>|]|\d+[.)]|```|~~~|    |\.\. |$)")
_RST_LINE = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[ \t]*$")
_WORDS = re.compile(r"\w[\w'’-]*[ ,]+\w+")
_OPENING_LINES = 60
_MAGIC = re.compile(r"[ \t]*(?:[%!?]|.*\?\s*$)")


@dataclass(frozen=True, slots=True)
class Heading:
    """A section's title: the line on which the section begins (from 1), its level (1 is the highest), its text."""

    line: int
    level: int
    title: str


def read_prose(language: Language, text: str) -> ParsedFile:
    """Read Markdown or reStructuredText."""
    lines = split_lines(text)
    headings = list(markdown_headings(lines) if language.reader == "markdown" else rst_headings(lines))
    blocks = list(section_blocks(headings, len(lines)))
    return ParsedFile(language.name, text, chunk_blocks(text, blocks, kind="section"), header=_opening(lines, headings))


def markdown_headings(lines: Sequence[str]) -> Iterator[Heading]:
    """ATX and setext headings outside of fenced code, front matter and HTML comments."""
    fence = ""
    start = _after_front_matter(lines)
    for number in range(start, len(lines)):
        line = lines[number]
        first = line.lstrip(" ")[:1]
        if first not in _MARKS_OF_LINES:  # which is told four times as fast as by the expressions
            continue
        if mark := _FENCE.match(line):
            if not fence:
                fence = mark[1]
            elif mark[1].startswith(fence) and not line[mark.end() :].strip():
                fence = ""
        elif fence:
            continue
        elif atx := _ATX.match(line):
            yield Heading(number + 1, len(atx[1]), plain_title(atx[2] or ""))
        elif number > start and (setext := _SETEXT.match(line)) and _is_title(lines, number - 1, start):
            yield Heading(number, 1 if setext[1][0] == "=" else 2, plain_title(lines[number - 1]))


def _after_front_matter(lines: Sequence[str]) -> int:
    if lines and lines[0].strip() in ("---", "+++"):
        for number in range(1, min(len(lines), 200)):
            if lines[number].strip() == lines[0].strip():
                return number + 1
    return 0


def _is_title(lines: Sequence[str], number: int, start: int) -> bool:
    """Whether a line can be a setext title: a paragraph of one line that is no list, quote, table or code."""
    above = lines[number - 1] if number > start else ""
    return not _NOT_TITLE.match(lines[number]) and not above.strip()


def rst_headings(lines: Sequence[str]) -> Iterator[Heading]:
    """Titles with an adornment below, or above and below. A level is what its adornment is met as: first met, highest."""
    styles: list[tuple[str, bool]] = []
    for number in range(1, len(lines)):
        below = _RST_LINE.match(lines[number])
        title = lines[number - 1]
        if not below or not title.strip() or _RST_LINE.match(title) or len(lines[number].rstrip()) < len(title.strip()):
            continue
        above = lines[number - 2] if number > 1 else ""
        over = above.rstrip() == lines[number].rstrip()
        if not over and (title[:1].isspace() or above.strip()):
            continue
        style = (below[1], over)
        if style not in styles:
            styles.append(style)
        yield Heading(number - (1 if over else 0), styles.index(style) + 1, plain_title(title))


def plain_title(title: str) -> str:
    """A heading without its markup."""
    return " ".join(_MARKS.sub(lambda match: match[1] or "", title).split())[:MAX_HEADING]


def section_blocks(headings: Sequence[Heading], last_line: int) -> Iterator[Block]:
    """A block for each section, which reaches to the next heading of its level or a higher one."""
    path: list[Heading] = []
    for index, heading in enumerate(headings):
        path = [*(above for above in path if above.level < heading.level), heading][-_DEEPEST:]
        following = (later.line for later in headings[index + 1 :] if later.level <= heading.level)
        yield Block(heading.line, next(following, last_line + 1) - 1, " > ".join(h.title for h in path if h.title), "section")


def _opening(lines: Sequence[str], headings: Sequence[Heading]) -> str:
    """The title and the first paragraph: what a reader takes for the summary."""
    title, start = (headings[0].title, headings[0].line) if headings else ("", 0)
    paragraph: list[str] = []
    fenced = False
    for line in lines[start : start + _OPENING_LINES]:
        fenced ^= bool(_FENCE.match(line))
        if not fenced and _WORDS.match(plain_title(line)):
            paragraph.append(line.strip())
        elif paragraph:
            break
    return "\n".join([title, *paragraph]).strip()[:HEADER_CHARACTERS]


def read_notebook(language: Language, text: str) -> ParsedFile | None:
    """A notebook as the text of its cells; None when it is not a notebook's JSON."""
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError):
        return None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        return None
    return _Notebook(language, [cell for cell in cells if isinstance(cell, dict)], _kernel_language(notebook)).parsed()


def _kernel_language(notebook: dict[str, Any]) -> Language:
    """The language of the code cells; Python where the notebook does not say."""
    metadata = notebook.get("metadata")
    named = metadata.get("language_info") if isinstance(metadata, dict) else None
    name = str(named.get("name", "")).lower() if isinstance(named, dict) else ""
    found = LANGUAGES.get({"c++": "cpp", "c#": "csharp"}.get(name, name or "python"))
    return found if found and found.reader == "code" else LANGUAGES["python"]


class _Notebook:
    def __init__(self, language: Language, cells: Sequence[dict[str, Any]], code: Language) -> None:
        self.language = language
        self.code = code
        self.lines: list[str] = []
        self.code_lines: list[str] = []  # the same lines, with all that is not code left blank
        self.blocks: list[Block] = []
        self.header = ""
        heading = ""
        for number, cell in enumerate(cells, 1):
            heading = self._add(number, cell, heading)

    def _add(self, number: int, cell: dict[str, Any], heading: str) -> str:
        """Add one cell; returns the heading that the cells after it stand under."""
        kind = str(cell.get("cell_type", "code"))
        source = cell.get("source", "")
        content = "".join(map(str, source)) if isinstance(source, list) else str(source)
        # JSON can spell what no text file holds: halves of characters, and NUL.
        content = content.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
        lines = split_lines(content.replace("\r\n", "\n"))
        first = len(self.lines) + 1
        self.lines += [f"# %% [{kind}] cell {number}", *lines]
        is_code = kind == "code" and not content.startswith("%%")
        self.code_lines += ["", *("" if not is_code or _MAGIC.match(line) else line for line in lines)]
        if kind == "markdown":
            found = [found.title for found in markdown_headings(lines) if found.title]
            heading = found[-1] if found else heading
            self.header = self.header or "\n".join(lines).strip()[:HEADER_CHARACTERS]
        self.blocks.append(Block(first, len(self.lines), heading or f"Cell {number}", "cell"))
        return heading

    def parsed(self) -> ParsedFile:
        text = "\n".join(self.lines) + "\n"
        definitions: tuple[Definition, ...] = ()
        references: tuple[Reference, ...] = ()
        if any(self.code_lines):
            syntax = read_syntax(self.code, ("\n".join(self.code_lines) + "\n").encode())
            definitions, references = syntax.definitions, syntax.references
        chunks = chunk_blocks(text, self.blocks, kind="cell")
        return ParsedFile(self.language.name, text, chunks, definitions, references, self.header)
