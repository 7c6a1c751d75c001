"""A syntax tree, read through its language's query: definitions with qualified names, references, comments.

Nothing here walks a tree in Python: the query engine does, and what it captures is put in order by position. So a file's
cost is the number of its names, not of its nodes, and nesting costs no stack. Two limits keep hostile files cheap: the
query engine does not look below MAX_NODE_DEPTH, and definitions nested deeper than MAX_DEPTH are not told apart.

A qualified name is made of the names of the enclosing definitions and scopes (Rust's `impl`, Go's receiver), joined by
dots whatever the language writes (`std::vector` is `std.vector`, Lua's `M:f` is `M.f`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tree_sitter import Node, Parser, QueryCursor, Tree

from indexer.languages import Language, grammar, query
from indexer.types import Definition, Reference

MAX_DEPTH = 24
MAX_NODE_DEPTH = 1000
MAX_NAME = 200
HEADER_CHARACTERS = 1500

# A function directly inside one of these is a method.
_TYPE_KINDS = frozenset({"class", "interface", "struct", "trait", "enum", "impl", "extension", "object", "record", "protocol"})
_SEPARATORS = re.compile(r"\s*(?:::|->|[:#\\/.])\s*")
_GENERIC = re.compile(r"<[^<>]*>|\[[^\[\]]*\]")
_LICENCE = re.compile(
    r"copyright|licen[sc]ed? (?:under|to)|spdx-license|all rights reserved|permission is hereby|apache license|mit license",
    re.IGNORECASE,
)
_COMMENT_MARKS = re.compile(
    r"^[ \t]*(?:/\*+!?|\*+/|//[/!]?|\*|#+!?|--+\[*\|?|\{-\|?|;+|%+|\"\"\"|''')?[ \t]?|[ \t]*(?:\*/|-\}|\"\"\"|''')[ \t]*$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of lines that a chunk should not cut without need. Lines from 1, both ends included.

    named: whether it is a definition; a bare scope (a Rust `impl`) has a symbol but defines nothing.
    weak: a variable, field or the like, which names a chunk only if nothing else does.
    """

    start_line: int
    end_line: int
    symbol: str
    kind: str
    weak: bool = False


@dataclass(frozen=True, slots=True)
class Syntax:
    """What one file's tree holds. `blocks` are in order of their start, enclosing ones before what they enclose."""

    definitions: tuple[Definition, ...] = ()
    references: tuple[Reference, ...] = ()
    blocks: tuple[Block, ...] = ()
    header: str = ""


@dataclass(slots=True)
class _Item:
    """A definition or scope before it has its place: byte range, rows from 0, the name's row and text."""

    start: int
    end: int
    start_row: int
    end_row: int
    name_row: int
    name: str
    kind: str
    pattern: int
    scope: bool = False


@dataclass(slots=True)
class _Captured:
    items: dict[int, _Item] = field(default_factory=dict)
    references: dict[tuple[int, str, str], None] = field(default_factory=dict)
    comments: list[Node] = field(default_factory=list)
    leading: list[Node] = field(default_factory=list)
    docstring: Node | None = None


WEAK_KINDS = frozenset({"variable", "constant", "field", "property", "import"})


def read_syntax(language: Language, data: bytes) -> Syntax:
    """Definitions, references and blocks of `data` (UTF-8, line ends "\\n") in a language whose reader is "code"."""
    lines = data.split(b"\n")
    captured = _capture(language, Parser(grammar(language)).parse(data), data)
    leading = _leading_rows([*captured.comments, *captured.leading], lines)
    items = sorted(captured.items.values(), key=lambda item: (item.start, -item.end, item.pattern))
    if language.clauses:
        items = list(_joined_clauses(items))
    placed = list(_placed(items, leading, lines))
    return Syntax(
        definitions=tuple(definition for definition, _ in placed if definition),
        references=tuple(Reference(name, row + 1, kind) for row, name, kind in sorted(captured.references)),
        blocks=tuple(block for _, block in placed),
        header=_header(captured, items),
    )


def _capture(language: Language, tree: Tree, data: bytes) -> _Captured:
    """Run the query. Where several patterns capture one name, the widest range and the first pattern's kind hold."""
    captured = _Captured()
    cursor = QueryCursor(query(language))
    cursor.set_max_start_depth(MAX_NODE_DEPTH)
    for pattern, captures in cursor.matches(tree.root_node):
        for capture, nodes in captures.items():
            role, _, kind = capture.partition(".")
            if role == "reference":
                for node in nodes:
                    captured.references[node.start_point.row, _name(data, node), kind] = None
            elif role in ("definition", "scope"):
                _capture_item(captured, pattern, role, kind, nodes[0], captures, data)
            elif role == "comment":
                captured.comments.extend(nodes)
            elif role == "leading":
                captured.leading.extend(nodes)
            elif role == "docstring" and captured.docstring is None:
                captured.docstring = nodes[0]
    return captured


def _capture_item(
    captured: _Captured, pattern: int, role: str, kind: str, node: Node, captures: dict[str, list[Node]], data: bytes
) -> None:
    named = captures["name"][0]
    name = _normal(_name(data, named))
    if "receiver" in captures:
        name = f"{_normal(_name(data, captures['receiver'][0]))}.{name}"
    if not name.strip("."):
        return
    last_row = node.end_point.row - (1 if node.end_point.column == 0 and node.end_point.row > node.start_point.row else 0)
    item = _Item(
        node.start_byte,
        node.end_byte,
        node.start_point.row,
        last_row,
        named.start_point.row,
        name,
        kind,
        pattern,
        role == "scope",
    )
    known = captured.items.get(named.start_byte)
    if known is None:
        captured.items[named.start_byte] = item
        return
    first, other = (known, item) if known.pattern <= pattern else (item, known)
    wide = known if known.end - known.start >= item.end - item.start else item
    captured.items[named.start_byte] = replace(
        first, start=wide.start, end=wide.end, start_row=wide.start_row, end_row=wide.end_row, scope=first.scope and other.scope
    )


def _name(data: bytes, node: Node) -> str:
    return data[node.start_byte : min(node.end_byte, node.start_byte + MAX_NAME)].decode("utf-8", "ignore").strip()


def _normal(name: str) -> str:
    """A name as symbol paths write it: without type arguments, its parts joined by dots."""
    if name.isidentifier():
        return name
    if "<" in name or "[" in name:
        name = _GENERIC.sub("", name)
    return " ".join(_SEPARATORS.sub(".", name.strip("\"'`")).strip(".").split())


def _leading_rows(nodes: list[Node], lines: list[bytes]) -> dict[int, int]:
    """For the last row of each comment, attribute or signature that stands on rows of its own: its first row."""
    rows: dict[int, int] = {}
    for node in nodes:
        (first, column), (last, end_column) = node.start_point, node.end_point
        if end_column == 0 and last > first:
            last, end_column = last - 1, len(lines[last - 1])
        if not lines[first][:column].strip() and not lines[last][end_column:].strip():
            rows[last] = min(first, rows.get(last, first))
    return rows


def _joined_clauses(items: list[_Item]) -> Iterator[_Item]:
    """Neighbouring items of one name and kind that follow each other as one item."""
    previous: _Item | None = None
    for item in items:
        if previous is None:
            previous = item
        elif (item.name, item.kind) == (previous.name, previous.kind) and item.start >= previous.end:
            previous = replace(previous, end=item.end, end_row=item.end_row)
        else:
            yield previous
            previous = item
    if previous:
        yield previous


def _placed(items: list[_Item], leading: dict[int, int], lines: list[bytes]) -> Iterator[tuple[Definition | None, Block]]:
    """Give every item its qualified name from the items that enclose it, and its block the lines that lead to it."""
    enclosing: list[tuple[_Item, str]] = []
    for item in items:
        while enclosing and not _encloses(enclosing[-1][0], item):
            enclosing.pop()
        if len(enclosing) >= MAX_DEPTH:
            continue
        parent, prefix = enclosing[-1] if enclosing else (None, "")
        symbol = f"{prefix}.{item.name}" if prefix else item.name
        kind = "method" if item.kind == "function" and _is_method(parent, item) else item.kind
        start_row = _with_leading(item.start_row, leading)
        block = Block(start_row + 1, item.end_row + 1, symbol, kind, kind in WEAK_KINDS)
        enclosing.append((item, symbol))
        if item.scope:
            yield None, block
            continue
        signature = lines[item.name_row].strip()[:MAX_NAME].decode("utf-8", "ignore")
        name = symbol.rpartition(".")[2] or symbol
        yield Definition(name, symbol, kind, item.name_row + 1, start_row + 1, item.end_row + 1, signature), block


def _encloses(outer: _Item, inner: _Item) -> bool:
    return inner.end <= outer.end and (outer.start, outer.end) != (inner.start, inner.end)


def _is_method(parent: _Item | None, item: _Item) -> bool:
    return parent.kind in _TYPE_KINDS if parent else False


def _with_leading(row: int, leading: dict[int, int]) -> int:
    """The first row of the comments and attributes that stand right above `row`."""
    while row - 1 in leading:
        row = leading[row - 1]
    return row


def _header(captured: _Captured, items: list[_Item]) -> str:
    """The docstring, or the first comment up to the first definition's own that is not a licence, without its marks."""
    if captured.docstring is not None:
        return _plain(captured.docstring.text)
    first_row = min((item.start_row for item in items if item.kind not in WEAK_KINDS), default=1 << 60)
    block: list[bytes] = []
    last_row = -2
    for node in sorted(captured.comments, key=lambda node: node.start_byte):
        if node.start_point.row > first_row:
            break
        if node.start_point.row > last_row + 1:
            if _is_header(block):
                break
            block = []
        block.append(node.text or b"")
        last_row = node.end_point.row
    return _plain(b"\n".join(block)) if _is_header(block) else ""


def _is_header(block: list[bytes]) -> bool:
    text = b"\n".join(block).decode("utf-8", "ignore")
    return len(text) > 8 and not text.startswith("#!") and not _LICENCE.search(text)


def _plain(comment: bytes | None) -> str:
    text = _COMMENT_MARKS.sub("", (comment or b"")[: 2 * HEADER_CHARACTERS].decode("utf-8", "ignore"))
    return text.strip()[:HEADER_CHARACTERS]
