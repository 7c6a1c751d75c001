"""Without sign-in a server is safe only because nobody else reaches it; with sign-in every page needs an account."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.checks import run_checks
from django.test import Client
from django.urls import reverse

from assistant.checks import TAG
from assistant.sign_in import LOCAL_USER, SocketSignIn, from_local_page, is_loopback, local_user
from tests.processes import ROOT, environment


@pytest.fixture
def client() -> Client:
    """A browser that was pointed at this machine."""
    return Client(headers={"host": "localhost:8000"})


@pytest.fixture
def free(settings: Any) -> None:
    settings.SIGN_IN = "free"


@pytest.fixture
def required(settings: Any) -> None:
    settings.SIGN_IN = "required"


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LOCALHOST", "127.0.0.1", "127.0.0.1:8000", "127.8.9.1", "[::1]", "[::1]:8000", "::1"],
)
def test_a_loopback_name_or_address_means_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":8000",
        "0.0.0.0",
        "0.0.0.0:8000",
        "::",
        "[::]:8000",
        "192.168.0.7",
        "10.0.0.1:8000",
        "sextant.example",
        "localhost.evil.com",
        "evil.com.localhost.evil.com:8000",
        "notlocalhost",
        "127.0.0.1.evil.com",
        "127.0.0.1.evil.com:8000",
        "127.0.0.1@evil.com",
        "evil.com@localhost",
        "localhost@evil.com:8000",
        "localhost/.evil.com",
        "localhost#.evil.com",
        "localhost\n",
        "[::1",
        "[::1].evil.com",
        "[::1]evil.com:8000",
        "[2001:db8::1]:8000",
    ],
)
def test_nothing_else_means_this_machine(host: str) -> None:
    assert not is_loopback(host)


# --- SEXTANT_SIGN_IN=free -----------------------------------------------------------------------------------------------


def test_without_sign_in_everybody_on_this_machine_is_the_local_user(db: None, free: None, client: Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert page.wsgi_request.user == User.objects.get(username=LOCAL_USER)


def test_without_sign_in_a_name_that_is_not_allowed_is_refused(db: None, free: None, client: Client) -> None:
    assert client.get("/", headers={"host": "sextant.evil.com"}).status_code == 400


@pytest.mark.parametrize("host", ["sextant.evil.com", "localhost.evil.com:8000", "127.0.0.1.evil.com", "192.168.0.7:8000"])
def test_without_sign_in_a_foreign_name_is_refused_even_where_every_name_is_allowed(
    db: None, free: None, settings: Any, client: Client, host: str
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    for path in ("/", "/status.json"):
        assert client.get(path, headers={"host": host}).status_code == 403, path
    assert not User.objects.exists()


def test_nobody_can_sign_in_as_the_local_user(db: None, required: None, client: Client) -> None:
    local_user()
    for password in ("", "!", "local"):
        client.post("/sign-in/", {"username": LOCAL_USER, "password": password})
        assert client.get("/").status_code == 302


def test_the_local_user_is_made_once(db: None) -> None:
    assert local_user() == local_user()
    assert not local_user().has_usable_password()


def opened_from(origin: str | None, host: str = "localhost:8000") -> dict[str, Any]:
    headers = [(b"host", host.encode())]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    return {"type": "websocket", "headers": headers, "user": AnonymousUser()}


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8000", "localhost:8000"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://localhost", "localhost"),
    ],
)
def test_this_servers_own_page_may_open_a_socket(origin: str, host: str) -> None:
    assert from_local_page(opened_from(origin, host))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "localhost:8000"),
        ("", "localhost:8000"),
        ("null", "localhost:8000"),
        ("http://evil.com", "localhost:8000"),
        ("http://localhost.evil.com:8000", "localhost:8000"),
        ("http://localhost:3000", "localhost:8000"),  # another program's page on this machine
        ("http://127.0.0.1:8000", "localhost:8000"),
        ("http://evil.com:8000", "evil.com:8000"),  # a foreign name that was pointed at this machine
        (None, ""),
        ("", ""),
    ],
)
def test_no_other_page_may_open_a_socket(origin: str | None, host: str) -> None:
    assert not from_local_page(opened_from(origin, host))


async def user_of_socket(scope: dict[str, Any]) -> Any:
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["user"])

    await SocketSignIn(application)(scope, None, None)
    return seen[0]


@pytest.mark.django_db(transaction=True)
async def test_without_sign_in_a_socket_of_our_own_page_is_the_local_users(free: None) -> None:
    assert (await user_of_socket(opened_from("http://localhost:8000"))).username == LOCAL_USER


@pytest.mark.django_db(transaction=True)
async def test_without_sign_in_a_socket_of_another_page_is_nobodys_even_when_signed_in(free: None) -> None:
    ada = User(username="ada")
    assert (await user_of_socket({**opened_from("http://localhost:3000"), "user": ada})).is_anonymous


async def test_with_sign_in_a_socket_keeps_the_user_of_its_session(required: None) -> None:
    ada = User(username="ada")
    assert await user_of_socket({**opened_from("http://localhost:8000"), "user": ada}) is ada
    assert (await user_of_socket(opened_from("http://localhost:8000"))).is_anonymous


# --- SEXTANT_SIGN_IN=required -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("home", ()),
        ("conversation", (uuid4(),)),
        ("rename", (uuid4(),)),
        ("delete", (uuid4(),)),
        ("source", ("harbor", uuid4(), "guards.py")),
        ("source", ("harbor", uuid4(), "settings.yaml")),
    ],
)
def test_with_sign_in_a_page_leads_to_the_sign_in_page_and_back(
    db: None, required: None, client: Client, name: str, arguments: tuple[Any, ...]
) -> None:
    path = reverse(name, args=arguments)
    for answer in (client.get(path), client.post(path)):
        assert answer.status_code == 302
        assert answer.headers["Location"] == f"/sign-in/?next={path}"


def test_with_sign_in_status_is_refused_in_json(db: None, required: None, client: Client) -> None:
    answer = client.get("/status.json")
    assert answer.status_code == 401
    assert answer.json() == {"message": "Sign in first."}


def test_with_sign_in_a_script_whose_session_has_ended_is_refused_in_json(db: None, required: None, client: Client) -> None:
    """A redirect would lead it to the sign-in page, and there to a status of 200."""
    for name in ("rename", "delete"):
        answer = client.post(reverse(name, args=(uuid4(),)), headers={"accept": "application/json"})
        assert (answer.status_code, answer.json()) == (401, {"message": "Sign in first."})


def test_with_sign_in_a_source_file_that_ends_in_json_leads_to_the_sign_in_page(
    db: None, required: None, client: Client
) -> None:
    path = reverse("source", args=("harbor", uuid4(), "package.json"))
    assert client.get(path).headers["Location"] == f"/sign-in/?next={path}"


def test_with_sign_in_an_account_opens_the_page(db: None, required: None, client: Client) -> None:
    User.objects.create_user("ada", password="correct horse")
    assert client.get("/sign-in/").status_code == 200
    answer = client.post("/sign-in/?next=/", {"username": "ada", "password": "correct horse"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert client.get("/").wsgi_request.user.get_username() == "ada"
    assert client.get("/status.json").status_code == 200


def test_with_sign_in_a_wrong_password_opens_nothing(db: None, required: None, client: Client) -> None:
    User.objects.create_user("ada", password="correct horse")
    assert client.post("/sign-in/", {"username": "ada", "password": "battery staple"}).status_code == 200
    assert client.get("/").status_code == 302


@pytest.mark.parametrize("way", ["free", "required"])
def test_health_is_open_to_all(db: None, settings: Any, client: Client, way: str) -> None:
    settings.SIGN_IN = way
    for accepted in ("*/*", "application/json"):
        answer = client.get("/healthz", headers={"accept": accepted})
        assert (answer.status_code, answer.content) == (200, b"ok\n")


# --- what must hold before the web process starts -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "host", "refused"),
    [
        ("free", "0.0.0.0", True),
        ("free", "::", True),
        ("free", "192.168.0.7", True),
        ("free", "127.0.0.1", False),
        ("free", "::1", False),
        ("free", "localhost", False),
        ("required", "0.0.0.0", False),
    ],
)
def test_without_sign_in_a_server_listens_only_on_this_machine(settings: Any, way: str, host: str, refused: bool) -> None:
    settings.SIGN_IN, settings.HOST = way, host
    assert [problem.id for problem in run_checks(tags=[TAG])] == (["sextant.E001"] if refused else [])


def test_the_web_process_does_not_start_where_others_would_reach_it_without_sign_in(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import assistant.asgi"],
        cwd=ROOT,
        env=environment(tmp_path, SEXTANT_SIGN_IN="free", SEXTANT_HOST="0.0.0.0"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Sextant can't start: SEXTANT_SIGN_IN=free")
