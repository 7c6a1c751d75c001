"""The pages over HTTP: what is on them, who may see them, and the policy that they carry."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.test import Client
from django.urls import reverse

from assistant.models import Conversation
from indexer.models import Repository, Snapshot
from tests.indexer.builds import SMALL, Bench

POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types dompurify",
}


@pytest.fixture(autouse=True)
def accounts(settings) -> None:
    settings.SIGN_IN = "required"
    settings.ALLOWED_HOSTS = ["testserver"]


@pytest.fixture
def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def eves_browser(stranger: User) -> Client:
    client = Client()
    client.force_login(stranger)
    return client


@pytest.fixture
def indexed(repository: Repository, tmp_path: Path, settings) -> Snapshot:
    """A private repository's snapshot that is really on the disk."""
    bench = Bench(tmp_path, SMALL)
    directory = bench.build_without_vectors()
    settings.INDEX_ROOT = tmp_path / "indexes"
    snapshot = Snapshot.objects.create(repository=repository, commit="a1b2c3d4" * 5, ref="main", files=3)
    snapshot.directory.parent.mkdir(parents=True)
    directory.rename(snapshot.directory)
    repository.live_snapshot = snapshot
    repository.save()
    return snapshot


def source_url(snapshot: Snapshot, path: str) -> str:
    return reverse("source", args=[snapshot.repository.name, snapshot.pk, path])


def test_every_page_carries_the_strict_policy(browser, conversation, indexed) -> None:
    pages = ["/", f"/conversations/{conversation.pk}/", source_url(indexed, "greetings.py"), "/no/such/page"]
    for page in [*pages, "/sign-in/"]:
        response = (Client() if page == "/sign-in/" else browser).get(page)
        policy = response.headers["Content-Security-Policy"]
        assert {part.strip() for part in policy.split(";")} == POLICY, page
        assert (
            b"<script>" not in response.content and b" style=" not in response.content and b" onclick=" not in response.content
        )


def test_a_first_visit_without_a_repository_says_how_to_index_one(browser) -> None:
    assert b"index_repo" in browser.get("/").content


def test_the_page_offers_the_repositories_that_one_may_see(browser, eves_browser, indexed) -> None:
    Repository.objects.create(name="open", source="/srv/open", visibility="public")
    mine, hers = browser.get("/"), eves_browser.get("/")
    assert [each["name"] for each in mine.context["repositories"]] == ["harbor", "open"]
    assert [each["name"] for each in hers.context["repositories"]] == ["open"]
    assert mine.context["repository"]["name"] == "harbor"


def test_an_empty_page_has_sample_questions_about_the_repository(browser, repository, tmp_path, settings) -> None:
    uses = "from shelf import overdue_fee\n\n\ndef use():\n    return overdue_fee(3)\n"
    files = {"shelf.py": "def overdue_fee(days):\n    return days * 25\n", "a.py": uses, "b.py": uses}
    directory = Bench(tmp_path, files).build_without_vectors()
    settings.INDEX_ROOT = tmp_path / "indexes"
    repository.live_snapshot.directory.parent.mkdir(parents=True)
    directory.rename(repository.live_snapshot.directory)
    samples = browser.get("/?repository=harbor").context["samples"]
    assert [(sample.symbol, sample.path, sample.line) for sample in samples] == [("overdue_fee", "shelf.py", 1)]


def test_a_repository_that_one_may_not_see_is_not_found(eves_browser, indexed) -> None:
    assert eves_browser.get("/?repository=harbor").status_code == 404
    assert eves_browser.get("/status.json?repository=harbor").status_code == 404
    assert eves_browser.get(source_url(indexed, "greetings.py")).status_code == 404


def test_a_conversation_of_somebody_else_is_not_found_whatever_is_tried(eves_browser, conversation) -> None:
    where = f"/conversations/{conversation.pk}/"
    assert eves_browser.get(where).status_code == 404
    assert eves_browser.post(f"{where}rename/", {"title": "Mine"}).status_code == 404
    assert eves_browser.post(f"{where}delete/").status_code == 404
    conversation.refresh_from_db()
    assert conversation.title == "Guards"


def test_renaming_answers_with_the_title_as_it_was_stored(browser, conversation) -> None:
    where = f"/conversations/{conversation.pk}/rename/"
    told = browser.post(where, {"title": "  All   guards "}, headers={"accept": "application/json"})
    assert told.json() == {"title": "All guards"}
    assert browser.post(where, {"title": "  "}).status_code == 400
    assert browser.post(where, {"title": "By form"}).headers["Location"] == f"/conversations/{conversation.pk}/"
    conversation.refresh_from_db()
    assert conversation.title == "By form"


def test_a_deleted_conversation_is_gone(browser, conversation) -> None:
    assert browser.post(f"/conversations/{conversation.pk}/delete/", headers={"accept": "application/json"}).json() == {}
    assert not Conversation.objects.exists()
    assert browser.get(f"/conversations/{conversation.pk}/").status_code == 404


def test_changing_something_needs_a_token_of_the_page(user, conversation) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.post(f"/conversations/{conversation.pk}/delete/").status_code == 403
    assert Conversation.objects.exists()


def test_a_source_page_shows_the_file_with_an_anchor_a_line_and_its_outline(browser, indexed) -> None:
    page = browser.get(source_url(indexed, "bank/accounts.py"))
    assert page.context["outline"] == [{"symbol": "Account", "line": 1}, {"symbol": "Account.withdraw", "line": 4}]
    for line in range(1, 7):
        assert f'id="L{line}"'.encode() in page.content
    assert b'id="L7"' not in page.content


@pytest.mark.parametrize("path", ["no.py", "bank", "../manifest.json", "bank/../greetings.py", "%00", "/etc/passwd"])
def test_what_the_snapshot_does_not_hold_is_not_found(browser, indexed, path) -> None:
    where = f"/source/harbor/{indexed.pk}/{path}"
    assert browser.get(where).status_code in (301, 404)
    assert browser.get(source_url(indexed, path.replace("%00", "\0"))).status_code in (301, 404)


def test_a_snapshot_whose_files_are_gone_is_not_found(browser, repository) -> None:
    assert browser.get(source_url(repository.live_snapshot, "greetings.py")).status_code == 404
    assert browser.get(f"/source/harbor/{uuid4()}/greetings.py").status_code == 404


def test_the_page_still_opens_when_the_snapshot_behind_it_is_gone(browser, repository) -> None:
    page = browser.get("/?repository=harbor")
    assert page.status_code == 200 and list(page.context["samples"]) == []


def test_the_page_still_opens_when_the_snapshot_behind_it_is_damaged(browser, indexed) -> None:
    (indexed.directory / "chunks.sqlite3").write_bytes(b"not a database" * 1000)
    page = browser.get("/?repository=harbor")
    assert page.status_code == 200 and list(page.context["samples"]) == []


@pytest.mark.event_log
def test_names_that_no_database_can_keep_are_not_found(browser, repository) -> None:
    name = "harbor%00"
    snapshot = repository.live_snapshot.pk
    for address in (f"/?repository={name}", f"/status.json?repository={name}", f"/source/{name}/{snapshot}/greetings.py"):
        assert browser.get(address).status_code == 404, address


def test_the_page_names_its_files_by_what_is_in_them(browser, tmp_path, settings) -> None:
    """As it is after `collectstatic`: a script's imports too lead to names that a browser may keep for ever."""
    settings.STATIC_ROOT = tmp_path
    storage = settings.STORAGES["staticfiles"]["BACKEND"]
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": storage}}  # made anew
    call_command("collectstatic", interactive=False, verbosity=0)
    names = re.findall(r'(?:src|href)="/static/([^"]+)"', browser.get("/").content.decode())
    assert any(name.endswith(".js") for name in names) and any(name.endswith(".css") for name in names)
    for name in names:
        assert re.search(r"\.[0-9a-f]{12}\.\w+$", name), name
        assert (tmp_path / name).is_file()
    script = next(tmp_path / name for name in names if name.startswith("js/page."))
    imports = re.findall(r'from "\./([^"]+)"', script.read_text())
    assert imports
    for name in imports:
        assert re.search(r"\.[0-9a-f]{12}\.js$", name), name
        assert (script.parent / name).is_file()


@pytest.mark.parametrize("sign_in", ["free", "required"])
def test_health_is_the_database_answering(client, db, monkeypatch, settings, sign_in) -> None:
    settings.SIGN_IN, settings.ALLOWED_HOSTS = sign_in, ["localhost"]
    client.defaults["HTTP_HOST"] = "localhost"
    assert client.get("/healthz").status_code == 200

    def gone() -> None:
        raise DatabaseError("the server closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", gone)
        response = client.get("/healthz")
    assert (response.status_code, response.content) == (503, b"the database doesn't answer\n")
