"""The processes that files are parsed in, forked from a template that has everything imported and compiled.

Starting an interpreter, importing the grammars and compiling a language's query takes as long as reading a hundred files.
So one process, the template, does this once for all builds of the process that started it, and every parsing process is a
fork of it, ready at once. The template itself never reads a file: whatever a file does to a parser, the template can still be
asked to end it. It has one thread and few descriptors, so a fork inherits no lock and no pipe of others.

    this process ── socket ──► template ── fork ──► parsing process
          └──────────── two pipes: batches, results ─────┘

The template and all its forks end when its socket is closed, which the kernel does when this process is gone.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import logging
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Sequence, Set
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar, cast

from indexer import languages, parser, records, term_counts
from indexer.syntax import read_syntax
from indexer.types import ParsedFile, Skipped

log = logging.getLogger(__name__)

T = TypeVar("T")

MEMORY_BYTES = 4 * 1024**3
# How long the template may take to end a process: it may be compiling a query, on a machine that is busy with other work.
ANSWER_S = 30.0
_MESSAGE_BYTES = 65_536
GARBAGE_OBJECTS = 500_000
# Of so many files' names the languages of a folder are told.
MOST_LOOKED_AT = 20_000


class ParsingProcess:
    """A parsing process that was asked for. It sends its process id on the results pipe when it is ready."""

    def __init__(self, template: Template, number: int) -> None:
        self._template = template
        self._number = number
        self._status: int | None = None
        self.ended = False

    def end(self) -> int | None:
        """Kill it, whatever it does, and wait for its end. What it ended with: 0, an error, or minus a signal; None if that is
        not known."""
        if not self.ended:
            self._status = self._template.end(self._number)
            self.ended = True
        return self._status


class Template:
    """This process's side of a template. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count()
        self._socket, its_socket = socket.socketpair()
        self._socket.settimeout(ANSWER_S)
        with its_socket:
            # Not by multiprocessing, which would first import the main program's module there, with all that this imports.
            self.process = subprocess.Popen(
                [sys.executable, "-c", f"from indexer.parser_process import serve; serve({its_socket.fileno()})"],
                stdin=subprocess.DEVNULL,
                pass_fds=[its_socket.fileno()],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(place or str(Path.cwd()) for place in sys.path)},
            )

    def prepare(self, names: Sequence[str], folder: str, *, when_idle: bool) -> None:
        """Compile queries: see the function below. Raises OSError when the template is gone."""
        with self._lock:
            self._send({"do": "prepare", "languages": list(names), "folder": folder, "when_idle": when_idle})

    def start(self, batches: int, results: int, *, redact: bool) -> ParsingProcess:
        """Start a parsing process with these descriptors as its ends of the pipes. Raises OSError when the template is gone."""
        with self._lock:
            number = next(self._numbers)
            self._send({"do": "start", "number": number, "redact": redact}, [batches, results])
        return ParsingProcess(self, number)

    def end(self, number: int) -> int | None:
        with self._lock:
            try:
                self._send({"do": "end", "number": number})
                answer = self._socket.recv(_MESSAGE_BYTES)
            except OSError as error:
                log.warning("the template of the parsing processes doesn't answer: %s", error)
                answer = b""
        if not answer:
            self.close()  # its forks end with it
            return None
        status: int | None = json.loads(answer)
        return status

    def _send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        socket.send_fds(self._socket, [json.dumps(message).encode() + b"\n"], descriptors)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        """End the template and all that it has started."""
        self._socket.close()
        try:
            self.process.wait(ANSWER_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class _Shared:
    """This process's template, started when it is asked for and there is none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._template: Template | None = None

    def get(self) -> Template:
        with self._lock:
            if self._template is not None and not self._template.alive:
                self._close()
            if self._template is None:
                self._template = Template()
            return self._template

    def end(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._template is not None:
            self._template.close()
        self._template = None


_shared = _Shared()


def prepare(names: Sequence[str] = (), folder: str = "", *, when_idle: bool = False) -> None:
    """Have a template that has compiled the queries of these languages, and of those of the files in a folder, before it starts
    the next process, or while it has nothing else to do. Returns at once. Raises OSError when no template can be started."""
    _shared.get().prepare(names, folder, when_idle=when_idle)


def start(batches: int, results: int, *, redact: bool) -> ParsingProcess:
    """Start a parsing process, which is given these descriptors as its ends of the pipes. Raises OSError when it can't be."""
    try:
        return _shared.get().start(batches, results, redact=redact)
    except OSError:  # somebody has killed the template
        _shared.end()
        return _shared.get().start(batches, results, redact=redact)


def end_template() -> None:
    """End this process's template; the next build starts a new one."""
    _shared.end()


atexit.register(end_template)


def serve(descriptor: int) -> None:
    """The life of a template. descriptor: its end of the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started it, which then closes the socket
    gc.disable()
    with socket.socket(fileno=descriptor) as asked:
        server = _Server(asked)
        try:
            server.run()
        finally:
            for number in list(server.started):
                server.end(number)


class _Server:
    def __init__(self, asked: socket.socket) -> None:
        self.asked = asked
        self.started: dict[int, int] = {}  # process ids
        self._to_compile: list[str] = []
        self._to_read = list(Path(__file__).parent.glob("*.py"))
        self._buffer = b""
        self._descriptors: list[int] = []

    def run(self) -> None:
        # What is imported or compiled for the first file, so that no fork has to.
        records.record_of("", cast(ParsedFile, parser.parse("", b"first = 1\n")))
        while self._wait():
            received, descriptors, _, _ = socket.recv_fds(self.asked, _MESSAGE_BYTES, 16)
            if not received:
                return
            self._descriptors += descriptors
            *messages, self._buffer = (self._buffer + received).split(b"\n")
            for message in messages:
                self._handle(json.loads(message))

    def _wait(self) -> bool:
        """Wait for the next message; until it comes, compile what may be wanted, and meet the words of some code: our own."""
        while (self._to_compile or self._to_read) and not select.select([self.asked], [], [], 0)[0]:
            if self._to_compile:
                _compile(self._to_compile.pop(0))
            else:
                term_counts.meet_words(self._to_read.pop().read_text(encoding="utf-8"))
        return True

    def _handle(self, message: dict[str, Any]) -> None:
        if message["do"] == "prepare":
            names = message["languages"] + languages_in(message["folder"])
            if message["when_idle"]:
                self._to_compile += names
            else:
                for name in names:
                    _compile(name)
        elif message["do"] == "start":
            (batches, results), self._descriptors = self._descriptors[:2], self._descriptors[2:]
            self.started[message["number"]] = self._fork(batches, results, message["redact"])
        else:
            self.asked.sendall(json.dumps(self.end(message["number"])).encode())

    def _fork(self, batches: int, results: int, redact: bool) -> int:
        gc.freeze()
        pid = os.fork()
        if pid:
            os.close(batches)
            os.close(results)
            return pid
        status = 1
        try:
            self.asked.close()
            # What a file leaves behind is freed without it: looking for cycles among its nodes is a tenth of the time.
            gc.set_threshold(GARBAGE_OBJECTS)
            gc.enable()
            work(batches, results, redact)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)  # the template's own handlers are not for its forks

    def end(self, number: int) -> int | None:
        pid = self.started.pop(number, None)
        if pid is None:
            return None
        # It isn't reaped before this, so the id still is its own.
        os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def languages_in(folder: str) -> list[str]:
    """The languages of the files in a folder by their names alone, the commonest first; [] for what is no folder."""
    found: Counter[str] = Counter()
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "node_modules"]
        found.update(languages.language_of(name, "").name for name in files)
        if found.total() > MOST_LOOKED_AT:
            break
    return [name for name, _ in found.most_common()]


def _compile(name: str) -> None:
    language = languages.LANGUAGES.get(name)
    if language is not None and language.reader == "code":
        read_syntax(language, b"\n")  # with what else is made once for a language


def work(batches_fd: int, results_fd: int, redact: bool) -> None:
    """The life of a parsing process, until its parent closes the pipe or is gone. The descriptors are its ends of the pipes."""
    batches, results = Connection(batches_fd, writable=False), Connection(results_fd, readable=False)
    for limit, size in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, MEMORY_BYTES)):
        with contextlib.suppress(ValueError, OSError):  # a platform or a stricter limit that does not allow it
            resource.setrlimit(limit, (size, size))
    with contextlib.suppress(EOFError, OSError):
        results.send(os.getpid())
        while True:
            finish, files = batches.recv()
            for path, data, known in files:
                results.send(finished(finish, path, _parse_or_note(path, data, redact, known)))


def _parse_or_note(path: str, data: bytes, redact: bool, known: Set[str]) -> ParsedFile | Skipped:
    try:
        return parser.parse(path, data, redact=redact, known=known)
    except (MemoryError, RecursionError, ValueError) as error:
        log.warning("parsing %s failed", path, exc_info=True)
        return parser.parse(path, data, note=f"the parser failed ({type(error).__name__})", redact=redact, known=known)


def finished(finish: Callable[[str, ParsedFile], T], path: str, parsed: ParsedFile | Skipped) -> T | Skipped:
    return parsed if isinstance(parsed, Skipped) else finish(path, parsed)
