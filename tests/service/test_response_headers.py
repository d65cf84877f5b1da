"""Headers and error pages for browsers and programs."""

import pytest

from tests.support.server import Server


@pytest.mark.parametrize(
    "path", ["/api/v1/files/", "/healthz", "/nothing", "/api/v1/nothing/", "/static/problem.css"]
)
def test_everywhere_the_policy_is_strict(path: str, shared_server: Server) -> None:
    policy = shared_server.get(path, {"Accept": "text/html,*/*"}, user="alice").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_below_admin_alpine_may_evaluate_and_our_media_play_and_nothing_else_is_looser(shared_server: Server) -> None:
    policy = shared_server.get("/admin/login/").headers["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval'" in policy
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "; media-src 'self';" in policy
    assert "script-src 'self' 'unsafe-inline'" not in policy
    assert "default-src 'none'" in policy


def test_other_headers_that_protect_are_there(shared_server: Server) -> None:
    headers = shared_server.get("/admin/login/").headers
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_a_browser_gets_a_page_for_what_goes_wrong_outside_the_api(shared_server: Server) -> None:
    answer = shared_server.get("/nothing", {"Accept": "text/html,application/xhtml+xml"})
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (404, "text/html")
    assert "This page does not exist." in answer.body.decode()
    assert "<script" not in answer.body.decode()


def test_a_program_gets_a_problem_wherever_it_goes_wrong(shared_server: Server) -> None:
    assert shared_server.get("/nothing", {"Accept": "application/json"}).code == "not_found"
    assert shared_server.get("/api/v1/nothing/", {"Accept": "text/html"}).code == "not_found"


def test_a_host_that_is_not_ours_is_refused(shared_server: Server) -> None:
    answer = shared_server.get("/healthz", {"Host": "evil.example", "Accept": "application/json"})
    assert answer.status == 400
    assert "evil.example" not in answer.body.decode()
