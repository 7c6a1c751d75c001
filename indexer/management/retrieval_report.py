"""A comparison as one HTML file that needs nothing else: no network, no script, light and dark, wide and narrow.

Django's template engine fills templates/retrieval_report.html; it is used by itself, so that benchmarks need no settings. What
is computed is computed in indexer/comparison.py and indexer/explanation.py: here numbers become texts and lengths.
"""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.template import Context, Engine

from indexer.benchmark import Answered, Found
from indexer.comparison import COLUMNS, COMPARED, GROUPINGS, Comparison, Run
from indexer.evaluation import Outcome, Question, Target, grouped, interval, mean, paired_difference
from indexer.explanation import (
    Explained,
    GroupGain,
    OriginGain,
    RankedFile,
    advantages,
    gains_by_group,
    gains_by_origin,
)

TEMPLATES = Path(__file__).resolve().parent.parent.parent / "templates"
WORST = 20
_SHOWN_FOUND = 5
_SHOWN_REASONS = 4
_LATENCY_BARS = 30
# Characters of a question in the list.
_SHORT = 200


def write_report(path: Path, comparison: Comparison, dataset: str, machine: str = "") -> None:
    """Raises OSError. machine: what the latencies were measured on, where that is known."""
    path.write_text(rendered(comparison, dataset, machine), encoding="utf-8")


def rendered(comparison: Comparison, dataset: str, machine: str = "") -> str:
    template = Engine(dirs=[str(TEMPLATES)]).get_template("retrieval_report.html")
    page: str = template.render(Context(_page(comparison, dataset, machine), use_l10n=False))
    return page


def _page(comparison: Comparison, dataset: str, machine: str) -> dict[str, Any]:
    outcomes = comparison.ours.outcomes
    runs = [comparison.ours, *comparison.baselines]
    explained = comparison.explained
    return {
        "dataset": dataset,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine,
        "scope": "whole repositories" if comparison.scope == "whole" else "main source folders only",
        "ours": comparison.ours.name,
        "questions": len(outcomes),
        "repositories": len(comparison.manifests),
        "files": f"{sum(manifest.files for manifest in comparison.manifests):,}",
        "chunks": f"{sum(manifest.chunks for manifest in comparison.manifests):,}",
        "between": _between(interval([outcome.measures["ndcg10"] for outcome in outcomes]), 3),
        "columns": [title for _, title in COLUMNS],
        "runs": [_total(run) for run in runs],
        "marks": [run.name for run in comparison.baselines],
        "differences": _differences(comparison),
        "groupings": [_Grouping(title, list(_group_rows(comparison, key))) for title, key in GROUPINGS],
        "origins": [_OriginRow.of(gain, len(outcomes)) for gain in gains_by_origin(comparison.ours.answered)],
        "gains": _gain_rows(gains_by_group(explained)) if explained else [],
        "file_ndcg": f"{_file_ndcg(explained):.3f}" if explained else "",
        "latency": _latency(outcomes),
        "worst": list(_worst(comparison)),
    }


# --- totals and groups ------------------------------------------------------------------------------------------------


def _total(run: Run) -> dict[str, Any]:
    return {
        "name": run.name,
        "values": [f"{mean(run.outcomes, measure):.4f}" for measure, _ in COLUMNS],
        "p50": f"{run.latency_ms(0.5):.1f}",
        "p95": f"{run.latency_ms(0.95):.1f}",
    }


@dataclass(frozen=True, slots=True)
class _Interval:
    """A mean and its interval, as texts and, from 0 to 100, where they lie on the scale of their chart."""

    title: str
    value: str
    between: str
    point: float
    low: float
    high: float
    zero: float
    sign: str


def _differences(comparison: Comparison) -> list[dict[str, Any]]:
    """For each baseline how far we are ahead of it, all on one scale."""
    found = [
        (run, title, paired_difference(comparison.ours.outcomes, run.outcomes, measure))
        for run in comparison.baselines
        for measure, title in COMPARED
    ]
    scale = _Scale.around([bound for _, _, (_, between) in found for bound in between])
    return [
        {"name": run.name, "rows": [scale.row(title, *difference) for other, title, difference in found if other is run]}
        for run in comparison.baselines
    ]


@dataclass(frozen=True, slots=True)
class _Scale:
    """From `least` to `most`, which hold 0 and some room."""

    least: float
    most: float

    @classmethod
    def around(cls, values: Sequence[float]) -> _Scale:
        least, most = min([0.0, *values]), max([0.0, *values])
        room = 0.04 * (most - least) or 0.01
        return cls(least - room, most + room)

    def at(self, value: float) -> float:
        return round(100 * (value - self.least) / (self.most - self.least), 2)

    def row(self, title: str, value: float, between: tuple[float, float]) -> _Interval:
        low, high = between
        sign = "ahead" if low > 0 else "behind" if high < 0 else "open"
        return _Interval(
            title, _signed(value), _between(between, 3, "+"), self.at(value), self.at(low), self.at(high), self.at(0.0), sign
        )


@dataclass(frozen=True, slots=True)
class _Bar:
    """One group's row; lengths from 0 to 100. marks: where each baseline is."""

    name: str
    questions: int
    ndcg10: str
    hit1: str
    hit5: str
    length: float
    low: float
    high: float
    marks: Sequence[tuple[int, float, str]]


@dataclass(frozen=True, slots=True)
class _Grouping:
    title: str
    rows: Sequence[_Bar]


def _group_rows(comparison: Comparison, key: Any) -> Iterator[_Bar]:
    others = [grouped(run.outcomes, key) for run in comparison.baselines]
    for name, some in grouped(comparison.ours.outcomes, key).items():
        low, high = interval([outcome.measures["ndcg10"] for outcome in some])
        theirs = [mean(other[name], "ndcg10") for other in others]
        yield _Bar(
            name,
            len(some),
            f"{mean(some, 'ndcg10'):.3f}",
            f"{mean(some, 'hit1'):.2f}",
            f"{mean(some, 'hit5'):.2f}",
            round(100 * mean(some, "ndcg10"), 2),
            round(100 * low, 2),
            round(100 * high, 2),
            [(place % 4, round(100 * value, 2), f"{value:.3f}") for place, value in enumerate(theirs)],
        )


# --- signals ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _OriginRow:
    """Lengths: 0 to 100, of all questions."""

    gain: OriginGain
    first: float
    second_to_fifth: float
    later: float

    @classmethod
    def of(cls, gain: OriginGain, questions: int) -> _OriginRow:
        lengths = (round(100 * count / questions, 2) for count in (gain.first, gain.second_to_fifth, gain.later))
        return cls(gain, *lengths)

    @property
    def to_fifth(self) -> float:
        return self.first + self.second_to_fifth


def _gain_rows(gains: Sequence[GroupGain]) -> list[dict[str, Any]]:
    scale = _Scale.around([bound for gain in gains for bound in gain.interval])
    return [
        {
            "name": gain.group.name,
            "features": ", ".join(gain.group.features),
            "alone": f"{gain.alone['file_ndcg10']:.3f}",
            "length": round(100 * gain.alone["file_ndcg10"], 2),
            "hit1": f"{gain.alone['hit1']:.2f}",
            "hit5": f"{gain.alone['hit5']:.2f}",
            "change": scale.row("", gain.change, gain.interval),
            "hit1_change": _signed(gain.hit1_change),
        }
        for gain in gains
    ]


def _file_ndcg(explained: Sequence[Explained]) -> float:
    return sum(each.measures()["file_ndcg10"] for each in explained) / len(explained)


# --- latency ----------------------------------------------------------------------------------------------------------


def _latency(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Bars of equal width up to the slowest but one in a hundred; the last one holds what is slower."""
    times = sorted(outcome.latency_ms for outcome in outcomes)
    end = times[min(len(times) - 1, int(len(times) * 0.99))] or 1.0
    counts = Counter(min(_LATENCY_BARS - 1, int(_LATENCY_BARS * time / end)) for time in times)
    most = max(counts.values())
    marks = [(title, times[min(len(times) - 1, int(len(times) * share))]) for title, share in (("p50", 0.5), ("p95", 0.95))]
    return {
        "bars": [
            {"x": round(100 * place / _LATENCY_BARS, 2), "y": round(40 - height, 2), "height": round(height, 2)}
            for place, height in ((place, 40 * counts[place] / most) for place in range(_LATENCY_BARS))
        ],
        "width": round(100 / _LATENCY_BARS - 0.4, 2),
        "end": f"{end:.0f}",
        "slowest": f"{times[-1]:.0f}",
        "marks": [{"title": title, "x": min(100.0, round(100 * at / end, 2)), "ms": f"{at:.1f}"} for title, at in marks],
    }


# --- the worst questions ----------------------------------------------------------------------------------------------


def _worst(comparison: Comparison) -> Iterator[dict[str, Any]]:
    explained: Sequence[Explained | None] = comparison.explained or [None] * len(comparison.ours.answered)
    pairs = list(zip(comparison.ours.answered, explained, strict=True))
    pairs.sort(key=lambda pair: (pair[0].outcome.measures["ndcg10"], pair[0].outcome.measures["mrr10"]))
    for answered, one in pairs[:WORST]:
        question = answered.outcome.question
        short = textwrap.shorten(question.text, _SHORT, placeholder=" …")
        yield {
            "short": short,
            "long": question.text if short.endswith(" …") else "",
            "repository": question.repository,
            "category": question.category,
            "ndcg10": f"{answered.outcome.measures['ndcg10']:.2f}",
            "wanted": [_wanted(target, answered, one) for target in question.relevant],
            "helpful": [_wanted(target, answered, one) for target in question.secondary],
            "found": [_shown(place, found, question) for place, found in enumerate(answered.found[:_SHOWN_FOUND], 1)],
            "why": _why(answered, one) if one else None,
        }


def _wanted(target: Target, answered: Answered, explained: Explained | None) -> dict[str, str]:
    lines = f":{target.start_line}–{target.end_line}" if target.start_line else ""
    shown = next((place for place, found in enumerate(answered.found, 1) if target.is_hit_by(found)), 0)
    place = explained.place_of(target) if explained else 0
    where = f"shown as number {shown}" if shown else "not shown"
    compared = (f", file number {place}" if place else ", not among the files compared") if explained else ""
    return {"path": target.path + lines, "where": where + compared}


def _shown(place: int, found: Found, question: Question) -> dict[str, Any]:
    right = any(target.is_hit_by(found) for target in question.relevant)
    helpful = any(target.is_hit_by(found) for target in question.secondary)
    return {
        "place": place,
        "path": f"{found.path}:{found.start_line}–{found.end_line}",
        "verdict": "right" if right else "helps" if helpful else "",
        "origins": ", ".join(f"{origin.signal} {origin.rank}" for origin in found.origins),
    }


def _why(answered: Answered, explained: Explained) -> dict[str, Any]:
    """What the best wrong file has that the best right one hasn't, or why that can't be told."""
    question = answered.outcome.question
    targets = (*question.relevant, *question.secondary)
    right = next((file for file in explained.files if any(target.is_in(file.path) for target in question.relevant)), None)
    wrong = next((file for file in explained.files if not any(target.is_in(file.path) for target in targets)), None)
    if right is None:
        return {"said": "No signal brought up a right file, so it was never compared."}
    if wrong is None or wrong.score < right.score:
        return {"said": f"Among files {right.path} is first, but what is shown of it, or before it, is something else."}
    gap = f"by {wrong.score - right.score:.1f} logits ({_chance(wrong)} to {_chance(right)})"
    return {
        "said": f"{wrong.path} is ahead of {right.path} {gap}:",
        "for_wrong": [(each.said, f"+{each.logits:.1f}") for each in advantages(wrong, right)[:_SHOWN_REASONS]],
        "for_right": [(each.said, f"−{each.logits:.1f}") for each in advantages(right, wrong)[:_SHOWN_REASONS]],
    }


def _chance(file: RankedFile) -> str:
    share = 100 * math.exp(file.score)
    return f"{share:.0f} %" if share >= 1 else "below 1 %"


# --- texts ------------------------------------------------------------------------------------------------------------


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def _between(bounds: tuple[float, float], digits: int, sign: str = "") -> str:
    low, high = (f"{bound:{sign}.{digits}f}".replace("-", "−") for bound in bounds)
    return f"{low} to {high}"
