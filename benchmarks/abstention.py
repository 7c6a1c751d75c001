"""How well Sextant knows when a repository holds no answer, and the weights by which it does.

    python -m benchmarks.abstention --dataset DIR --sources DIR --plain-sources DIR [--index DIR] [--write]

Unanswerable: `abstention/unanswerable.jsonl`, questions whose answer never was in the repository or is taken out of a copy
before it is indexed (`removed`), and the foreign ones of indexer/support.py that don't calibrate here. Answerable: the
dataset's questions, benchmarks/plain_questions, whose words are not the code's, and `abstention/answerable.jsonl`, which are
asked like the unanswerable ones, so that a model can't tell the two apart by how they are put. The signs of each search are
weighed by a logistic model, each repository's questions by one that has seen neither its questions nor its border. The border
is where that model loses LOST of the other repositories' dataset questions, or of their plain ones if that is lower. All
this by words alone, and with vectors (the sources are embedded first). --write keeps the weights of all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from benchmarks.machine import machine
from benchmarks.snapshots import Snapshots, add_arguments
from indexer import support
from indexer.evaluation import read_dataset
from indexer.retriever import Retriever

FOLDER = Path(__file__).with_name("abstention")
PLAIN_QUESTIONS = Path(__file__).with_name("plain_questions")
LOST = 0.04
SHARE = 0.3
SHARES_OF_CURVE = (0.01, 0.02, 0.03, 0.04, 0.05, 0.08, 0.1)
UNANSWERABLE = ("never there", "removed")
KINDS = (*UNANSWERABLE, "foreign", "dataset", "plain", "asked alike")


@dataclass(frozen=True, slots=True)
class Asked:
    """kind: one of KINDS, or "calibrating" for the foreign questions that move a repository's border."""

    repository: str
    question: str
    kind: str
    snapshot: Path


@dataclass(frozen=True, slots=True)
class Questions:
    """What was asked, by repository, kind and signs (n, signs)."""

    names: np.ndarray
    kinds: np.ndarray
    signs: np.ndarray

    @classmethod
    def of(cls, asked: Sequence[Asked], retriever: Retriever, vectors: bool) -> Questions:
        signs = [retriever.signs(each.snapshot, each.question, vectors=vectors) for each in asked]
        return cls(np.array([each.repository for each in asked]), np.array([each.kind for each in asked]), np.array(signs))

    @property
    def answerable(self) -> np.ndarray:
        return np.isin(self.kinds, ("dataset", "plain", "asked alike"))

    @property
    def teach(self) -> np.ndarray:
        return self.answerable | np.isin(self.kinds, UNANSWERABLE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="repos.json and annotations/")
    add_arguments(parser)
    parser.add_argument("--plain-sources", type=Path, required=True, help="one folder for each of benchmarks/plain_questions")
    parser.add_argument("--write", action="store_true", help="keep the weights, in indexer/support_weights.json")
    options = parser.parse_args()
    snapshots = Snapshots(options.sources, options.index, vectors=True)
    plain = Snapshots(options.plain_sources, options.index, vectors=True)
    asked = [
        *_written(snapshots, options),
        *_annotated(snapshots, options.dataset, "dataset"),
        *_annotated(plain, PLAIN_QUESTIONS, "plain"),
    ]
    asked += _foreign({each.repository: each.snapshot for each in asked if each.kind in ("dataset", "plain")})
    print(f"machine  {machine()}")
    told: dict[str, Any] = {}
    retriever = Retriever()
    for name, vectors in (("words", False), ("vectors", True)):
        questions = Questions.of(asked, retriever, vectors)
        print(f"\n{name}: {questions.teach.sum()} questions of {len(set(questions.names))} repositories to learn from")
        for share in (0.0, SHARE):
            cross_validate(questions, share)
        told[name] = _weights(questions, support.SIGNS if vectors else support.WORD_SIGNS)
    retriever.close()
    if options.write:
        support.WEIGHTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _written(snapshots: Snapshots, options: argparse.Namespace) -> Iterator[Asked]:
    for entry in _lines("unanswerable"):
        name, removed = entry["repository"], entry["removed"]
        snapshot = snapshots.of(_without(options, name, removed)) if removed else snapshots[name]
        yield Asked(name, entry["question"], "removed" if removed else "never there", snapshot)
    for entry in _lines("answerable"):
        yield Asked(entry["repository"], entry["question"], "asked alike", snapshots[entry["repository"]])


def _annotated(snapshots: Snapshots, dataset: Path, kind: str) -> Iterator[Asked]:
    for repository in read_dataset(dataset):
        for question in repository.questions:
            yield Asked(repository.name, question.text, kind, snapshots[repository.name])


def _foreign(snapshots: Mapping[str, Path]) -> Iterator[Asked]:
    """Every second foreign question calibrates, the others are asked; none in the repository that it was written for."""
    own = {(entry["repository"], entry["question"]) for entry in [*_lines("unanswerable"), *_lines("answerable")]}
    for name, snapshot in snapshots.items():
        for number, question in enumerate(support.foreign_questions()):
            if (name, question) not in own:
                yield Asked(name, question, "foreign" if number % 2 else "calibrating", snapshot)


def _lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def _without(options: argparse.Namespace, name: str, removed: Sequence[str]) -> Path:
    """A copy of a repository that lacks these files and folders."""
    mark = hashlib.sha256(json.dumps(removed).encode()).hexdigest()[:8]
    folder: Path = options.index.resolve() / "removed" / f"{name}-{mark}"
    if not folder.exists():
        shutil.copytree(options.sources / name, folder, ignore=shutil.ignore_patterns(".git"), symlinks=True)
        for path in map(folder.joinpath, removed):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    return folder


@dataclass(frozen=True, slots=True)
class Model:
    """A logistic model on the signs as they are, and the border below which it abstains."""

    coefficients: np.ndarray
    bias: float
    share: float
    border: float

    @classmethod
    def learned(cls, questions: Questions, seen: np.ndarray, share: float) -> Model:
        """From those of the questions that are seen."""
        teach = questions.teach & seen
        scaler = StandardScaler().fit(questions.signs[teach])
        fitted = LogisticRegression(class_weight="balanced", max_iter=1000)
        fitted.fit(scaler.transform(questions.signs[teach]), questions.answerable[teach])
        coefficients = fitted.coef_[0] / scaler.scale_
        model = cls(coefficients, float(fitted.intercept_[0] - coefficients @ scaler.mean_), share, 0.0)
        logits = model.calibrated(questions)
        border = min(float(np.quantile(logits[seen & (questions.kinds == kind)], LOST)) for kind in ("dataset", "plain"))
        # Foreign questions are measured from the border too, so that a share of it moves with them.
        return replace(model, border=border / (1 - share))

    def calibrated(self, questions: Questions) -> np.ndarray:
        """Logits above the border, less a share of what foreign questions reach in the same repository."""
        logits: np.ndarray = questions.signs @ self.coefficients + self.bias
        for name in set(questions.names):
            here = questions.names == name
            calibrating = here & (questions.kinds == "calibrating")
            logits[here] -= self.share * np.quantile(logits[calibrating] - self.border, support.QUANTILE)
        return logits - self.border


def cross_validate(questions: Questions, share: float) -> None:
    above = np.zeros(len(questions.names))
    for name in sorted(set(questions.names)):
        own = questions.names == name
        above[own] = Model.learned(questions, ~own, share).calibrated(questions)[own]
    told = "calibrated to the repository" if share else "one border for all"
    teach = questions.teach
    print(f"  {told}: AUC {roc_auc_score(questions.answerable[teach], above[teach]):.3f}")
    by_kind = {kind: above[questions.kinds == kind] for kind in KINDS}
    for kind, scores in by_kind.items():
        print(f"    {kind:12} {np.mean(scores < 0):.1%} of {len(scores)} abstained")
    unanswerable = np.concatenate([by_kind[kind] for kind in UNANSWERABLE])
    curve = [(lost, np.mean(unanswerable < np.quantile(by_kind["plain"], lost))) for lost in SHARES_OF_CURVE]
    print("    plain questions lost → abstained: " + ", ".join(f"{lost:.0%} → {share:.1%}" for lost, share in curve))


def _weights(questions: Questions, signs: Sequence[str]) -> dict[str, Any]:
    model = Model.learned(questions, np.ones(len(questions.names), dtype=bool), SHARE)
    return {
        "signs": {sign: round(float(weight), 4) for sign, weight in zip(signs, model.coefficients, strict=True)},
        "bias": round(model.bias, 4),
        "border": round(model.border, 4),
        "share": SHARE,
    }


if __name__ == "__main__":
    main()
