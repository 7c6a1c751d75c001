"""Questions made of commit messages: what is kept of a message, which files answer, and what is left out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.commits import Commit, answers, commits
from benchmarks.long_questions import (
    FOLDER,
    LICENCES,
    MOST_QUESTIONS,
    MOST_WITHOUT_CODE,
    LongQuestion,
    few_without_code,
    held_out,
    long_questions,
    names_a_file,
    question_text,
)
from indexer.evaluation import read_dataset

LANGUAGES = {
    "src/router.py": "python",
    "src/session.py": "python",
    "tests/test_router.py": "python",
    "docs/routing.md": "markdown",
    "CHANGES.md": "markdown",
}
BODY = "Requests that were redirected twice kept the credentials of the first host,\nwhich a second host must never be sent."


def commit(message: str, *paths: str, author: str = "Ann", sha: str = "1" * 40) -> Commit:
    return Commit(sha, author, message, paths or ("src/session.py",))


def test_a_message_becomes_a_question_without_its_component_numbers_links_people_and_trailers():
    message = (
        f"fix(session): forget credentials (#123)\n\n{BODY} See https://example.org/x and ask @ann about it.\n\n"
        "Fixes #12\nCo-authored-by: Ben <ben@example.org>\nSigned-off-by: Ann <ann@example.org>\n"
    )
    text = question_text(commit(message))
    assert text.startswith(
        "Forget credentials\n\nRequests that were redirected twice kept the credentials of the first host, which"
    )
    assert not any(part in text for part in ("#1", "http", "@", "Ben", "Signed", "session"))


@pytest.mark.parametrize(
    "message",
    [
        "Forget credentials",
        "Forget credentials\n\nToo short to say.",
        f"Bump urllib3 from 1.0 to 2.0\n\n{BODY}",
        f"Release the next version\n\n{BODY}",
        f'Revert "Forget credentials"\n\n{BODY}',
        f"Forget credentials\n\n{BODY}\n\nThis reverts commit 1f5d109e7c84.",
        f"Fix typos\n\n{BODY}",
        "Forget credentials\n\n* of the first host, when another host was asked for it.\n* add tests\n* fix lint\n* review",
        "Сбросить учётные данные\n\nЗапросы, которые были перенаправлены дважды, сохраняли учётные данные первого узла сети.",
    ],
)
def test_a_message_that_is_short_a_chore_a_list_or_not_english_is_no_question(message):
    assert question_text(commit(message)) == ""


def test_the_message_of_a_bot_is_no_question():
    assert question_text(commit(f"Forget credentials\n\n{BODY}"))
    assert question_text(commit(f"Forget credentials\n\n{BODY}", author="dependabot[bot]")) == ""


@given(st.text(max_size=400))
def test_any_message_can_be_read(message):
    assert "\r\n" not in question_text(commit(message))


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["src/router.py", "tests/test_router.py", "docs/routing.md", "CHANGES.md"], ("code", ("src/router.py",))),
        (["tests/test_router.py", "CHANGES.md"], ("test", ("tests/test_router.py",))),
        (["docs/routing.md"], ("documentation", ("docs/routing.md",))),
        (["docs/routing.md", "tests/test_router.py"], ("test", ())),
        (["CHANGES.md"], ("", ())),
        (["src/router.py", "src/gone.py"], ("code", ())),
        ([f"src/{i}.py" for i in range(5)], ("code", ())),
        ([], ("", ())),
    ],
)
def test_code_answers_and_tests_or_documentation_only_where_a_commit_changed_nothing_else(paths, expected):
    languages = {**LANGUAGES, **{f"src/{i}.py": "python" for i in range(5)}}
    assert answers(paths, languages) == expected


def test_a_question_that_names_its_answer_is_left_out():
    assert names_a_file("The error comes from Session.py there", ["src/session.py"])
    assert names_a_file("Look at src/session for this", ["src/session.py"])
    assert not names_a_file("The session keeps its credentials", ["src/session.py"])
    named = commit(f"Forget credentials\n\n{BODY} The place is session.py.")
    kept = commit(f"Forget credentials\n\n{BODY}")
    assert [found.commit for found in long_questions([named, kept, kept], LANGUAGES)] == [kept.sha]


def test_few_questions_are_about_tests_and_documentation():
    some = [LongQuestion(str(i), "q", "test" if i % 2 else "code", ("a",)) for i in range(40)]
    kept = [question.category for question in few_without_code(some)]
    assert (kept.count("test"), kept.count("code")) == (MOST_WITHOUT_CODE, 20)


def test_commits_come_newest_first_with_whole_messages_and_odd_paths(tmp_path: Path):
    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-C", str(tmp_path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    for name, message in (("a.py", "One"), ("two words é.py", "Two\n\nAt length.\n\nAnd more.")):
        (tmp_path / name).write_text("x = 1\n")
        git("add", ".")
        git("commit", "-q", "-m", message)
    found = list(commits(tmp_path / ".git", "HEAD", 10))
    assert [(each.message.strip(), each.paths) for each in found] == [
        ("Two\n\nAt length.\n\nAnd more.", ("two words é.py",)),
        ("One", ("a.py",)),
    ]
    assert found[0].sha == git("rev-parse", "HEAD")


def test_the_written_set_is_large_spread_and_under_permissive_licences():
    repositories = read_dataset(FOLDER)
    questions = [question for repository in repositories for question in repository.questions]
    assert len(questions) >= 150
    assert len(repositories) >= 6
    assert {repository.name for repository in repositories} <= LICENCES.keys()
    assert max(len(repository.questions) for repository in repositories) <= MOST_QUESTIONS
    assert len(held_out()) == len(questions)
    assert not [question for question in questions if names_a_file(question.text, [each.path for each in question.relevant])]
