"""How the threads of torch and FAISS behave beside other programs.

OpenMP's idle threads spin by default. Where another program wants the cores too (on a laptop the embedded model, while it
writes an answer), each parallel region then waits for threads that have no core: embedding one question on two
busy cores took half a second and more instead of 20 ms. Sleeping threads cost some microseconds a region.
"""

from __future__ import annotations

import os


def sleep_when_idle() -> None:
    """To be called before the first import of torch or faiss, whose OpenMP reads this once. What is set already holds."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
