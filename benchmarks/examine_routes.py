"""How often the route is right on questions, and beside repositories, that nothing was learned from.

    python -m benchmarks.examine_routes --sources DIR … [--index DIR] [--missed]

The questions of benchmarks/routes/examination.jsonl are searched and decided as the server does it, with the weights as they
are shipped. Beside it: what stands in for them without vectors, the share of the question's words that occur, and always the
code. Nothing may be learned from these questions, neither weights nor rules.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from assistant.intent import IS_CODE, SHOWS_EVIDENCE
from assistant.route_model import judge
from benchmarks.machine import machine
from benchmarks.route_examples import CERTAIN, EXAMINATION, Example, Question, examples, read_questions
from benchmarks.train_routes import by_share_of_words
from indexer.evaluation import interval


def chance_of(example: Example) -> tuple[float, str]:
    """The chance that the server gives a question to be about the code, and the reason that it tells."""
    if example.found.kind in CERTAIN:
        return 1.0, "certain by its kind"
    question = example.question
    judgement = judge(question.text, example.found, question.repository, question.routes)
    return judgement.chance, judgement.reason


def report(name: str, questions: Sequence[Question], code: Sequence[bool]) -> list[bool]:
    """Which were right. code: whether each goes to the code."""
    right = [said == question.code for said, question in zip(code, questions, strict=True)]
    hard = [good for good, question in zip(right, questions, strict=True) if question.hard]
    others = [good for good, question in zip(right, questions, strict=True) if not question.hard]
    shares = (
        f"{fmean(told):7.3f} ({low:.3f} to {high:.3f})" for told in (right, hard, others) for low, high in [interval(told)]
    )
    print(f"{name:36}{''.join(shares)}")
    return right


def main() -> None:
    options = _options()
    questions = read_questions(EXAMINATION)
    with_vectors, by_words = (examples(questions, options.sources, options.index, vectors=way) for way in (True, False))
    repositories = len({question.repository for question in questions})
    print(machine())
    print(
        f"{len(questions)} questions beside {repositories} repositories, {sum(question.hard for question in questions)} hard\n"
    )
    print(f"{'right, with its 95 % interval':36}{'all':>8}{'hard':>25}{'others':>25}")
    report("always the code", questions, [True] * len(questions))
    report("share of words that occur", questions, [by_share_of_words(example) > 0 for example in with_vectors])
    report("without vectors", questions, [chance_of(example)[0] >= IS_CODE for example in by_words])
    told = [chance_of(example) for example in with_vectors]
    right = report("with vectors", questions, [chance >= IS_CODE for chance, _ in told])

    about_code = [chance for (chance, _), question in zip(told, questions, strict=True) if question.code]
    general = [chance for (chance, _), question in zip(told, questions, strict=True) if not question.code]
    without, misled = fmean(chance < SHOWS_EVIDENCE for chance in about_code), fmean(chance >= IS_CODE for chance in general)
    print(f"\nOf the questions about the code {without:.1%} are answered without evidence;")
    print(f"of the general ones {misled:.1%} go to the code model.")
    for title in ("kind", "repository"):
        groups: dict[str, list[bool]] = defaultdict(list)
        for question, good in zip(questions, right, strict=True):
            groups[getattr(question, title)].append(good)
        print(f"\nby {title}: " + ", ".join(f"{name} {sum(good)}/{len(good)}" for name, good in sorted(groups.items())))
    if options.missed:
        for question, (chance, reason), good in zip(questions, told, right, strict=True):
            if not good:
                print(f"\n{question.repository}, {chance:.2f} ({reason}): {question.text}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sources", type=Path, nargs="+", required=True, metavar="DIR", help="where the repositories are, by name"
    )
    parser.add_argument("--index", type=Path, default=Path("var/benchmark"), help="where snapshots are kept")
    parser.add_argument("--missed", action="store_true", help="print those, to read and not to learn from")
    return parser.parse_args()


if __name__ == "__main__":
    main()
