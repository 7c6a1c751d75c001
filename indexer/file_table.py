"""What is known of every file whatever is asked, as arrays that are mapped and not read: a search looks at the rows of its
candidates and asks no database.

    files          FILE (n + 1)            a row a file id; row 0 is nobody's
    stem_text      uint8                   the stems of all paths, each once and sorted, ended by "\\n", as UTF-8
    stem_hashes    uint64                  the term of each stem
    names, places  Ragged of uint32        by file, the stems that it goes by, and those of its whole path
    uses           Ragged of uint32        by file, the files whose definitions it names
    imports        uint64                  pairs of files of which one imports the other (indexer.file_uses)
    passed_on      Ragged of uint32        by file, the files whose definitions it passes on

`tabulate` makes the arrays from a finished build, and `indexer.lexical_index` keeps them in `words.bin`.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from indexer.file_traits import traits_of
from indexer.file_uses import FileUses, folder_numbers
from indexer.term_counts import term_hash
from indexer.tokens import word_stems

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMBER = np.dtype("<u4")
# folder_number: the same for all files of a folder; referred: how much other files use what it defines; main and folder: how
# much of all such uses goes to its top folder and to its own, as shares of the most used one.
FILE = np.dtype(
    [("lines", "<u4"), ("folder_number", "<u4"), ("referred", "<f8"), ("main", "<f8"), ("folder", "<f8")]
    + [(kind, "?") for kind in ("test", "documentation", "example", "prose")]
)

# Two stems are taken for one word when one begins with the other and has at least this many letters: read and reader.
_SHORTEST_PREFIX = 4


class FileRow(NamedTuple):
    path: str
    language: str
    lines: int


def tabulate(files: Sequence[FileRow], uses_of_files: FileUses) -> dict[str, NDArray[Any]]:
    """The arrays of a FileTable. files: those with the ids 1, 2, 3, …"""
    traits = [traits_of(file.path, file.language) for file in files]
    rows = np.zeros(len(files) + 1, dtype=FILE)
    rows["lines"][1:] = [file.lines for file in files]
    rows["folder_number"][1:] = folder_numbers(file.path for file in files)
    for kind in ("test", "documentation", "example", "prose"):
        rows[kind][1:] = [getattr(each, kind) for each in traits]
    stems = sorted(set().union(*(each.name | each.place for each in traits)))
    number_of = {stem: number for number, stem in enumerate(stems)}
    text = "".join(f"{stem}\n" for stem in stems).encode("utf-8", "surrogatepass")
    arrays = {
        "files": rows,
        "stem_text": np.frombuffer(text, dtype=np.uint8),
        "stem_hashes": np.array([term_hash(stem) for stem in stems], dtype="<u8"),
        **_ragged("names", [sorted(number_of[stem] for stem in each.name) for each in traits]),
        **_ragged("places", [sorted(number_of[stem] for stem in each.place) for each in traits]),
    }
    uses, imports, passed_on = uses_of_files
    rows["referred"] = np.bincount(uses["used"], uses["weight"], minlength=len(rows))
    referred = rows["referred"][1:].tolist()
    for column, folder_of in (("main", _top_folder), ("folder", _own_folder)):
        rows[column][1:] = _shares([folder_of(file.path) for file in files], [each.test for each in traits], referred)
    return arrays | {
        "uses_starts": _starts(uses["file"], len(rows)),
        "uses_values": uses["used"].astype(NUMBER),
        "imports": imports,
        "passed_on_starts": _starts((passed_on >> np.uint64(32)).astype(NUMBER), len(rows)),
        "passed_on_values": passed_on.astype(NUMBER),
    }


def _starts(files: NDArray[Any], count: int) -> NDArray[Any]:
    """Where the values of each file id begin. files: sorted, one for each value."""
    return np.concatenate([[0], np.cumsum(np.bincount(files, minlength=count))]).astype(NUMBER)


def _ragged(name: str, values: Sequence[Sequence[int]]) -> dict[str, NDArray[Any]]:
    """Values by file id, from 1 on."""
    starts = np.cumsum([0, 0, *map(len, values)])
    return {
        f"{name}_starts": starts.astype(NUMBER),
        f"{name}_values": np.fromiter(chain.from_iterable(values), dtype=NUMBER, count=int(starts[-1])),
    }


def _shares(folders: Sequence[str], tests: Sequence[bool], referred: Sequence[float]) -> list[float]:
    """For each file, how much of the code that others use lies in its folder: 1 for the folder that has most of it."""
    weights: dict[str, float] = defaultdict(float)
    for folder, test, references in zip(folders, tests, referred, strict=True):
        if not test:
            weights[folder] += math.log1p(references)
    most = max(weights.values(), default=0.0) or 1.0
    return [weights.get(folder, 0.0) / most for folder in folders]


@lru_cache(maxsize=20_000)
def _stems_of_folder(name: str) -> tuple[str, ...]:
    return tuple(sorted(set(word_stems(name))))


def _top_folder(path: str) -> str:
    return path.partition("/")[0] if "/" in path else ""


def _own_folder(path: str) -> str:
    return path.rpartition("/")[0]


class Rows(NamedTuple):
    """What some rows of a Ragged hold, one after the other: the place of its row among those asked for, and the value."""

    places: NDArray[np.intp]
    values: NDArray[Any]


class Ragged:
    """Rows of different lengths: row i is values[starts[i] : starts[i + 1]]."""

    def __init__(self, starts: NDArray[Any], values: NDArray[Any]) -> None:
        self._starts, self._values = starts, values

    def rows(self, numbers: NDArray[np.intp]) -> Rows:
        starts = self._starts[numbers].astype(np.intp)
        lengths = self._starts[numbers + 1].astype(np.intp) - starts
        ends = np.cumsum(lengths)
        places = np.repeat(np.arange(len(numbers)), lengths)
        return Rows(places, self._values[np.arange(len(places)) + np.repeat(starts - ends + lengths, lengths)])


@dataclass(frozen=True, slots=True, eq=False)
class Meant:
    """What the words of a query mean in paths. stems: those of paths that mean one, sorted; words: (len(stems), words of the
    query) bool, which each of them means."""

    stems: NDArray[np.intp]
    words: NDArray[np.bool_]

    def among(self, values: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        """Which of these stems are meant, and where those stand in `stems`."""
        if not len(self.stems):
            return np.zeros(len(values), dtype=bool), np.zeros(0, dtype=np.intp)
        places = np.minimum(np.searchsorted(self.stems, values), len(self.stems) - 1)
        held = self.stems[places] == values
        return held, places[held]


class FileTable:
    """arrays: as `tabulate` makes them; rarity: the inverse document frequency of each of some terms. Threads may share it."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], rarity: Callable[[NDArray[np.uint64]], NDArray[np.float64]]) -> None:
        self.files = arrays["files"]
        self.names = Ragged(arrays["names_starts"], arrays["names_values"])
        self.places = Ragged(arrays["places_starts"], arrays["places_values"])
        self.uses = Ragged(arrays["uses_starts"], arrays["uses_values"])
        self.imports = arrays["imports"]
        self.passed_on = Ragged(arrays["passed_on_starts"], arrays["passed_on_values"])
        self.rarity = rarity(arrays["stem_hashes"])
        self._stems = arrays["stem_text"].tobytes().decode("utf-8", "surrogatepass").split("\n")[:-1]

    @property
    def size(self) -> int:
        """How many files there are."""
        return len(self.files) - 1

    def stems_of(self, folders: Sequence[str]) -> Rows:
        """The stems of the names of folders that are here, by the place of each among those asked for."""
        numbers = {name: [bisect_left(self._stems, stem) for stem in _stems_of_folder(name)] for name in set(folders)}
        places = [place for place, name in enumerate(folders) for _ in numbers[name]]
        return Rows(np.array(places, np.intp), np.array([number for name in folders for number in numbers[name]], np.intp))

    def meant_by(self, words: Iterable[str]) -> Meant:
        """Which stems of paths are the same word as one of these stems."""
        meant: dict[int, list[int]] = defaultdict(list)
        known = list(words)
        for number, word in enumerate(known):
            for stem in self._same(word):
                meant[stem].append(number)
        stems = sorted(meant)
        held = np.zeros((len(stems), len(known)), dtype=bool)
        for row, stem in enumerate(stems):
            held[row, meant[stem]] = True
        return Meant(np.array(stems, dtype=np.intp), held)

    def _same(self, word: str) -> Iterable[int]:
        """The stems that begin with the word, and those that it begins with."""
        stems = self._stems
        first = bisect_left(stems, word)
        if len(word) < _SHORTEST_PREFIX:
            return range(first, first + 1) if first < len(stems) and stems[first] == word else ()
        shorter = []
        for length in range(_SHORTEST_PREFIX, len(word)):
            place = bisect_left(stems, word[:length], 0, first)
            if place < first and stems[place] == word[:length]:
                shorter.append(place)
        last = bisect_right(stems, word, first, key=lambda stem: stem[: len(word)])
        return [*shorter, *range(first, last)]
