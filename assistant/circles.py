"""Small models repeat themselves until their tokens run out. Two signs of it are enough to end an answer:

* a sentence of prose comes again, whatever passage it cites each time;
* the text ends with the same stretch three times over, be that prose or code.

Lines of code are not counted, since code repeats lines for good reasons; nor are stretches of hardly any letters, such as
the rules of a table.
"""

from __future__ import annotations

import re
from collections import Counter

from assistant.sentences import MARK


class Circles:
    """`closes` takes the text in pieces, and is True when it has gone round in a circle.

    times: how often the same sentence makes one.
    """

    SHORTEST_SENTENCE = 30
    STRETCH = range(15, 400)
    LETTERS_IN_STRETCH = 5

    def __init__(self, times: int) -> None:
        self._times = times
        self._seen: Counter[str] = Counter()
        self._unfinished = ""
        self._in_code = False
        self._tail = ""

    def closes(self, text: str) -> bool:
        self._tail = (self._tail + text)[-3 * self.STRETCH.stop :]
        *complete, self._unfinished = re.split(r"(?<=[.!?])\s+|\n", self._unfinished + text)
        return any(self._again(MARK.sub("", sentence).strip(" .")) for sentence in complete) or self._ends_in_repetition()

    def _again(self, sentence: str) -> bool:
        if sentence.startswith(("```", "~~~")):
            self._in_code = not self._in_code
        if self._in_code or len(sentence) < self.SHORTEST_SENTENCE:
            return False
        self._seen[sentence] += 1
        return self._seen[sentence] >= self._times

    def _ends_in_repetition(self) -> bool:
        """Only sizes at which the last few characters stood before can be a stretch's, and mostly there are none."""
        tail, shortest = self._tail, self.STRETCH.start
        if len(tail) < 3 * shortest:
            return False
        last = tail[-shortest:]
        at = tail.rfind(last, 0, -1)
        while at >= 0:
            size = len(tail) - shortest - at
            if size in self.STRETCH and len(tail) >= 3 * size and self._comes_three_times(tail, size):
                return True
            at = tail.rfind(last, 0, at + shortest - 1)
        return False

    def _comes_three_times(self, tail: str, size: int) -> bool:
        return (
            tail[-size:] == tail[-2 * size : -size] == tail[-3 * size : -2 * size]
            and sum(map(str.isalpha, tail[-size:])) >= self.LETTERS_IN_STRETCH
        )
