"""Parts of our dependencies that their documentation does not promise: pinned, named once, and unchanged.

After an upgrade that changed one of them a test here fails. Compare the part with the module of ours that uses it,
change that module if it has to, and put the new digest, which the failure prints, into the table.
"""

import ast
import hashlib
import inspect
import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name

import pytest
from django.template.loader import get_template

ROOT = Path(__file__).resolve().parents[2]
PINNED = ("django", "django-rest-knox", "django-unfold", "gunicorn", "kombu")

# By the module of ours that uses or overrides it: the part, and the start of its source's SHA-256.
PARTS = {
    "config/web_server/gunicorn_private.py": {
        "gunicorn.http:get_parser": "b7d8dcde91e2",
        "gunicorn.http.body:Body": "2a2afc0b6a50",
        "gunicorn.http.body:ChunkedReader": "c1aa79e0ae04",
        "gunicorn.http.body:LengthReader": "3b01bc7c21a2",
        "gunicorn.http.errors:LimitRequestHeaders": "a7825c75c6b2",
        "gunicorn.http.message:Request": "5fb06ef65d3b",
        "gunicorn.http.parser:Parser": "3a9c06e348c7",
        "gunicorn.http.unreader:Unreader": "84aaa8f91fcd",
        "gunicorn.http.wsgi:FileWrapper": "8f7142e80806",
        "gunicorn.http.wsgi:Response": "d67f8e6b29d7",
        "gunicorn.http.wsgi:create": "2c35d4a2dc62",
        "gunicorn.util:close": "ce55cfa95222",
        "gunicorn.util:has_fileno": "1faf7f215524",
        "gunicorn.workers.base:Worker": "41bcd41fbc75",
        "gunicorn.workers.gthread:TConn": "e3a2878ba952",
        "gunicorn.workers.gthread:PollableMethodQueue": "5b4a78bd3cfb",
        "gunicorn.workers.gthread:ThreadWorker": "2cde92a57d7b",
    },
    "config/backends/file_broker.py": {
        "kombu.transport.filesystem:Channel": "3ba6c9ba643b",
        "kombu.transport.filesystem:Transport": "f22c670083df",
    },
    "config/backends/sqlite3/base.py": {
        "django.db.backends.base.base:BaseDatabaseWrapper._close": "d1a3f0e9a11c",
        "django.db.backends.base.base:BaseDatabaseWrapper.close": "273787740ca0",
        "django.db.backends.base.base:BaseDatabaseWrapper.connect": "65ad70c3f9c2",
        "django.db.backends.sqlite3.base:DatabaseWrapper.close": "3a46dac491ee",
        "django.db.backends.sqlite3.base:DatabaseWrapper.get_new_connection": "99ddcd001213",
        "django.db.utils:DatabaseErrorWrapper": "2c378e1e9ffe",
    },
    "uploads/runtime/django_private.py": {
        "django.contrib.auth.middleware:get_user": "f663ed77b28c",
        "django.core.handlers.wsgi:WSGIRequest._get_post": "7674420f8509",
        "django.core.handlers.wsgi:WSGIRequest.FILES": "3d61524e4a70",
        "django.http.request:QueryDict._assert_mutable": "ae097fac3d21",
        "django.http.response:HttpResponseBase.close": "84589f5b23ac",
    },
    "uploads/access/authentication.py": {
        "django.middleware.csrf:CsrfViewMiddleware": "461e7a1110de",
        "knox.auth:TokenAuthentication": "7b5adf1263d9",
    },
    "uploads/admin/lists/fast_pages.py": {
        "django.contrib.admin.views.main:ChangeList._get_deterministic_ordering": "26fcd71a5ce5",
        "django.contrib.admin.views.main:ChangeList.get_ordering": "61e3833355d8",
        "django.contrib.admin.views.main:ChangeList.get_results": "89110a3ebb16",
        "unfold.paginator:InfinitePaginator": "bff822d6301f",
        "unfold.views:ChangeList": "a1650f133174",
    },
    "uploads/admin/lists/unfold_private.py": {
        "unfold.fields:UnfoldAdminReadonlyField": "0956958cb674",
        "unfold.templatetags.unfold_list:items_for_result": "660f8ddcff3a",
        "unfold.templatetags.unfold_list:result_headers": "df49bcdaadbe",
        "unfold.utils:display_for_field": "26bd4e54a524",
    },
}
# Templates of unfold that ours include.
TEMPLATES = {
    "unfold/helpers/delete_submit_line.html": "70849abab731",
    "unfold/helpers/field.html": "0daae211393f",
    "unfold/helpers/messages/error.html": "9d0f8597212e",
    "unfold/helpers/site_branding.html": "fe1856419a94",
}


def digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def source_of(part: str) -> str:
    found = resolve_name(part)
    if isinstance(found, property):
        found = found.fget
    return inspect.getsource(inspect.unwrap(getattr(found, "func", found)))


@pytest.mark.parametrize(("ours", "part"), [(ours, part) for ours, parts in PARTS.items() for part in parts])
def test_a_private_part_is_as_we_know_it(ours: str, part: str) -> None:
    try:
        found = digest(source_of(part))
    except (AttributeError, ImportError) as error:
        pytest.fail(f"{part} is gone ({error}). Change {ours}, which uses it.")
    assert found == PARTS[ours][part], (
        f"{part} has changed. Compare it with {ours}, and put {found!r} into {Path(__file__).name}."
    )


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_of_unfold_that_ours_include_is_as_we_know_it(name: str) -> None:
    found = digest(get_template(name).template.source)  # type: ignore[attr-defined]  # Django's own engine has it
    assert found == TEMPLATES[name], (
        f"{name} of unfold has changed. Look at the pages that include it, and put {found!r} into "
        f"{Path(__file__).name}."
    )


def test_every_template_of_unfold_that_ours_include_is_listed() -> None:
    ours = [path for app in ("config", "media_jobs", "templates", "uploads") for path in (ROOT / app).rglob("*.html")]
    assert set(TEMPLATES) == {name for path in ours for name in re.findall(r'"(unfold/[^"]+)"', path.read_text())}


@pytest.mark.parametrize("package", PINNED)
def test_what_has_private_parts_is_pinned_to_one_version_and_that_is_installed(package: str) -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"{package}=={version(package)}" in wanted


def test_gunicorn_is_imported_by_one_module_alone() -> None:
    importers = {
        str(path.relative_to(ROOT))
        for app in ("config", "media_jobs", "uploads")
        for path in (ROOT / app).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gunicorn")
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "gunicorn" for alias in node.names))
    }
    assert importers == {"config/web_server/gunicorn_private.py"}


def test_no_other_module_touches_an_attribute_that_its_owner_calls_private() -> None:
    """Documented, in spite of their names: `_meta`, `_state`, `_replace` of a namedtuple, `_request` of DRF."""
    documented = {"_exit", "_meta", "_name", "_replace", "_request", "_state"}
    named = set(PARTS)
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for app in ("config", "media_jobs", "uploads")
        for path in (ROOT / app).rglob("*.py")
        if str(path.relative_to(ROOT)) not in named
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
        if node.attr not in documented
        if ast.unparse(node.value) not in {"self", "cls", "super()"}
    ]
    assert found == []
