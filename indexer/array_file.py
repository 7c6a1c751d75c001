"""Named arrays one after the other in one file, written as a stream and read by mapping it.

    array │ array │ … │ footer (JSON: name → [offset, dtype, shape]) │ length of the footer (8 bytes) │ MAGIC

Arrays begin at multiples of 8 bytes and are little-endian. An array can be written in portions, so it may be larger than
memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.errors import SnapshotError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = b"SEXTANT1"
_ALIGNMENT = 8


class ArrayFileWriter:
    """Writes `path`; leaving the context without an error writes the footer, without which nobody can open the file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._footer: dict[str, tuple[int, Any, list[int]]] = {}

    def add(self, name: str, portions: Iterable[NDArray[Any]], dtype: np.dtype[Any]) -> None:
        """One array of rows of `dtype`, in portions."""
        self._file.write(b"\0" * (-self._file.tell() % _ALIGNMENT))
        start, rows = self._file.tell(), 0
        for portion in portions:
            self._file.write(np.ascontiguousarray(portion, dtype=dtype).data.cast("B") if len(portion) else b"")
            rows += len(portion)
        self._footer[name] = (start, _described(dtype), [rows])

    def __enter__(self) -> ArrayFileWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                footer = json.dumps(self._footer).encode()
                self._file.write(footer + len(footer).to_bytes(8, "little") + MAGIC)
        finally:
            self._file.close()


def open_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file, read-only and mapped: what isn't looked at costs nothing. Raises SnapshotError."""
    try:
        data = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
        if data[-8:].tobytes() != MAGIC:
            raise ValueError("it isn't whole")
        length = int.from_bytes(data[-16:-8].tobytes(), "little")
        footer = json.loads(data[-16 - length : -16].tobytes())
        return {name: _array(data, *where) for name, where in footer.items()}
    except (OSError, ValueError, TypeError) as error:
        raise SnapshotError(f"{path.name} of the snapshot can't be read: index the repository again.") from error


def _array(data: NDArray[np.uint8], start: int, described: Any, shape: list[int]) -> NDArray[Any]:
    dtype = np.dtype([tuple(map(_retupled, field)) for field in described] if isinstance(described, list) else described)
    return data[start : start + dtype.itemsize * shape[0]].view(dtype)


def _described(dtype: np.dtype[Any]) -> Any:
    return dtype.descr if dtype.names else dtype.str


def _retupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
