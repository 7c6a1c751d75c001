"""How well Sextant knows when a repository holds no answer, and the weights by which it does.

    python -m benchmarks.abstention --dataset DIR --sources DIR [--index DIR] [--write]

Unanswerable: `abstention/unanswerable.jsonl`, questions whose answer never was in the repository or is taken out of a copy
before it is indexed (`removed`). Answerable: the dataset's questions, and `abstention/answerable.jsonl`, which are asked
like the others, so that a model can't tell the two apart by how they are put. The signs of each search (indexer/support.py)
are weighed by a logistic model, each repository's questions by one that has seen neither its questions nor its border. The
border is where a model that has seen the other repositories' answerable questions loses LOST of them. --write keeps the
weights of all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from benchmarks.snapshots import Snapshots, add_arguments
from indexer import support
from indexer.benchmark import build, latest, request_of
from indexer.evaluation import read_dataset
from indexer.retriever import Retriever

FOLDER = Path(__file__).with_name("abstention")
LOST = 0.05
SHARE = 0.3
SHARES_OF_CURVE = (0.01, 0.02, 0.03, 0.05, 0.08, 0.1)


@dataclass(frozen=True, slots=True)
class Asked:
    repository: str
    question: str
    kind: str
    snapshot: Path

    @property
    def answerable(self) -> bool:
        return self.kind not in ("never there", "removed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="repos.json and annotations/")
    add_arguments(parser)
    parser.add_argument("--write", action="store_true", help="keep the weights, in indexer/support_weights.json")
    options = parser.parse_args()
    snapshots = Snapshots(options)
    asked = [*_written(snapshots, options), *_annotated(snapshots, options.dataset)]
    retriever = Retriever()
    signs = np.array([retriever.signs(each.snapshot, each.question) for each in asked])
    own = {each.repository: snapshots[each.repository] for each in asked}
    foreign = {name: _foreign_signs(retriever, snapshot, _not_of(name)) for name, snapshot in own.items()}
    retriever.close()
    cross_validate(asked, signs, foreign)
    if options.write:
        _write(asked, signs, foreign)


def _written(snapshots: Snapshots, options: argparse.Namespace) -> Iterator[Asked]:
    for entry in _lines("unanswerable"):
        removed = entry["removed"]
        snapshot = _without(options, entry["repository"], removed) if removed else snapshots[entry["repository"]]
        yield Asked(entry["repository"], entry["question"], "removed" if removed else "never there", snapshot)
    for entry in _lines("answerable"):
        yield Asked(entry["repository"], entry["question"], "asked alike", snapshots[entry["repository"]])


def _annotated(snapshots: Snapshots, dataset: Path) -> Iterator[Asked]:
    for repository in read_dataset(dataset):
        for question in repository.questions:
            yield Asked(repository.name, question.text, question.category, snapshots[repository.name])


def _lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def _without(options: argparse.Namespace, name: str, removed: Sequence[str]) -> Path:
    """The snapshot of a copy that lacks these files and folders."""
    mark = hashlib.sha256(json.dumps(removed).encode()).hexdigest()[:8]
    folder: Path = options.index.resolve() / "removed" / f"{name}-{mark}"
    if not folder.exists():
        shutil.copytree(options.sources / name, folder, ignore=shutil.ignore_patterns(".git"), symlinks=True)
        for path in map(folder.joinpath, removed):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    request = request_of(folder, options.index)
    return build(replace(request, previous=latest(request.root)))


def _not_of(name: str) -> list[str]:
    """The foreign questions that were not written for this repository."""
    its = {entry["question"] for entry in [*_lines("unanswerable"), *_lines("answerable")] if entry["repository"] == name}
    return [question for question in support.foreign_questions() if question not in its]


def _foreign_signs(retriever: Retriever, snapshot: Path, questions: Sequence[str]) -> np.ndarray:
    return np.array([retriever.signs(snapshot, question) for question in questions])


@dataclass(frozen=True, slots=True)
class Model:
    """A logistic model on the signs as they are."""

    coefficients: np.ndarray
    bias: float

    @classmethod
    def learned(cls, signs: np.ndarray, answerable: np.ndarray) -> Model:
        scaler = StandardScaler().fit(signs)
        fitted = LogisticRegression(class_weight="balanced", max_iter=1000).fit(scaler.transform(signs), answerable)
        coefficients = fitted.coef_[0] / scaler.scale_
        return cls(coefficients, float(fitted.intercept_[0] - coefficients @ scaler.mean_))

    def __call__(self, signs: np.ndarray) -> np.ndarray:
        logits: np.ndarray = signs @ self.coefficients + self.bias
        return logits


def calibrated(
    model: Model, asked: Sequence[Asked], signs: np.ndarray, foreign: dict[str, np.ndarray], share: float
) -> np.ndarray:
    """Logits less a share of what foreign questions reach in the same repository."""
    moved = {name: share * np.quantile(model(each), 0.8) for name, each in foreign.items()}
    logits: np.ndarray = model(signs) - np.array([moved[each.repository] for each in asked])
    return logits


def cross_validate(asked: Sequence[Asked], signs: np.ndarray, foreign: dict[str, np.ndarray]) -> None:
    answerable = np.array([each.answerable for each in asked])
    names = np.array([each.repository for each in asked])
    kinds = np.array([each.kind for each in asked])
    print(f"{(~answerable).sum()} unanswerable and {answerable.sum()} answerable questions of {len(set(names))} repositories")
    for share in (0.0, SHARE):
        scores, above = np.zeros(len(asked)), np.zeros(len(asked))
        for name in sorted(set(names)):
            seen = names != name
            model = Model.learned(signs[seen], answerable[seen])
            logits = calibrated(model, asked, signs, foreign, share)
            scores[~seen] = logits[~seen]
            above[~seen] = logits[~seen] - np.quantile(logits[seen & answerable], LOST)
        told = "calibrated to the repository" if share else "one border for all"
        print(f"\n{told}: AUC {roc_auc_score(answerable, scores):.3f}")
        for kind in ("never there", "removed"):
            print(f"  {kind}: {np.mean(above[kinds == kind] < 0):.1%} of {(kinds == kind).sum()} abstained")
        print(f"  unanswerable: {np.mean(above[~answerable] < 0):.1%} abstained")
        dataset = answerable & (kinds != "asked alike")
        print(f"  the dataset's: {np.mean(above[dataset] < 0):.1%} of {dataset.sum()} lost")
        print(f"  asked alike: {np.mean(above[kinds == 'asked alike'] < 0):.1%} of {(kinds == 'asked alike').sum()} lost")
        curve = [(share, np.mean(scores[~answerable] < np.quantile(scores[answerable], share))) for share in SHARES_OF_CURVE]
        print("  lost → abstained: " + ", ".join(f"{lost:.0%} → {abstained:.1%}" for lost, abstained in curve))


def _write(asked: Sequence[Asked], signs: np.ndarray, foreign: dict[str, np.ndarray]) -> None:
    answerable = np.array([each.answerable for each in asked])
    model = Model.learned(signs, answerable)
    logits = calibrated(model, asked, signs, foreign, SHARE)
    border = float(np.quantile(logits[answerable], LOST))
    told = {
        "signs": {sign: round(float(weight), 4) for sign, weight in zip(support.SIGNS, model.coefficients, strict=True)},
        "bias": round(model.bias, 4),
        "border": round(border, 4),
        "share": SHARE,
    }
    support.WEIGHTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
