"""When the repository holds no evidence for an answer, and what is said instead of asking a model.

No model is asked: small ones answer whatever they are told, and a refusal of theirs takes as long as an answer. A wrong
refusal costs the reader one click ("Answer anyway", which asks for the code route and so never comes here), a wrong answer
costs their trust. How often each happens was measured (docs/citations.md). Nothing is refused that words can't judge
(`SearchResult.support` is None), in a repository smaller than any that was measured, or when the reader chose the route.
"""

from __future__ import annotations

from assistant.answer_log import AnswerJob
from assistant.prompts import absent
from indexer.retriever import Retriever
from indexer.types import SearchResult

# The smallest repository of the measurement has about as many.
FEWEST_CHUNKS = 200
# No repository's border has been moved so far: above it there is no doubt, and nothing to wait for.
FARTHEST = 3.0
NEAREST = 3
MISSING_WORDS = 5


def lacks_evidence(job: AnswerJob, found: SearchResult, retriever: Retriever) -> bool:
    """Whether hardly anything found speaks for an answer being there. Raises SnapshotError.

    The first doubt about a snapshot takes up to two seconds: it is asked foreign questions then.
    """
    if job.requested_route != "auto" or found.support is None or found.chunks < FEWEST_CHUNKS:
        return False
    with_vectors = found.vectors and found.embedded == found.chunks
    return found.support < FARTHEST and found.support < retriever.support_baseline(job.snapshot_dir, vectors=with_vectors)


def no_evidence(job: AnswerJob, found: SearchResult) -> str:
    """What the reader is told: that nothing was found, what was searched, and the nearest files."""
    ways = "words, symbols and meaning" if found.vectors else "words and symbols"
    at = f" at {job.commit[:7]}" if job.commit else ""
    within = f", only in {found.filters}" if str(found.filters) else ""
    told = [f"This repository holds no evidence for an answer: {job.repository}{at} was searched by {ways}{within}."]
    if missing := found.missing_terms[:MISSING_WORDS]:
        told.append(absent(missing))
    if nearest := list(dict.fromkeys(passage.path for passage in found.passages))[:NEAREST]:
        told.append(f"The nearest files are {', '.join(f'`{path}`' for path in nearest)}.")
    told.append("No model was asked.")
    return " ".join(told)
