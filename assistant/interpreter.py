"""What Python does in a process that serves hundreds of readers at once, and how long each of them waits for it."""

from __future__ import annotations

import gc
import sys

# Python's are 700, 10 and 10. Of what these processes make, hardly anything is part of a cycle.
GARBAGE_THRESHOLDS = 20_000, 20, 20
# Python's is 0.005.
SWITCH_INTERVAL_S = 0.0005


def settle() -> None:
    """Once everything is loaded: look for reference cycles rarely, and not again in what there is now.

    With 200 answers at once a full collection stopped everything for 0.2 s, every few seconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def let_threads_take_turns() -> None:
    """Hand the interpreter on sooner: the thread that writes to the database asks for it after each of its statements, while
    the event loop is busy, and all answers wait for what it writes."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
