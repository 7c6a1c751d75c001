"""An answer by its own address, asked again at HEAD, and what has become of its citations since."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from assistant import conversations, events, leases
from assistant.conversations import reask
from assistant.errors import BadRequest
from assistant.models import Answer, Conversation
from indexer.models import Repository, Snapshot
from tests.indexer.builds import SMALL, Bench, make_live, published, write_files

pytestmark = [pytest.mark.django_db, pytest.mark.event_log]

GUARDS = """def run_guards(self, exchange):
    for guard in self.guards:
        value = guard(exchange)
        if value is not None:
            return value
"""
GATES = """def open_gates(harbor, tide):
    for gate in harbor.gates:
        gate.open(at=tide.height)
"""
SOURCES = {"guards.py": GUARDS, "gates.py": GATES, "old.py": "def leave_the_harbor(ship):\n    ship.cast_off()\n"}


@pytest.fixture(autouse=True)
def accounts(settings) -> None:
    settings.SIGN_IN, settings.ALLOWED_HOSTS = "required", ["testserver"]


def browser_of(user: User) -> Client:
    client = Client(headers={"accept": "application/json"})
    client.force_login(user)
    return client


@pytest.fixture
def snapshots(repository: Repository, tmp_path: Path, settings) -> list[Snapshot]:
    """Two builds, the first of which is live; the second has guards.py further down, another gates.py, no old.py."""
    settings.INDEX_ROOT = tmp_path / "indexes"
    bench = Bench(tmp_path, {**SMALL, **SOURCES})
    made = []
    for number in range(2):
        if number:
            write_files(
                bench.source, {"guards.py": f"import harbor\n\n\n{GUARDS}", "gates.py": GATES.replace("height", "level")}
            )
            (bench.source / "old.py").unlink()
        made.append(published(bench, repository, str(number) * 40, "main"))
    make_live(repository, made[0])
    return made


def passage(number: int, path: str, text: str, start: int = 1) -> dict[str, Any]:
    from indexer.source import blob_id

    place = {"path": path, "start_line": start, "end_line": start + text.count("\n") - 1, "blob": blob_id(text.encode())}
    return {
        "number": number,
        **place,
        "symbol": text.split("(", maxsplit=1)[0].removeprefix("def "),
        "state": "packed",
        "text": text.rstrip(),
    }


def finish(answer: Answer, *passages: dict[str, Any], text: str = "Look [1].", snapshot: Snapshot | None = None) -> Answer:
    """As an answerer would: tied to the snapshot, with a citation of each passage."""
    answer.snapshot = snapshot or answer.conversation.repository.live_snapshot
    answer.save()
    cited = [
        (
            "citation",
            {
                "start": 5 + k,
                "end": 8,
                "state": "verified",
                **{key: one[key] for key in ("number", "path", "start_line", "end_line")},
            },
        )
        for k, one in enumerate(passages)
    ]
    found = {"repository": "harbor", "commit": answer.snapshot.commit, "passages": list(passages)}
    events.append(answer, [("passages", found), ("delta", {"text": text}), *cited, ("completed", {"model": "coder"})])
    return answer


@pytest.fixture
def answered(snapshots, ask_question) -> Answer:
    found = [passage(k, path, text) for k, (path, text) in enumerate(SOURCES.items(), start=1)]
    return finish(ask_question("How do guards run?", route="code", model="coder"), *found)


# --- who may read an answer ---


def test_an_answer_is_there_for_whoever_may_see_its_repository_and_for_nobody_else(
    answered, repository, user, stranger
) -> None:
    where = f"/answers/{answered.pk}/"
    addresses = [where, f"{where}log.json"]
    assert {browser_of(user).get(each).status_code for each in addresses} == {200}
    assert {browser_of(stranger).get(each).status_code for each in addresses} == {404}
    assert browser_of(stranger).post(f"{where}again/", {"answer": str(uuid4())}).status_code == 404
    assert browser_of(stranger).get("/moved.json", {"answer": str(answered.pk)}).json() == {"answers": {}}
    Repository.objects.update(visibility="public")
    page = browser_of(stranger).get(where)
    assert page.status_code == 200
    assert page.context["page_data"]["answers"][0]["conversation"] == ""  # which is still its owner's alone
    assert browser_of(stranger).get(f"/conversations/{answered.conversation_id}/").status_code == 404
    assert Client().get(where).status_code in (302, 401)
    assert browser_of(user).get(f"/answers/{uuid4()}/").status_code == 404


def test_the_page_holds_the_whole_log_and_what_the_answer_stands_on(answered, user, snapshots) -> None:
    shown = browser_of(user).get(f"/answers/{answered.pk}/").context["page_data"]["answers"][0]
    assert [event["seq"] for event in shown["events"]] == list(range(1, answered.last_seq + 1))
    assert shown["events"][1]["payload"]["passages"][0]["text"] == GUARDS.rstrip()
    assert (shown["snapshot"]["id"], shown["snapshot"]["commit"], shown["snapshot"]["kept"]) == (
        str(snapshots[0].pk),
        "0" * 40,
        True,
    )
    later = browser_of(user).get(shown["log_url"], {"after": answered.last_seq - 1}).json()["events"]
    assert [event["kind"] for event in later] == ["completed"]
    assert len(browser_of(user).get(shown["log_url"], {"after": "²"}).json()["events"]) == answered.last_seq


def test_an_answer_reads_the_same_when_its_snapshot_is_not_live_any_more_and_even_when_it_has_gone(
    answered, user, repository, snapshots
) -> None:
    def shown() -> Any:
        return browser_of(user).get(f"/answers/{answered.pk}/").context["page_data"]["answers"][0]

    before = shown()
    make_live(repository, snapshots[1])
    assert shown() == before
    (snapshots[0].directory / "manifest.json").unlink()
    assert shown()["snapshot"]["kept"] is False
    snapshots[0].delete()
    assert (shown()["snapshot"], shown()["events"]) == (None, before["events"])
    assert browser_of(user).get("/moved.json", {"answer": str(answered.pk)}).json()["answers"][str(answered.pk)]["citations"]


def test_with_its_conversation_an_answer_is_deleted_and_what_was_asked_again_of_it_stays(
    answered, user, stranger, repository
) -> None:
    Repository.objects.update(visibility="public")
    asked = reask(stranger, uuid4(), answered.pk)
    conversations.delete(user, answered.conversation_id)
    assert browser_of(user).get(f"/answers/{answered.pk}/").status_code == 404
    assert browser_of(stranger).get(f"/answers/{asked.answer}/").status_code == 200
    assert browser_of(stranger).get(f"/answers/{asked.answer}/changes/").status_code == 404


# --- asked again ---


def test_asked_again_the_question_stands_beside_the_old_answer_with_a_link_both_ways(
    answered, user, repository, snapshots
) -> None:
    make_live(repository, snapshots[1])
    new = uuid4()
    client = browser_of(user)
    told = client.post(f"/answers/{answered.pk}/again/", {"answer": str(new)})
    assert told.json() == {"address": f"/answers/{new}/changes/"}
    assert client.post(f"/answers/{answered.pk}/again/", {"answer": str(new)}).json() == told.json()  # asking twice asks once
    again = Answer.objects.get(pk=new)
    assert Answer.objects.count() == 2
    assert (again.reasked_of, again.retry_of, again.conversation, again.number) == (answered, None, answered.conversation, 1)
    assert (again.question, again.requested_route, again.requested_model) == ("How do guards run?", "code", "coder")
    [claim] = leases.claim(1)
    assert claim.job is not None and claim.job.snapshot_id == snapshots[1].pk
    answered.refresh_from_db()
    assert answered.snapshot == snapshots[0]
    shown = client.get(f"/answers/{answered.pk}/").context["page_data"]["answers"][0]["answer"]
    assert shown["reasks"] == [str(new)]
    both = client.get(f"/answers/{new}/changes/").context["page_data"]["answers"]
    assert [one["answer"]["id"] for one in both] == [str(answered.pk), str(new)]
    assert both[1]["answer"]["reasked_of"] == str(answered.pk)


def test_who_may_only_read_an_answer_asks_it_again_in_a_conversation_of_their_own(answered, user, stranger, repository) -> None:
    with pytest.raises(BadRequest, match="There is no such answer"):
        reask(stranger, uuid4(), answered.pk)
    Repository.objects.update(visibility="public")
    asked = reask(stranger, uuid4(), answered.pk)
    again = Answer.objects.get(pk=asked.answer)
    assert (again.conversation.owner, again.conversation.repository, again.number) == (stranger, repository, 1)
    assert Conversation.objects.visible_to(user).get() == answered.conversation
    assert answered.conversation.answers.count() == 1


def test_asked_again_it_follows_what_the_first_one_followed_and_later_questions_follow_the_first(
    answered, user, stranger, ask_question
) -> None:
    Repository.objects.update(visibility="public")
    second = finish(ask_question("And when?"), text="At dawn.")
    beside = Answer.objects.get(pk=reask(user, uuid4(), second.pk).answer)
    finish(beside, text="At dusk.")
    hers = reask(stranger, uuid4(), beside.pk)
    third = ask_question("Why?")
    jobs = {claim.job.answer_id: claim.job for claim in leases.claim(9) if claim.job}
    assert [turn.question for turn in jobs[hers.answer].history] == ["How do guards run?"]
    assert [turn.answer_text for turn in jobs[third.pk].history] == ["Look [1].", "At dawn."]


def test_what_can_not_be_asked_again_says_why(answered, user, repository, ask_question) -> None:
    def refusal(answer: Answer, chosen: str = "") -> str:
        told = browser_of(user).post(f"/answers/{answer.pk}/again/", {"answer": chosen or str(uuid4())})
        assert told.status_code == 400
        return str(told.json()["message"])

    assert refusal(answered, "x") == "'answer' must be a UUID."
    assert refusal(ask_question()) == "This answer isn't finished yet: ask it again when it is."
    repository.live_snapshot = None
    repository.save()
    assert refusal(answered) == "harbor is not indexed yet: ask as soon as its files have been read."


def test_what_changed_tells_passages_and_citations(answered, user, repository, snapshots) -> None:
    make_live(repository, snapshots[1])
    again = Answer.objects.get(pk=reask(user, uuid4(), answered.pk).answer)
    where = f"/answers/{again.pk}/changes.json"
    assert browser_of(user).get(where).json() == {"passages": None, "citations": []}
    gates = GATES.replace("height", "level")
    finish(
        again,
        passage(1, "gates.py", gates),
        passage(2, "guards.py", GUARDS, start=4),
        passage(3, "README.md", SMALL["README.md"]),
    )
    told = browser_of(user).get(where).json()
    numbers = [(one["kind"], *((one[side] or {}).get("number") for side in ("before", "after"))) for one in told["passages"]]
    assert numbers == [("moved", 1, 2), ("changed", 2, 1), ("gone", 3, None), ("new", None, 3)]
    assert [(one["number"], one["state"]) for one in told["citations"]] == [(1, "moved"), (2, "changed"), (3, "gone")]
    assert browser_of(user).get(f"/answers/{answered.pk}/changes.json").status_code == 404


# --- what has become of the citations ---


def test_at_the_live_snapshot_citations_are_moved_changed_or_gone(answered, user, repository, snapshots) -> None:
    client = browser_of(user)
    assert client.get("/moved.json", {"answer": str(answered.pk)}).json() == {"answers": {}}
    make_live(repository, snapshots[1])
    told = client.get("/moved.json", {"answer": str(answered.pk)}).json()["answers"][str(answered.pk)]
    assert (told["snapshot"], told["commit"]) == (str(snapshots[1].pk), "1" * 40)
    assert told["citations"] == [
        {"start": 5, "number": 1, "state": "moved", "path": "guards.py", "start_line": 4, "end_line": 8},
        {"start": 6, "number": 2, "state": "changed", "path": "gates.py", "start_line": 1, "end_line": 3},
        {"start": 7, "number": 3, "state": "gone", "path": "old.py", "start_line": 1, "end_line": 2},
    ]
    assert client.get("/moved.json", {"answer": "x"}).status_code == 404


def test_a_file_that_was_moved_is_found_by_its_contents_or_by_what_it_defines(
    answered, user, repository, snapshots, tmp_path
) -> None:
    guarding = f"import harbor\n{GUARDS.replace('is not None', 'is not harbor.NONE')}"
    bench = Bench(tmp_path / "moved", {"quay/casting.py": SOURCES["old.py"], "quay/guarding.py": guarding})
    directory = bench.build_without_vectors()
    moved = Snapshot.objects.create(repository=repository, commit="2" * 40)
    directory.rename(moved.directory)
    make_live(repository, moved)
    told = browser_of(user).get("/moved.json", {"answer": str(answered.pk)}).json()["answers"][str(answered.pk)]
    assert {one["number"]: (one["state"], one["path"]) for one in told["citations"]} == {
        1: ("changed", "quay/guarding.py"),
        2: ("gone", "gates.py"),
        3: ("moved", "quay/casting.py"),
    }


def test_a_live_snapshot_that_has_gone_from_the_disk_tells_nothing(answered, user, repository, snapshots) -> None:
    make_live(repository, snapshots[1])
    (snapshots[1].directory / "manifest.json").unlink()
    told = browser_of(user).get("/moved.json", {"answer": str(answered.pk)}).json()["answers"]
    assert told[str(answered.pk)]["citations"] == []
