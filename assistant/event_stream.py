"""Server-sent events, as a model server streams them: taken apart from whatever pieces the network brings.

Only what such a server sends is read: `data` and `event` fields. (https://html.spec.whatwg.org/multipage/server-sent-events.html)
Not httpx-sse: it reads one event at a time from the response, which costs more than the event itself when hundreds of answers
stream, while here all that a read has brought is taken together.
"""

from __future__ import annotations

from typing import NamedTuple

MEDIA_TYPE = "text/event-stream"


class ServerSentEvent(NamedTuple):
    """event: its type, "message" unless the server names one. data: its lines, joined."""

    event: str
    data: str


class EventReader:
    """`feed` it bytes; it gives the events that are complete, in order. What is never completed is no event."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        data = self._rest + data
        # Half of a \r\n, perhaps.
        held = b"\r" if data.endswith(b"\r") else b""
        lines = data.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *blocks, rest = lines.split(b"\n\n")
        self._rest = rest + held
        return [event for event in map(_event, blocks) if event is not None]


def _event(block: bytes) -> ServerSentEvent | None:
    """None for a comment, and for what has no data."""
    if block.startswith(b"data: ") and b"\n" not in block:  # nearly always
        return ServerSentEvent("message", block[6:].decode(errors="replace"))
    kind, lines = "message", []
    # Not splitlines, which also ends a line at characters that JSON holds as they are.
    for line in block.decode(errors="replace").split("\n"):
        name, _, value = line.partition(":")
        if name == "data":
            lines.append(value.removeprefix(" "))
        elif name == "event":
            kind = value.removeprefix(" ")
    return ServerSentEvent(kind, "\n".join(lines)) if lines else None
