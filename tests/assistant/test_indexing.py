"""Having a repository indexed from the page: who may, and what becomes of it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_tasks_db.models import DBTaskResult

from indexer.models import IndexJob, Repository

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def accounts(settings) -> None:
    settings.SIGN_IN, settings.ALLOWED_HOSTS = "required", ["testserver"]


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_an_owner_queues_one_build_however_often_they_ask(repository: Repository, user: User) -> None:
    browser = browser_of(user)
    for _ in range(2):
        assert browser.post("/repositories/index/", {"repository": "harbor"}).status_code == 200
    assert IndexJob.objects.get().state == "queued"
    assert DBTaskResult.objects.get().task_path == "indexer.queue.index"
    page = browser.get("/?repository=harbor").content.decode()
    assert "Index again" in page


def test_staff_may_and_who_may_only_ask_may_not(repository: Repository, stranger: User) -> None:
    Repository.objects.update(visibility="public")
    refused = browser_of(stranger).post("/repositories/index/", {"repository": "harbor"})
    assert (refused.status_code, refused.json()["message"]) == (403, "Only its owner and staff may have it indexed.")
    assert "Index again" not in browser_of(stranger).get("/?repository=harbor").content.decode()
    assert not IndexJob.objects.exists()
    staff = User.objects.create_user("sam", is_staff=True)
    assert browser_of(staff).post("/repositories/index/", {"repository": "harbor"}).status_code == 200
    assert IndexJob.objects.exists()


def test_what_somebody_may_not_see_is_not_there_and_a_form_of_another_site_is_refused(
    repository: Repository, stranger: User, user: User
) -> None:
    assert browser_of(stranger).post("/repositories/index/", {"repository": "harbor"}).status_code == 404
    foreign = Client(enforce_csrf_checks=True)
    foreign.force_login(user)
    assert foreign.post("/repositories/index/", {"repository": "harbor"}).status_code == 403
    assert not IndexJob.objects.exists()


def test_on_a_laptop_everybody_may(repository: Repository, settings) -> None:
    settings.SIGN_IN, settings.ALLOWED_HOSTS = "free", ["localhost"]
    Repository.objects.update(visibility="public")
    assert Client(headers={"host": "localhost"}).post("/repositories/index/", {"repository": "harbor"}).status_code == 200
    assert IndexJob.objects.exists()
