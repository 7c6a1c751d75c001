"""A syntax tree, read through its language's query: definitions with qualified names, references, comments.

Nothing here walks a tree in Python: the query engine does, and what it captures is put in order by position. So a file's
cost is the number of its names, not of its nodes, and nesting costs no stack. Two limits keep hostile files cheap: the
query engine does not look below MAX_NODE_DEPTH, and definitions nested deeper than MAX_DEPTH are not told apart.

A qualified name is made of the names of the enclosing definitions and scopes (Rust's `impl`, Go's receiver), joined by
dots whatever the language writes (`std::vector` is `std.vector`, Lua's `M:f` is `M.f`). A test that has a title instead of
a name (`it("closes twice", …)`) is a scope whose symbol is the path of titles that leads to it; nothing is qualified by it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import accumulate
from typing import NamedTuple

from tree_sitter import Node, Parser, QueryCursor, Tree

from indexer.c_macros import without_macros
from indexer.comments import HEADER_CHARACTERS, plain_comment
from indexer.languages import Language, grammar, not_called, query
from indexer.references import MAX_NAME, Captured, is_plain_name, references_of
from indexer.types import Definition, Reference

MAX_DEPTH = 24
MAX_NODE_DEPTH = 1000

# A function directly inside one of these is a method.
_TYPE_KINDS = frozenset({"class", "interface", "struct", "trait", "enum", "impl", "extension", "object", "record", "protocol"})
_SEPARATORS = re.compile(r"\s*(?:::|->|[:#\\.])\s*")
_WORD_START = re.compile(r"[:@$~*&\\]*\w")
_OPERATOR = re.compile(r"\boperator(?=\W)")  # C++: what follows is no type argument and no separator
_GENERIC = re.compile(r"<[^<>]*>|\[[^\[\]]*\]")


class Block(NamedTuple):
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
    """A definition or scope before it has its place: byte range, rows from 0, the name's row and text.

    end is where the tree says; end_row is that of the last line that is neither blank nor a comment.
    """

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
    references: Captured = field(default_factory=dict)
    comments: list[Node] = field(default_factory=list)
    leading: list[Node] = field(default_factory=list)
    docstring: Node | None = None


WEAK_KINDS = frozenset({"variable", "constant", "field", "property", "prototype"})


def read_syntax(language: Language, data: bytes) -> Syntax:
    """Definitions, references and blocks of `data` (UTF-8, line ends "\\n") in a language whose reader is "code"."""
    lines = data.split(b"\n")
    readable = without_macros(data) if language.name in ("c", "cpp") else data
    captured = _capture(language, Parser(grammar(language)).parse(readable), data)
    _trim_ends(captured, data, lines)
    leading = _leading_rows([*captured.comments, *captured.leading], lines)
    _cut_heads(captured)
    items = sorted(captured.items.values(), key=lambda item: (item.start, -item.end, item.pattern))
    if language.clauses:
        items = _joined_clauses(items)
    placed = list(_placed(items, leading, lines))
    defining = {start for start, item in captured.items.items() if not item.scope}
    return Syntax(
        definitions=tuple(definition for definition, _ in placed if definition),
        references=references_of(captured.references, defining, data, _line_starts(lines), not_called(language)),
        blocks=tuple(block for _, block in placed),
        header=_header(captured, items, data, lines),
    )


def _cut_heads(captured: _Captured) -> None:
    """A function begins after the definitions before its name: they are in it only because the grammar lost its way."""
    ends = sorted((item.start, item.end) for item in captured.items.values())
    for name_start, item in captured.items.items():
        if item.kind not in ("function", "method"):
            continue
        inside = ends[bisect_right(ends, (item.start, item.end)) : bisect_right(ends, (name_start, 0))]
        if any(item.start < start and end <= name_start for start, end in inside):
            item.start, item.start_row = name_start, item.name_row


def _trim_ends(captured: _Captured, data: bytes, lines: list[bytes]) -> None:
    """Where layout ends a definition, a grammar may let it reach over the comments of the next one: take those away."""
    too_long = [item for item in captured.items.values() if data[item.end - 1 : item.end].isspace()]
    if not too_long:
        return
    comments = {node.end_byte: node.start_byte for node in captured.comments}
    starts = _line_starts(lines)
    for item in too_long:
        end = item.end
        while end > item.start:
            while end > item.start and data[end - 1 : end].isspace():
                end -= 1
            if (comment := comments.get(end, -1)) <= item.start:
                break
            end = comment
        item.end_row = max(item.name_row, bisect_right(starts, max(end - 1, item.start)) - 1)


def _capture(language: Language, tree: Tree, data: bytes) -> _Captured:
    """Run the query. Where several patterns capture one name, the widest range and the first pattern's kind hold."""
    captured = _Captured()
    references = captured.references
    roles = _roles(language)
    cursor = QueryCursor(query(language))
    cursor.set_max_start_depth(MAX_NODE_DEPTH)
    for pattern, captures in cursor.matches(tree.root_node):
        for capture, nodes in captures.items():
            role, kind = roles[capture]
            if role == "reference":  # most of them
                for node in nodes:
                    start, end = node.byte_range
                    known = references.get(start)
                    if known is None or pattern < known[0]:
                        references[start] = pattern, kind, end
            elif role in ("definition", "scope"):
                _capture_item(captured, pattern, role, kind, nodes[0], captures, data)
            elif role == "comment":
                captured.comments.extend(nodes)
            elif role == "leading":
                captured.leading.extend(nodes)
            elif role == "docstring" and captured.docstring is None:
                captured.docstring = nodes[0]
    return captured


@cache
def _roles(language: Language) -> dict[str, tuple[str, str]]:
    """By the name of each capture of the language's query: ("definition", "class") of "definition.class"."""
    compiled = query(language)
    names = map(compiled.capture_name, range(compiled.capture_count))
    return {name: (role, kind) for name in names for role, _, kind in [name.partition(".")]}


def _line_starts(lines: list[bytes]) -> list[int]:
    """Where each line begins, and where one more would."""
    return [length + row for row, length in enumerate(accumulate(map(len, lines), initial=0))]


def _capture_item(
    captured: _Captured, pattern: int, role: str, kind: str, node: Node, captures: dict[str, list[Node]], data: bytes
) -> None:
    named = captures["name"][0]
    name = _title(_name(data, named)) if kind == "test" else _normal(_name(data, named))
    if "receiver" in captures:
        name = f"{_normal(_name(data, captures['receiver'][0]))}.{name}"
    if not name.strip("."):
        return
    item = _Item(
        node.start_byte,
        node.end_byte,
        node.start_point.row,
        _last_row(node),
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


def _last_row(node: Node) -> int:
    """The row of a node's last character, where that may be a line end."""
    row, column = node.end_point
    return row - 1 if column == 0 and row > node.start_point.row else row


def _name(data: bytes, node: Node) -> str:
    return data[node.start_byte : min(node.end_byte, node.start_byte + MAX_NAME)].decode("utf-8", "ignore").strip()


def _normal(name: str) -> str:
    """A name as symbol paths write it: without type arguments, its parts joined by dots. Operators stay as they are."""
    if is_plain_name(name):
        return name
    name = (name[1:] if name.startswith('@"') else name).strip("\"'`")
    if not _WORD_START.match(name):
        return " ".join(name.split())
    operator = _OPERATOR.search(name)
    name, sign = (name[: operator.start()], name[operator.start() :]) if operator else (name, "")
    while (shorter := _GENERIC.sub("", name)) != name:
        name = shorter
    name = name.partition("<")[0]  # what MAX_NAME has cut in the middle of its arguments
    name = _SEPARATORS.sub(".", name.replace(".prototype.", ".")).lstrip(".")
    return " ".join(f"{name}{sign}".split()).rstrip(".")


def _title(text: str) -> str:
    """What a test is called, without the marks around it."""
    if text.startswith("("):  # C's TEST(suite, name)
        text = text[1:].removesuffix(")")
    return " ".join(text.strip("\"'`").split())


def _leading_rows(nodes: list[Node], lines: list[bytes]) -> dict[int, int]:
    """For the last row of each comment, attribute or signature that stands on rows of its own: its first row."""
    rows: dict[int, int] = {}
    for node in nodes:
        (first, column), (last, end_column) = node.start_point, node.end_point
        if last != (row := _last_row(node)):
            last, end_column = row, len(lines[row])
        if not lines[first][:column].strip() and not lines[last][end_column:].strip():
            rows[last] = min(first, rows.get(last, first))
    return rows


def _joined_clauses(items: list[_Item]) -> list[_Item]:
    """Items that follow each other at one level with one name and kind become one that reaches over all of them."""
    joined: list[_Item] = []
    enclosing: list[_Item] = []
    for item in items:
        elder: _Item | None = None
        while enclosing and not _encloses(enclosing[-1], item):
            elder = enclosing.pop()
        if elder and not elder.scope and (elder.name, elder.kind) == (item.name, item.kind):
            elder.end, elder.end_row = item.end, item.end_row
            enclosing.append(elder)
        else:
            joined.append(item)
            enclosing.append(item)
    return joined


def _placed(items: list[_Item], leading: dict[int, int], lines: list[bytes]) -> Iterator[tuple[Definition | None, Block]]:
    """Give every item its qualified name from the items that enclose it, and its block the lines that lead to it."""
    enclosing: list[_Place] = []
    for item in items:
        while enclosing and not _encloses(enclosing[-1].item, item):
            enclosing.pop()
        if len(enclosing) >= MAX_DEPTH:
            continue
        place = _place(item, enclosing[-1] if enclosing else None)
        enclosing.append(place)
        symbol = place.symbol
        kind = "method" if item.kind == "function" and place.in_type else item.kind
        start_row = _with_leading(item.start_row, leading)
        block = Block(start_row + 1, item.end_row + 1, symbol, kind, kind in WEAK_KINDS)
        if item.scope:
            yield None, block
            continue
        signature = lines[item.name_row].strip()[:MAX_NAME].decode("utf-8", "ignore")
        name = symbol.rpartition(".")[2] or symbol
        yield Definition(name, symbol, kind, item.name_row + 1, start_row + 1, item.end_row + 1, signature), block


@dataclass(frozen=True, slots=True)
class _Place:
    """symbol: the item's own path. prefix: what qualifies the definitions inside it. in_type: stands directly in a type."""

    item: _Item
    symbol: str
    prefix: str
    in_type: bool


def _place(item: _Item, parent: _Place | None) -> _Place:
    in_type = parent is not None and parent.item.kind in _TYPE_KINDS
    if item.kind == "test":
        symbol = f"{parent.symbol} > {item.name}" if parent else item.name
        return _Place(item, symbol, parent.prefix if parent else "", in_type)
    prefix = parent.prefix if parent else ""
    if parent and item.kind == "property" and parent.item.kind in ("method", "constructor"):
        prefix = prefix.rpartition(".")[0]  # PHP's promoted parameters are properties of the class
    symbol = f"{prefix}.{item.name}" if prefix else item.name
    return _Place(item, symbol, symbol, in_type)


def _encloses(outer: _Item, inner: _Item) -> bool:
    return inner.end <= outer.end and (outer.start, outer.end) != (inner.start, inner.end)


def _with_leading(row: int, leading: dict[int, int]) -> int:
    """The first row of the comments and attributes that stand right above `row`."""
    while row - 1 in leading:
        row = leading[row - 1]
    return row


def _header(captured: _Captured, items: list[_Item], data: bytes, lines: list[bytes]) -> str:
    """The docstring, or the first comment up to the first definition's own that says something, without its marks."""
    if captured.docstring is not None:
        return plain_comment(_text(captured.docstring, data))
    first_row = min((item.start_row for item in items if item.kind not in WEAK_KINDS), default=1 << 60)
    block: list[str] = []
    last_row = -2
    for node in sorted(captured.comments, key=lambda node: node.start_byte):
        row, column = node.start_point
        if row > first_row:
            break
        if lines[row][:column].strip():
            continue  # a remark on the code before it
        if row > last_row + 1:
            if header := plain_comment("".join(block)):
                return header
            block = []
        block.append(_text(node, data).removesuffix("\n") + "\n")
        last_row = _last_row(node)
    return plain_comment("".join(block))


def _text(node: Node, data: bytes) -> str:
    return data[node.start_byte : min(node.end_byte, node.start_byte + 2 * HEADER_CHARACTERS)].decode("utf-8", "ignore")
