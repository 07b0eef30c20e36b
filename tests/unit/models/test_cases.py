"""Which lines are one case."""

from datetime import datetime, timedelta
from typing import Any

from shoal.models.cases import MOST_SHARING, joined_cases

NOON = datetime(2026, 9, 28, 12)


def item(
    value: str, *, sharing: int = 1, hours: float = 0.0, events: tuple[str, ...] = (),
    dimension: str = "program",
) -> dict[str, Any]:  # fmt: skip
    first = NOON + timedelta(hours=hours)
    return {
        "dimension": dimension, "value": value, "entities_sharing": sharing,
        "first_ts": first, "last_ts": first + timedelta(hours=1), "sample_event_ids": [*events],
    }  # fmt: skip


def line(name: str, *evidence: dict[str, Any], kind: str = "host", **others: Any) -> dict[str, Any]:
    return {
        "entity_type": kind, "entity_id": name, "case_id": f"case of {kind} {name}",
        "lane": "stray", "days_in_row": 1, "evidence": [*evidence], **others,
    }  # fmt: skip


def cases(*lines: dict[str, Any]) -> list[str]:
    return [found["case_id"].removeprefix("case of ") for found in joined_cases(lines)]


def test_a_host_a_user_and_an_address_that_share_what_is_rare_are_one_case() -> None:
    tool, port = item("mimikatz.exe"), item("tcp/4444", dimension="port")
    found = cases(
        line("ws-1", tool, item("cmd.exe", sharing=40)),
        line("lena", tool, port, kind="user"),
        line("10.0.0.7", port, kind="source_address"),
        line("ws-2", item("cmd.exe", sharing=40)),
    )
    assert found == ["host ws-1", "host ws-1", "host ws-1", "host ws-2"]


def test_what_joins_is_rare_and_of_one_time_or_one_event() -> None:
    def pair(own: dict[str, Any], other: dict[str, Any]) -> bool:
        return len(set(cases(line("a", own), line("b", other)))) == 1

    assert pair(item("x"), item("x", hours=0.9))
    assert not pair(item("x"), item("x", hours=1.1))
    assert not pair(item("x"), item("y"))
    assert not pair(item("x"), item("x", dimension="port"))
    assert pair(item("x", sharing=MOST_SHARING), item("x", sharing=MOST_SHARING))
    assert not pair(item("x", sharing=MOST_SHARING + 1), item("x", sharing=MOST_SHARING + 1))
    # The same event, under another value of it.
    assert pair(item("x", events=("e1",)), item("y", events=("e0", "e1")))


def test_whose_evidence_names_another_line_is_of_its_case() -> None:
    found = cases(
        line("ws-1", item("svc_deploy", dimension="user")),
        line("svc_deploy", kind="user"),
        line("10.0.0.7", kind="source_address"),
    )
    assert found == ["host ws-1", "host ws-1", "source_address 10.0.0.7"]
    # A program of that name is nobody.
    assert len(set(cases(line("ws-1", item("lena")), line("lena", kind="user")))) == 2


def test_the_case_that_is_longest_on_the_list_goes_on() -> None:
    shared = item("x")
    found = cases(
        line("new", shared), line("old", shared, days_in_row=4), line("older", days_in_row=9)
    )
    assert found == ["host old", "host old", "host older"]


def test_a_group_goes_with_its_members_and_who_stands_is_in_nobodys_case() -> None:
    group = {"case_id": "case of group", "lane": "microcluster"}
    found = cases(
        line("scanner", item("x"), lane="standing"),
        line("m1", item("x"), **group),
        line("m2", **group),
        line("alone", item("x", hours=0.5)),
    )
    assert found == ["host scanner", "group", "group", "group"]
