"""Cuts a file into chunks along its definitions: each line of the file is in exactly one chunk, in order.

A definition of at most MAX_CHARACTERS is never cut. A bigger one is cut between the definitions inside it, and where there
are none, at the line that is indented least, after a blank line if there is one. What comes out small is joined with its
neighbours under the same parent until TARGET_CHARACTERS is reached, so most chunks have 750 to 1,500 characters, the 32
to 64 lines that small context budgets do best with.

A chunk is called after the one definition that it holds; after the enclosing one where it holds several; at the top of a
file, after the largest. Blank lines belong to the chunk before them. Works on lines alone: no syntax tree reaches this file.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from indexer.syntax import Block
from indexer.types import Chunk

CHUNKER_VERSION = 4
"""Part of every manifest: a snapshot of another version is read again from its sources. Raise it whenever output changes."""

MAX_CHARACTERS = 1500
TARGET_CHARACTERS = 750
TINY_CHARACTERS = 100
LINES_A_CHUNK = 50
LINES_CHARACTERS = 3000
# A rest shorter than this share of the maximum stays with the piece before it.
_REST = 0.2


def split_lines(text: str) -> list[str]:
    """The lines of a text whose line ends are "\\n"; no other character ends a line, and a final "\\n" begins none."""
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return lines


class _Piece(NamedTuple):
    """Lines first to last (from 1) that will be one chunk or part of one. `definitions` are those that it holds whole.

    closed: came out of cutting something bigger, so it is not joined with what surrounds that.
    """

    first: int
    last: int
    size: int
    symbol: str
    kind: str
    definitions: tuple[Block, ...] = ()
    closed: bool = False


@dataclass(slots=True)
class _Node:
    """A block with the blocks inside it, its range clipped so that siblings share no line."""

    block: Block
    first: int
    last: int
    inside: list[_Node] = field(default_factory=list)


def chunk_blocks(text: str, blocks: Sequence[Block], *, kind: str = "module", symbol: str = "") -> tuple[Chunk, ...]:
    """Chunks of a text along `blocks`, which are in order of their start, enclosing ones first (as `Syntax.blocks`).

    What lies outside of any block gets `symbol` and `kind`.
    """
    lines = split_lines(text)
    if not lines:
        return ()
    root = _tree(blocks, Block(1, len(lines), symbol, kind), len(lines))
    cutter = _Cutter(lines)
    return tuple(cutter.chunk(piece) for piece in cutter.cut(root))


def chunk_lines(text: str, *, kind: str = "lines", symbol: str = "") -> tuple[Chunk, ...]:
    """Chunks of about 50 lines, for text that nothing is known of."""
    lines = split_lines(text)
    cutter = _Cutter(lines)
    ranges = cutter.ranges(1, len(lines), LINES_CHARACTERS, LINES_A_CHUNK)
    return tuple(cutter.chunk(_Piece(first, last, 0, symbol, kind)) for first, last in ranges)


def _tree(blocks: Sequence[Block], whole: Block, last_line: int) -> _Node:
    root = _Node(whole, 1, last_line)
    enclosing = [root]
    for block in blocks:
        while len(enclosing) > 1 and block.end_line > enclosing[-1].block.end_line:
            enclosing.pop()
        while len(enclosing) > 1 and block.start_line > enclosing[-1].last:
            enclosing.pop()
        parent = enclosing[-1]
        free = parent.inside[-1].last + 1 if parent.inside else parent.first
        first, last = max(block.start_line, free), min(block.end_line, parent.last)
        if first > last:
            continue  # shares its lines with its elder sibling
        node = _Node(block, first, last)
        parent.inside.append(node)
        enclosing.append(node)
    return root


class _Cutter:
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        # ends[n]: the characters of the first n lines, each with its line end
        self.ends = [length + line_ends for line_ends, length in enumerate(accumulate(map(len, lines), initial=0))]

    def size(self, first: int, last: int) -> int:
        return self.ends[last] - self.ends[first - 1]

    def chunk(self, piece: _Piece) -> Chunk:
        return Chunk(piece.first, piece.last, piece.symbol, piece.kind, "\n".join(self.lines[piece.first - 1 : piece.last]))

    def cut(self, node: _Node) -> list[_Piece]:
        """The pieces of one node, in order and without a gap. Recursion is bounded by syntax.MAX_DEPTH."""
        size = self.size(node.first, node.last)
        if size <= MAX_CHARACTERS and node.block.symbol:
            return [_Piece(node.first, node.last, size, node.block.symbol, node.block.kind, (node.block,))]
        parts: list[_Piece] = []
        free = node.first
        for child in node.inside:
            parts.extend(self._between(node, free, child.first - 1, parts))
            pieces = self.cut(child)
            parts.extend(pieces if len(pieces) == 1 else (piece._replace(closed=True) for piece in pieces))
            free = child.last + 1
        parts.extend(self._between(node, free, node.last, parts))
        return list(_joined(parts, node.block))

    def _between(self, node: _Node, first: int, last: int, before: list[_Piece]) -> Iterator[_Piece]:
        """The lines of a node between its children; blank ones are given to the piece before them."""
        if before:
            begin = first
            while first <= last and not self.lines[first - 1].strip():
                first += 1
            if first > begin:
                before[-1] = before[-1]._replace(last=first - 1, size=before[-1].size + self.size(begin, first - 1))
        if first > last:
            return
        # The lines that hold the node's own head stand for the node itself.
        holds = (node.block,) if node.block.symbol and first == node.first else ()
        for begin, end in self.ranges(first, last, MAX_CHARACTERS, 1 << 30):
            yield _Piece(begin, end, self.size(begin, end), node.block.symbol, node.block.kind, holds)

    def ranges(self, first: int, last: int, characters: int, count: int) -> Iterator[tuple[int, int]]:
        """Cut lines first to last into ranges of at most so many characters and lines (at least one line each)."""
        while first <= last:
            most = bisect_right(self.ends, self.ends[first - 1] + characters, first) - 1
            fits = max(first, min(most, last, first + count - 1))
            rest_characters, rest_lines = self.size(fits + 1, last) if fits < last else 0, last - fits
            if fits == last or (rest_characters <= characters * _REST and rest_lines <= count * _REST):
                yield first, last
                return
            end = self._best_end(first, fits)
            yield first, end
            first = end + 1

    def _best_end(self, first: int, fits: int) -> int:
        """The last line of a range that begins at `first` and may reach to `fits`: where the next one begins best."""
        earliest = first + (fits - first) // 2
        best, best_rank = fits, (1 << 30, True)
        for end in range(fits, earliest - 1, -1):
            following = self.lines[end]
            code = following.lstrip()
            if not code:
                continue
            rank = (len(following) - len(code) + (1 << 20 if code[0] in "})]" else 0), bool(self.lines[end - 1].strip()))
            if rank < best_rank:
                best, best_rank = end, rank
                if best_rank == (0, False):
                    break
        return best


def _joined(parts: Iterable[_Piece], parent: Block) -> Iterator[_Piece]:
    """Join small neighbours; a tiny one joins even what is closed, so that no lone bracket becomes a chunk."""
    current: _Piece | None = None
    for piece in parts:
        if current is None:
            current = piece
        elif _belong_together(current, piece):
            current = _join(current, piece, parent)
        else:
            yield current
            current = piece
    if current:
        yield current


def _belong_together(left: _Piece, right: _Piece) -> bool:
    if min(left.size, right.size) <= TINY_CHARACTERS:
        return left.size + right.size <= MAX_CHARACTERS * (1 + _REST)
    if left.closed or right.closed:
        return False
    return min(left.size, right.size) < TARGET_CHARACTERS and left.size + right.size <= MAX_CHARACTERS


def _join(left: _Piece, right: _Piece, parent: Block) -> _Piece:
    definitions = tuple(dict.fromkeys((*left.definitions, *right.definitions)))
    symbol, kind = _called(definitions, parent)
    return _Piece(left.first, right.last, left.size + right.size, symbol, kind, definitions, left.closed or right.closed)


def _called(definitions: Sequence[Block], parent: Block) -> tuple[str, str]:
    """The symbol and kind of a chunk that holds these definitions of one parent."""
    telling = [block for block in definitions if not block.weak] or list(definitions)
    if len(telling) == 1 and not (telling[0].weak and not parent.symbol and len(definitions) > 1):
        return telling[0].symbol, telling[0].kind
    if not telling or parent.symbol or all(block.weak for block in telling):
        return parent.symbol, parent.kind
    largest = max(telling, key=lambda block: block.end_line - block.start_line)
    return largest.symbol, largest.kind
