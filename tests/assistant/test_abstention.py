"""When nothing speaks for an answer, no model is asked, and the reader is told what was searched."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from assistant import abstention
from assistant.abstention import lacks_evidence, no_evidence
from assistant.answer_log import AnswerJob, AnswerLog
from assistant.answering import answer_question
from indexer.retriever import Retriever
from indexer.support import WORD_SIGNS
from tests.indexer.builds import Bench

# So many that words are rare in it, as they are in a repository of usual size.
NAMES = ("cart", "order", "refund", "voucher", "invoice", "parcel", "stock", "supplier", "ledger", "receipt")
FILES = {
    f"shop/{name}_{verb}.py": f'"""How a {name} is {verb}."""\n\n\ndef {verb}_{name}({name}):\n    return {name}.{verb}()\n'
    for name in NAMES
    for verb in ("created", "validated", "archived", "exported", "merged", "printed", "shipped", "counted")
}
THERE = "Where is a voucher validated?"
NOWHERE = "How are WebAuthn passkeys attested by the authenticator?"


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> AnswerJob:
    bench = Bench(tmp_path_factory.mktemp("shop"), FILES)
    bench.build()
    assert bench.live
    return AnswerJob(uuid4(), NOWHERE, (), "auto", "", "shop", uuid4(), bench.live, "c0ffee" * 6, "main", False, 1)


@pytest.fixture(autouse=True)
def _any_size_is_large_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abstention, "FEWEST_CHUNKS", 0)


def lacks(job: AnswerJob, question: str, retriever: Retriever, **search: object) -> bool:
    found = retriever.search(job.snapshot_dir, question, **search)  # type: ignore[arg-type]
    return lacks_evidence(job, found, retriever)


def test_what_is_there_is_answered_and_what_is_nowhere_is_not(job: AnswerJob, retriever: Retriever) -> None:
    assert not lacks(job, THERE, retriever)
    assert lacks(job, NOWHERE, retriever)


@pytest.mark.parametrize(
    "question",
    [
        "shop/voucher_validated.py",
        "@shop/voucher_validated.py how are passkeys attested?",
        "Wie werden die Passkeys von WebAuthn geprüft und woher kommen sie?",
        "what is this project about?",
        "who calls validated_voucher?",
    ],
)
def test_where_words_can_not_tell_nothing_is_refused(question: str, job: AnswerJob, retriever: Retriever) -> None:
    assert not lacks(job, question, retriever)


@pytest.mark.integration
def test_a_question_that_shares_but_one_word_with_the_code_is_answered_where_vectors_say_that_it_is_there(
    job: AnswerJob, retriever: Retriever, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, FILES)
    bench.build(embedder="minilm")
    assert bench.live
    job = replace(job, snapshot_dir=bench.live)
    question = "Which part dispatches a parcel to the customer?"
    assert lacks(job, question, retriever, vectors=False)
    assert not lacks(job, question, retriever)
    assert lacks(job, NOWHERE, retriever)


def test_vectors_of_another_model_have_no_say(job: AnswerJob, retriever: Retriever) -> None:
    assert len(retriever.signs(job.snapshot_dir, THERE)) == len(WORD_SIGNS)


def test_a_follow_up_is_never_refused(job: AnswerJob, retriever: Retriever) -> None:
    assert not lacks(job, "and where is it attested?", retriever, history=[THERE])


def test_who_chose_the_route_gets_an_answer_anyway(job: AnswerJob, retriever: Retriever) -> None:
    assert not lacks(replace(job, requested_route="code"), NOWHERE, retriever)


def test_a_repository_too_small_to_tell_is_never_denied(
    job: AnswerJob, retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(abstention, "FEWEST_CHUNKS", 10_000)
    assert not lacks(job, NOWHERE, retriever)


def test_the_reader_is_told_what_was_searched_which_words_are_nowhere_and_what_is_nearest(
    job: AnswerJob, retriever: Retriever
) -> None:
    question = "How is a voucher attested by WebAuthn?"
    told = no_evidence(job, retriever.search(job.snapshot_dir, question, scope="shop"))
    assert told.startswith("This repository holds no evidence for an answer: shop at c0ffeec was searched by words, ")
    assert "only in shop" in told
    assert "“WebAuthn”" in told
    assert "The nearest files are `shop/voucher_" in told


async def test_no_model_is_asked_and_the_log_says_that_it_abstained(job: AnswerJob, retriever: Retriever, settings) -> None:
    settings.CODE_MODEL_URL = "http://127.0.0.1:9"
    asked = replace(job, question=f"In this repository, {NOWHERE.lower()}")
    log = AnswerLog()
    await answer_question(asked, log, retriever)
    entries = log.take()
    assert [kind for kind, _ in entries if kind != "status"] == ["route", "passages", "delta", "completed"]
    completed: dict[str, object] = entries[-1][1]
    assert (completed["abstained"], completed["model"], completed["finish_reason"]) == (True, "", "none")


async def test_the_setting_turns_it_off(job: AnswerJob, retriever: Retriever, settings) -> None:
    settings.ABSTAIN = False
    settings.CODE_MODEL_URL = "http://127.0.0.1:9"
    with pytest.raises(Exception, match=re.escape("127.0.0.1:9")):
        await answer_question(replace(job, question=f"In this repository, {NOWHERE.lower()}"), AnswerLog(), retriever)


def test_the_questions_of_the_benchmark_are_enough_and_of_many_repositories() -> None:
    lines = Path("benchmarks/abstention/unanswerable.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [json.loads(line) for line in lines]
    assert len(asked) >= 60
    assert len({entry["repository"] for entry in asked}) >= 6
    assert any(entry["removed"] for entry in asked)
