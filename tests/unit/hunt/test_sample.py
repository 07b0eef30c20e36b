"""Who is worth a verdict, of tables that are made up."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from tests.support.made_up import MadeUp

from shoal.hunt.sample import sample_night

DAY = date(2026, 9, 28)
NIGHT = {"event_date": DAY, "run_id": "r", "state": "published"}
SCORES = [
    {"event_date": DAY, "run_id": "r", "entity_type": "host", "entity_id": f"h{n:02d}",
     "slice": "all", "anomaly_score": float(n % 7), "p_value": 10.0 ** -(n % 7),
     "log_density": -float(n), "severity": "low"}
    for n in range(20)
]  # fmt: skip


def key(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("event_date", "run_id", "entity_type", "entity_id")}


def test_it_is_of_those_that_no_list_and_no_verdict_tells_of() -> None:
    listed, judged = key(SCORES[6]), key(SCORES[13])
    reader = MadeUp(
        {"nights": [NIGHT], "entity_scores": SCORES, "outliers": [listed], "verdicts": [judged]}
    )
    night, found = sample_night(reader, None, size=2)
    assert night.event_date == DAY
    by_kind = [(row["sampled_as"], row["entity_id"]) for row in found]
    # Of the seven scores the highest are h06 and h13, which are listed and judged; then h05, h12.
    assert by_kind[:4] == [
        ("gray zone", "h05"), ("gray zone", "h12"), ("unlikely", "h19"), ("unlikely", "h18"),
    ]  # fmt: skip
    assert [kind for kind, _ in by_kind[4:]] == ["control", "control"]
    assert len({name for _, name in by_kind}) == 6
    assert found == sample_night(reader, DAY, size=2)[1]
    _, everybody = sample_night(reader, None, size=20)
    names = {row["entity_id"] for row in everybody}
    assert names == {row["entity_id"] for row in SCORES} - {"h06", "h13"}


def test_what_is_drawn_by_chance_is_others_on_another_night() -> None:
    later = date(2026, 9, 29)
    rows = [*SCORES, *({**row, "event_date": later} for row in SCORES)]
    nights = [NIGHT, {**NIGHT, "event_date": later}]
    reader = MadeUp({"nights": nights, "entity_scores": rows})
    drawn = [
        [row["entity_id"] for row in sample_night(reader, day, size=4)[1] if
         row["sampled_as"] == "control"]
        for day in (DAY, later)
    ]  # fmt: skip
    assert drawn[0] != drawn[1]


def test_a_night_without_scores_gives_nobody() -> None:
    assert sample_night(MadeUp({"nights": [NIGHT]}), None)[1] == []
