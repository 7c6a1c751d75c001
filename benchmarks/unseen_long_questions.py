"""Long questions of repositories that the weights have not seen: benchmarks/long_questions by leave-one-repository-out mixes.

benchmarks/train_reranker.py --clones measures this with what it has learned: the mixes that search a repository were fitted
without its annotated questions and without its commit messages.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from indexer.baselines import by_vectors, by_words
from indexer.benchmark import answer
from indexer.evaluation import Outcome, mean, paired_difference, read_dataset
from indexer.reranker import Mixes
from indexer.retriever import Retriever

UNSEEN = "Sextant, unseen repository"
UNSEEN_VECTORS = "Sextant with vectors, unseen repository"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a repository of the set is indexed, and whether with vectors."""

    snapshot: Path
    vectors: bool


def measured(dataset: Path, places: Mapping[str, Place], mixes: Callable[[str], Mixes]) -> dict[str, list[Outcome]]:
    """The outcomes of each way to search, by its name, ours last, question by question in one order.

    Only repositories that have a place are asked; vectors take part where all of these have them. mixes: those that were fitted
    without the repository of this name.
    """
    repositories = [repository for repository in read_dataset(dataset) if repository.name in places]
    vectors = all(places[repository.name].vectors for repository in repositories)
    runs: dict[str, list[Outcome]] = defaultdict(list)
    for repository in repositories:
        snapshot = places[repository.name].snapshot
        answered = by_words(repository, snapshot, "whole")
        if vectors:
            answered |= by_vectors(repository, snapshot, "whole")
        retriever = Retriever(mixes=mixes(repository.name))
        answered[UNSEEN] = answer(retriever, repository, snapshot)
        if vectors:
            answered[UNSEEN_VECTORS] = answer(retriever, repository, snapshot, vectors=True)
        retriever.close()
        for name, some in answered.items():
            runs[name] += [each.outcome for each in some]
    return dict(runs)


def print_figures(runs: Mapping[str, list[Outcome]]) -> None:
    """Recall@10 and NDCG@10 of each, and how far our last way is ahead of each of the others, question by question."""
    *others, ours = runs
    repositories = {outcome.question.repository for outcome in runs[ours]}
    print(f"\nlong set: {len(runs[ours])} questions of {len(repositories)} repositories, none of which its mixes have seen")
    for name, outcomes in runs.items():
        print(f"  {name:42}recall10 {mean(outcomes, 'recall10'):.4f}  ndcg10 {mean(outcomes, 'ndcg10'):.4f}", flush=True)
    for other in others:
        difference, (low, high) = paired_difference(runs[ours], runs[other], "recall10")
        print(f"  {ours} − {other}: {difference:+.4f} recall@10, 95 % between {low:+.4f} and {high:+.4f}")
