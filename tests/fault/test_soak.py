"""The soak of `make drill` for some seconds: that it loads, hurts, measures, and would find what is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drill.soak.content import unseen
from tests.drill.soak.ledger import Ledger
from tests.drill.soak.load import Load
from tests.drill.soak.run import hurt, installed, judge
from tests.drill.soak.scene import Scene
from tests.drill.stage import make_film
from tests.support.admin_client import signed_in
from tests.support.mail_server import mail_server
from tests.support.server import Template

FAULTS = ("clients that disconnect", "kill -9 of the quick slot")


@pytest.fixture
def scene(template: Template, tmp_path: Path) -> Iterator[Scene]:
    with mail_server() as mails, installed(tmp_path, template, "", mails) as (serve, server):
        film = make_film(tmp_path, 1)  # with sound, or the jobs that take it would rightly fail
        load = Load(server, signed_in(server, "operator"), film, Ledger())
        yield Scene(serve, load, mails, has_own_disk=False)


def test_a_soak_of_some_seconds_holds_and_names_a_file_that_is_lost(scene: Scene) -> None:
    said: list[str] = []
    taken = hurt(scene, 4, said.append, FAULTS.__getitem__, every=2)
    # Without the samples: in the first seconds everything grows.
    assert judge(scene, [], said.append) == 0, "\n".join(said)
    assert len(scene.load.ledger.files) > 0
    assert {each.subject for each in taken} >= {
        "serve",
        "web",
        "web worker",
        "housekeeping",
        "quick",
        "heavy",
        "work",
    }

    content, _ = unseen(scene.load.film, 1000)
    scene.load.ledger.files["00000000-0000-0000-0000-000000000007"] = content
    assert judge(scene, [], said.append) == 1, "\n".join(said)
