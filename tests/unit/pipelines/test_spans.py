"""Which nights run at once, and what becomes of a night that can't be published; no JVM."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.nights import settings_for

from shoal.errors import DataError, TryAgainError
from shoal.lake import Night
from shoal.models.registry import StatusChange
from shoal.models.suppressions import Suppression
from shoal.models.verdicts import Verdict
from shoal.pipelines import nightly, plan
from shoal.pipelines.inputs import DayFile, Inputs
from shoal.pipelines.plan import NightPlan, faults_of_inputs, plan_nights
from shoal.pipelines.span import SPAN_NIGHTS, Outcome, Span, first_span

FIRST = date(2026, 1, 1)
ONE_DAY = timedelta(days=1)


def days_of(*numbers: int) -> list[date]:
    return [FIRST + timedelta(days=number) for number in numbers]


def change(night: date, status: str = "promoted", sequence: int = 1, n: int = 1) -> StatusChange:
    version = f"host-{night}"
    return StatusChange("host", version, sequence, status, night, n, "meaning")


class Tables:
    """What planning reads: files of every day, and changes of models."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **fit: int) -> None:
        self.changes: list[StatusChange] = []
        self.nights: dict[date, Night] = {}
        self.labels: list[tuple[date | None, int, int]] = []
        self.source_days: dict[str, set[date]] = {}
        self.aged: dict[date, frozenset[str]] = {}
        self.verdicts: list[Verdict] = []
        self.rules: list[Suppression] = []
        monkeypatch.setattr(plan, "read_inputs", self.read)
        monkeypatch.setattr(plan, "config_hash", lambda _: "meaning")
        sources = [{"name": name, "kind": "zeek", "paths": ["x"]} for name in ("a", "b", "c")]
        settings = settings_for("unused", entities=["host"], fit=fit, sources=sources)  # type: ignore[arg-type]
        self.context: Any = SimpleNamespace(settings=settings, warehouse=None, faults=[])

    def read(self, _: Any, days: Sequence[date], *, since: date) -> Any:
        files = {day: [DayFile(f"content {day}", f"file {day}", 0, ("process",))] for day in days}
        return Inputs(
            files, dict(self.nights), list(self.labels), list(self.changes), self.source_days,
            self.aged, list(self.verdicts), list(self.rules),
        )  # fmt: skip

    def plans(self, *numbers: int) -> list[NightPlan]:
        return plan_nights(self.context, days_of(*numbers))


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Tables:
    return Tables(monkeypatch)


def fits(plans: Sequence[NightPlan]) -> list[int]:
    """Numbers of the nights that are due to fit."""
    return [(p.event_date - FIRST).days for p in plans if p.due]


def test_models_of_few_nights_are_soon_fitted_anew(tables: Tables) -> None:
    """On 1, 2, 4 and 8 nights, then every seven days."""
    assert fits(tables.plans(*range(30))) == [1, 2, 4, 8, 15, 22, 29]


def test_a_model_that_has_aged_is_fitted_anew_but_not_the_next_day(tables: Tables) -> None:
    tables.aged = {day: frozenset(["host"]) for day in days_of(10, 15, 18, 20)}
    # Asked for by the 10th; by the 15th after three days, not by the 18th and the 20th: by then it
    # is the calendar's again.
    assert fits(tables.plans(*range(30))) == [1, 2, 4, 8, 11, 16, 19, 26]
    tables.aged = {day: frozenset(["user"]) for day in days_of(10)}
    assert fits(tables.plans(*range(16))) == [1, 2, 4, 8, 15]


def test_what_has_been_taken_back_is_not_fitted_at_once(tables: Tables) -> None:
    tables.nights = {day: Night(day, f"run {day}", "published") for day in days_of(*range(16))}
    fitted = [change(day, n=15) for day in days_of(8, 15)]
    taken_back = replace(fitted[1], status="rolled_back", sequence=9, training_nights=None,
                         effective_date=days_of(17)[0])  # fmt: skip
    tables.changes = [*fitted, taken_back]
    plans = tables.plans(16, 17, 18, 24)
    assert fits(plans) == [24]
    serving = [p.in_force["host"].model_version for p in plans[:3]]
    assert serving == [fitted[1].model_version, *[fitted[0].model_version] * 2]


def test_a_night_whose_own_fit_was_taken_back_is_another_night(tables: Tables) -> None:
    tables.nights = {day: Night(day, f"run {day}", "published") for day in days_of(*range(8))}
    tables.changes = [change(days_of(4)[0], n=4)]
    [before] = tables.plans(8)
    tables.changes += before.expected
    [fitted] = tables.plans(8)
    assert fitted.run_id == before.run_id
    end = replace(before.expected[0], status="rolled_back", sequence=9)
    tables.changes.append(end)
    [after] = tables.plans(8)
    assert (after.due, after.expected) == ({}, ())
    assert after.serving["host"].model_version == tables.changes[0].model_version
    assert after.run_id != before.run_id


def test_what_analysts_said_before_a_night_is_an_input_of_it(tables: Tables) -> None:
    [first, *_, night] = days_of(*range(9))
    tables.nights = {day: Night(day, f"run {day}", "published") for day in days_of(*range(8))}
    tables.changes = [change(days_of(4)[0], n=4)]
    [before] = tables.plans(8)
    assert before.due
    rule = Suppression("r", "host", "entity", "a*", "known", "ann", night, night + ONE_DAY)
    tables.rules = [replace(rule, effective_date=night + ONE_DAY), replace(rule, expiry_date=night)]
    assert tables.plans(8) == [before]
    tables.rules = [rule]
    [ruled] = tables.plans(8)
    assert ruled.rules == (rule,)
    assert ruled.run_id != before.run_id
    assert ruled.due == before.due
    # Models learn from what was suspicious, not from what was malicious.
    reasons = [{"feature": "x", "term": None, "contribution": 1.0, "direction": "high"}]
    said = Verdict(
        "v", first, "host", "a", "suspicious", "pattern", 3.0, reasons, None, night, None
    )
    tables.rules, tables.verdicts = [], [said]
    [odd] = tables.plans(8)
    assert odd.run_id not in {before.run_id, ruled.run_id}
    assert (odd.verdicts, odd.due, odd.malicious) == ((said,), before.due, ())
    tables.verdicts = [replace(said, verdict="malicious")]
    [bad] = tables.plans(8)
    assert bad.malicious == tuple(tables.verdicts)
    assert bad.due["host"] != before.due["host"]
    tables.verdicts = [replace(said, verdict="malicious", entity_type="user")]
    [of_others] = tables.plans(8)
    assert of_others.due == before.due


def test_days_without_data_count_for_the_age_of_a_model_alone(tables: Tables) -> None:
    # On 1 and on 2 nights; of three nights the model is too old on the twelfth day.
    assert fits(tables.plans(0, 3, 4, 11)) == [3, 4, 11]


def test_a_fit_that_was_rejected_is_expected_to_be_rejected_again(tables: Tables) -> None:
    tables.changes = [change(days_of(1)[0], "rejected")]
    tables.nights = {day: Night(day, f"run {day}", "published") for day in days_of(0, 1)}
    later = tables.plans(2, 3, 4)
    assert fits(later) == [2, 4]
    assert [p.serving for p in later] == [{}, {}, {}]
    # Under other settings it may find enough.
    tables.changes = [replace(tables.changes[0], config_hash="other")]
    assert [len(p.serving) for p in tables.plans(2, 3, 4)] == [1, 1, 1]


def test_a_night_is_the_same_whatever_its_fit_comes_to(tables: Tables) -> None:
    [_, before] = tables.plans(0, 1)
    version = before.due["host"]
    for status in ("promoted", "rejected"):
        tables.changes = [replace(before.expected[0], status=status)]
        [_, after] = tables.plans(0, 1)
        assert (after.run_id, after.expected) == (before.run_id, ())
        assert [m.model_version for m in after.serving.values()] == [version] * (
            status == "promoted"
        )


def test_a_night_that_was_hidden_is_a_fault_unless_it_is_run_too(tables: Tables) -> None:
    [hidden] = days_of(1)
    tables.nights = {hidden: Night(hidden, "x", "publishing")}
    assert [p.hidden for p in tables.plans(0, 2)] == [(), (hidden,)]
    assert [p.hidden for p in tables.plans(0, 1, 2)] == [(), (), ()]


def test_a_source_is_missed_on_a_weekday_of_its_own(tables: Tables) -> None:
    tables.source_days = {
        "a": set(days_of(*range(20))),  # stops
        "b": set(days_of(*range(20), 21)),
        "c": set(days_of(6, 13)),  # of every seventh day
        "gone": set(days_of(*range(20))),  # no longer configured
    }
    plans = tables.plans(19, 20, 21, 22, 28)
    assert [p.stopped for p in plans] == [(), ("a", "b", "c"), ("a",), ("a", "b"), ("b",)]
    [fault] = faults_of_inputs(plans[2])
    assert fault.endswith("on its weekday in both weeks before: a")


def test_a_span_is_as_long_as_may_be_with_fits_inside(tables: Tables) -> None:
    plans = tables.plans(*range(30))
    assert any(plan.expected for plan in plans[1:SPAN_NIGHTS])
    assert first_span(plans).days == days_of(*range(SPAN_NIGHTS))


def test_a_span_ends_before_a_night_that_can_not_look_back_on_it(tables: Tables) -> None:
    assert first_span(tables.plans(0, 100, 101)).days == days_of(0)


def test_a_span_ends_before_other_labels_are_in_force(tables: Tables) -> None:
    """Peers are counted once for all nights of a span."""
    tables.changes = [change(days_of(0)[0], n=8)]
    tables.nights = {days_of(0)[0]: Night(days_of(0)[0], "run", "published")}
    tables.labels = [(None, 1, 1), (days_of(3)[0], 2, 1)]
    assert first_span(tables.plans(1, 2, 3, 4)).days == days_of(1, 2)


@pytest.mark.parametrize(
    ("status", "n_nights"), [("promoted", 4), ("rejected", 2)], ids=["expected", "surprise"]
)
def test_a_span_is_cut_after_a_fit_that_ends_otherwise_than_expected(
    tables: Tables, status: str, n_nights: int
) -> None:
    tables.changes = [change(days_of(1)[0])]
    span = Span(tuple(tables.plans(0, 1, 2, 3, 4)[1:]))
    [expected] = span.plans[1].expected
    ended = span.ended(1, [Outcome(replace(expected, status=status), "why")])
    assert len(ended.plans) == n_nights
    served = {m.model_version for m in ended.plans[1].serving.values()}
    assert served == {expected.model_version if status == "promoted" else f"host-{days_of(1)[0]}"}


class Steps:
    """Steps that only say what they were asked for."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, entities: Mapping[date, int], tables: Tables
    ) -> None:
        self.published: list[list[date]] = []
        self.fails: Exception | None = None
        monkeypatch.setattr(
            nightly,
            "build_features",
            lambda _, span: replace(span, entities={d: entities.get(d, 5) for d in span.days}),
        )
        for name in ("score", "drift", "fit_due"):
            monkeypatch.setattr(nightly, name, lambda _, span: span)
        self.aged: dict[date, frozenset[str]] = {}
        monkeypatch.setattr(nightly, "aged_models", lambda _, nights: self.aged)
        monkeypatch.setattr(nightly, "fit", self.fit)
        monkeypatch.setattr(nightly, "publish", self.publish)
        self.tables = tables

    def fit(self, _: Any, span: Span, *, only_due: bool) -> None:
        self.tables.changes += span.plans[0].expected

    def publish(self, _: Any, span: Span) -> None:
        if self.fails and days_of(3)[0] in span.days:
            raise self.fails
        self.published.append(span.days)
        self.tables.aged |= {day: kinds for day, kinds in self.aged.items() if day in span.days}
        self.tables.nights |= {night.event_date: night for night in span.nights}


def test_a_night_without_an_entity_is_left_out_and_those_around_it_are_run(
    monkeypatch: pytest.MonkeyPatch, tables: Tables
) -> None:
    steps = Steps(monkeypatch, {days_of(0)[0]: 0, days_of(3)[0]: 0}, tables)
    done = nightly._run_all(tables.context, days_of(0, 1, 2, 3, 4, 5))
    assert done == days_of(1, 2, 4, 5)
    assert steps.published == [days_of(1, 2), days_of(4, 5)]
    assert [fault[:10] for fault in tables.context.faults] == ["2026-01-01", "2026-01-04"]
    assert all("events, but no host in them" in fault for fault in tables.context.faults)


def test_what_is_wrong_with_one_night_does_not_keep_back_those_before_it(
    monkeypatch: pytest.MonkeyPatch, tables: Tables
) -> None:
    steps = Steps(monkeypatch, {}, tables)
    steps.fails = DataError("no finite score")
    with pytest.raises(DataError, match="no finite score"):
        nightly._run_all(tables.context, days_of(*range(6)))
    assert steps.published == [days_of(0), days_of(1), days_of(2)]


def test_a_run_that_must_try_again_does_not_try_night_by_night(
    monkeypatch: pytest.MonkeyPatch, tables: Tables
) -> None:
    steps = Steps(monkeypatch, {}, tables)
    steps.fails = TryAgainError("lost the lease")
    with pytest.raises(TryAgainError):
        nightly._run_all(tables.context, days_of(*range(6)))
    assert steps.published == []


def test_a_span_ends_where_a_night_asks_for_a_refit(
    monkeypatch: pytest.MonkeyPatch, tables: Tables
) -> None:
    steps = Steps(monkeypatch, {}, tables)
    [last] = days_of(11)
    tables.changes = [change(days_of(8)[0], n=8)]
    tables.nights = {day: Night(day, f"run {day}", "published") for day in days_of(*range(9))}
    steps.aged = {last: frozenset(["host"])}
    assert nightly._run_all(tables.context, days_of(*range(9, 15))) == days_of(*range(9, 15))
    assert steps.published == [days_of(9, 10, 11), days_of(12, 13, 14)]
    assert tables.changes[-1].effective_date == days_of(12)[0]
