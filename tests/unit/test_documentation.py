"""What README, CONTRIBUTING and docs/ name is there."""

import re
from pathlib import Path

import pytest

from tests.support.preloaded_processes import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Not paths: a name to fill in, and addresses of the API.
OTHERS = {"media_jobs/operations/NAME.py", "media_jobs/detection/NAME.py", "uploads/direct/", "uploads/direct/ID/"}
CODE = r"(?:config|uploads|media_jobs|tests|templates|deploy|docs)/[\w./-]*(?:/|\.\w+)"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(rf"`({CODE})`", page.read_text())
    assert [path for path in named if not (ROOT / path).exists() and path not in OTHERS] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_documentation_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, heading = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not heading or heading in headings(linked.read_text()), target


def test_the_guide_of_model_servers_shows_the_example_that_the_tests_run() -> None:
    [shown] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "predict.md").read_text(), re.DOTALL)
    assert shown == (ROOT / "tests" / "example_model_server" / "server.py").read_text()


def headings(text: str) -> list[str]:
    return [
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    ]
