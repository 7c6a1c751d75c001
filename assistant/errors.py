"""Everything that the assistant raises on purpose. Each message is one sentence that says what to do.

AssistantError
├── BadRequest             what the browser or the command line sent can't be used
├── DoesNotFit             no such model, window or precision on those GPUs
├── LeaseLost              another worker has this answer: stop without writing
├── AnswerCancelled        the reader pressed Stop
├── WeightsError           the embedded model's weights can't be had
│   └── DiskFull           there is no room for them
├── Refused                moderation refuses the question or the answer
├── ModerationFailed       what has to be moderated can't be
└── ModelError             the model server failed; `code` is stable, the message is for the reader
    ├── ModelUnreachable   refused, no route, unknown host
    │   └── CircuitOpen    it has failed too often, and isn't asked for a while
    ├── ModelLoading       it answers, but is not ready yet (downloading or loading weights)
    ├── ModelRejected      401, 403, 404 or another 4xx that isn't an overflow
    │   └── NotServed      it serves other models than the one that is wanted
    ├── ContextOverflow    the prompt is longer than the context window
    ├── ModelTimeout       no first token, or too long a gap between tokens
    └── StreamBroken       an error event, or the end of the stream without a finish_reason
"""

from __future__ import annotations


class AssistantError(Exception):
    """Base of all; `str(error)` can be shown to a person as it is."""


class BadRequest(AssistantError):
    pass


class DoesNotFit(AssistantError):
    pass


class LeaseLost(AssistantError):
    pass


class AnswerCancelled(AssistantError):
    pass


class WeightsError(AssistantError):
    pass


class DiskFull(WeightsError):
    pass


class Refused(AssistantError):
    """side: "question" or "answer"; categories: what the judge calls what it found."""

    def __init__(self, message: str, side: str, categories: tuple[str, ...]) -> None:
        super().__init__(message)
        self.side, self.categories = side, categories


class ModerationFailed(AssistantError):
    pass


class ModelError(AssistantError):
    """own_delay: nothing came in time, but this process stood still meanwhile, so the server isn't to blame."""

    code = "model_error"
    own_delay = False


class ModelUnreachable(ModelError):
    code = "unreachable"


class CircuitOpen(ModelUnreachable):
    pass


class ModelLoading(ModelError):
    """percent: how much of the weights has come, or None when that isn't known."""

    code = "loading"

    def __init__(self, message: str, percent: int | None = None) -> None:
        super().__init__(message)
        self.percent = percent


class ModelRejected(ModelError):
    code = "rejected"


class NotServed(ModelRejected):
    pass


class ContextOverflow(ModelError):
    """prompt_tokens and context_tokens as the server told them, or None."""

    code = "overflow"

    def __init__(self, message: str, prompt_tokens: int | None = None, context_tokens: int | None = None) -> None:
        super().__init__(message)
        self.prompt_tokens = prompt_tokens
        self.context_tokens = context_tokens


class ModelTimeout(ModelError):
    code = "timeout"


class StreamBroken(ModelError):
    code = "broken_stream"
