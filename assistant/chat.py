"""What a language model is asked, and what it says: the values that pass between answering and assistant/chat_model.py."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

# Answers about code should not be inventive; 0 makes small models repeat themselves.
TEMPERATURE = 0.2

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str

    def as_json(self) -> dict[str, str]:
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is served. url: without `/v1`; name: "" for the first that it serves; context_tokens: 0 to ask it.

    embedded: it is this installation's own server, which is being started or restarted when it can't be reached.
    """

    url: str
    name: str = ""
    api_key: str = field(default="", repr=False)
    context_tokens: int = 0
    embedded: bool = False

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a server says of the model that it would use. context_tokens: None when nobody knows."""

    name: str
    context_tokens: int | None
    demonstration: bool = False


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. first_token covers the queue at the server and the reading of the prompt."""

    connect_s: float = 5.0
    first_token_s: float = 300.0
    gap_s: float = 60.0
    metadata_s: float = 10.0


@dataclass(frozen=True)
class ChatRequest:
    """One request for an answer. It is sent as `body`, byte for byte, so what is recorded of it is what the server got.

    Keys are in a header, never in here.
    """

    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = TEMPERATURE

    @property
    def sampling(self) -> dict[str, Any]:
        """The parameters that the answer depends on; those that aren't given are the server's own."""
        return {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            **({"stop": list(self.stop)} if self.stop else {}),
        }

    @functools.cached_property
    def body(self) -> bytes:
        """JSON in one canonical form: keys sorted, no spaces, UTF-8."""
        told = {
            "model": self.model,
            "messages": [message.as_json() for message in self.messages],
            **self.sampling,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    @functools.cached_property
    def sha256(self) -> str:
        """Of `body`, in hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer. pieces: in how many the server sent it, mostly a token each."""

    text: str
    pieces: int = 1


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The model thinks aloud; none of it belongs to the answer, but it shows that something happens."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The stream was complete. Token counts are None where the server doesn't tell them."""

    finish_reason: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


StreamPart = Text | Reasoning | Finished


class ChatModel(Protocol):
    """A model that is ready. Methods raise ModelError."""

    info: ModelInfo

    async def count(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text is, without the template's own."""
        ...

    async def count_prompt(self, messages: Sequence[Message]) -> int:
        """How many tokens these messages are, template included."""
        ...

    def request(self, messages: Sequence[Message], *, max_tokens: int, stop: Sequence[str] = ()) -> ChatRequest:
        """What `stream` sends for these messages."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[StreamPart, None]:
        """Text and Reasoning in order, then one Finished. Close it to stop generation."""
        ...
