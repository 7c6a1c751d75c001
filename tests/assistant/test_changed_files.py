"""Which files have changed since an answer's snapshot, from what the database and the snapshots hold."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from assistant.changed_files import Changed, changed_since
from assistant.status import status
from indexer.models import Repository, Snapshot, SourceCheck
from tests.indexer.builds import SMALL, Bench, make_live, published, write_files

pytestmark = pytest.mark.django_db
PATHS = ["greetings.py", "README.md", "bank/accounts.py"]


@pytest.fixture
def snapshots(repository: Repository, tmp_path: Path, settings) -> list[Snapshot]:
    """Three builds: the second has another greetings.py, the third is without README.md. The second is live."""
    settings.INDEX_ROOT = tmp_path / "indexes"
    bench = Bench(tmp_path, SMALL)
    made = []
    for number in range(3):
        if number == 1:
            write_files(bench.source, {"greetings.py": "version = 1\n"})
        if number == 2:
            (bench.source / "README.md").unlink()
        made.append(published(bench, repository, str(number) * 40))
    make_live(repository, made[1])
    return made


def check(snapshot: Snapshot, changed: dict[str, str], **more: object) -> SourceCheck:
    told = {"checked_at": timezone.now(), "due_at": timezone.now(), "changed": changed, "changed_files": len(changed), **more}
    return SourceCheck.objects.create(repository=snapshot.repository, snapshot=snapshot, **told)


def test_of_the_live_snapshot_nothing_is_known_before_anybody_has_looked(snapshots) -> None:
    assert changed_since(snapshots[1], PATHS) == Changed(None)


def test_a_look_at_the_source_tells_what_is_changed_and_what_is_gone(snapshots) -> None:
    seen = check(snapshots[1], {"greetings.py": "f" * 40, "README.md": "", "other.py": "e" * 40})
    told = changed_since(snapshots[1], ["greetings.py", "README.md"])
    assert told == Changed(seen.checked_at, {"greetings.py": "changed", "README.md": "gone"})


def test_an_older_snapshot_is_compared_with_the_live_one(snapshots) -> None:
    assert changed_since(snapshots[0], PATHS) == Changed(snapshots[1].created_at, {"greetings.py": "changed"})


def test_an_older_snapshot_whose_file_is_again_as_it_was_has_not_changed(snapshots) -> None:
    from indexer.source import blob_id

    check(snapshots[1], {"greetings.py": blob_id(SMALL["greetings.py"].encode())})
    assert changed_since(snapshots[0], PATHS).changed == {}
    assert changed_since(snapshots[1], PATHS).changed == {"greetings.py": "changed"}


def test_a_look_from_before_the_live_snapshot_was_made_is_not_believed(repository, snapshots) -> None:
    check(snapshots[1], {"greetings.py": "f" * 40}, checked_at=snapshots[2].created_at - timedelta(seconds=1))
    make_live(repository, snapshots[2])
    assert changed_since(snapshots[2], PATHS) == Changed(None)
    assert changed_since(snapshots[1], PATHS).changed == {"README.md": "gone"}


def test_a_snapshot_that_has_gone_from_the_disk_tells_nothing(snapshots) -> None:
    Path(snapshots[0].directory / "manifest.json").unlink()
    assert changed_since(snapshots[0], PATHS) == Changed(None)


def test_status_tells_what_was_seen_and_no_counts_for_another_snapshot(repository, snapshots) -> None:
    assert status(repository)["repository"]["source"] is None
    seen = check(snapshots[1], {"a.py": ""}, behind=3, added_files=2, ref="main", commit="9" * 40)
    told = {"commit": "9" * 40, "ref": "main", "checked_at": seen.checked_at.isoformat(), "problem": ""}
    assert status(repository)["repository"]["source"] == {**told, "behind": 3, "changed": 1, "added": 2}
    make_live(repository, snapshots[0])
    assert status(repository)["repository"]["source"] == {**told, "behind": None, "changed": None, "added": None}


def test_a_source_that_was_never_seen_tells_why(repository, snapshots) -> None:
    seen = check(snapshots[1], {}, checked_at=None)
    assert status(repository)["repository"]["source"] is None
    SourceCheck.objects.filter(pk=seen.pk).update(problem="git ls-remote failed: Could not resolve host.")
    assert status(repository)["repository"]["source"]["problem"] == "git ls-remote failed: Could not resolve host."


def test_only_who_may_see_a_repository_is_told_and_odd_ids_are_not_found(
    snapshots, user: User, stranger: User, settings
) -> None:
    settings.SIGN_IN, settings.ALLOWED_HOSTS = "required", ["testserver"]
    check(snapshots[1], {"greetings.py": "f" * 40})
    client = Client()
    client.force_login(user)
    asked = {"snapshot": str(snapshots[1].pk), "path": PATHS}
    assert client.get("/changed.json", asked).json()["changed"] == {"greetings.py": "changed"}
    assert client.get("/changed.json", {**asked, "snapshot": "x"}).status_code == 404
    assert client.get("/changed.json").status_code == 404
    client.force_login(stranger)
    assert client.get("/changed.json", asked).status_code == 404
