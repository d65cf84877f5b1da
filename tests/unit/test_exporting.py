import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import format_html
from model_bakery import baker

from uploads.admin.lists import csv_export
from uploads.admin.lists.csv_export import Export, cell, csv_blocks, newest_first
from uploads.errors import ServerBusy
from uploads.models import Upload


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_a_text_that_a_spreadsheet_would_calculate_stays_a_text(begin: str) -> None:
    assert cell(f"{begin}cmd|' /C calc'!A0") == f"'{begin}cmd|' /C calc'!A0"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, ""),
        (-5, -5),
        (True, "yes"),
        ("a = b", "a = b"),
        (datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
        (format_html('<b title="{0}">{0}</b>\n<i>{1}</i>', "<script>", "=1"), "<script> =1"),
        (format_html("<b>{}</b>", "=1+1"), "'=1+1"),
    ],
)
def test_a_value_is_written_as_people_read_it(value: object, written: object) -> None:
    assert cell(value) == written


def test_what_was_written_is_read_back_as_it_was() -> None:
    row = ['quotes "', "commas, and", "lines\r\nand lines", "日本 🎬"]
    written = "".join(csv_blocks(["a", "b", "c", "d"], [row] * 250))
    assert written.startswith('a,b,c,d\r\n"quotes """,')
    assert list(csv.reader(io.StringIO(written, newline="")))[1:] == [row] * 250


@pytest.mark.django_db
def test_all_rows_come_once_in_blocks_even_those_of_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_export, "_ROWS_PER_QUERY", 3)
    made: Callable[..., Any] = baker.make
    uploads = made(Upload, _quantity=8)
    Upload.objects.filter(pk__in=[upload.pk for upload in uploads[:5]]).update(
        created_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    with CaptureQueriesContext(
        connection,
    ) as queries:
        rows = list(newest_first(Upload.objects.all(), "created_at"))
    assert [row.pk for row in rows] == list(
        Upload.objects.order_by("-created_at", "-pk").values_list("pk", flat=True)
    )
    assert len(queries) == 3


def test_only_so_many_exports_take_threads_at_a_time() -> None:
    def export() -> Export:
        return Export(csv_blocks(["a"], [["b"]]))

    begun = [export() for _ in range(8)]
    with pytest.raises(ServerBusy):
        export()
    begun[0].close()  # as with its answer, when all is sent or its client is gone
    begun[0].close()
    last = export()
    assert "".join(last) == "a\r\nb\r\n"
    with pytest.raises(ServerBusy):
        export()
    last.close()
    begun.clear()  # answers that were never sent
    assert len([export() for _ in range(8)]) == 8
