"""What a night stands on: its inputs, the models that serve it, and the ``run_id`` of both.

Every step plans anew from tables alone and arrives at the same ``run_id``, because a model's
version is known before it is fitted: it is a hash of what it will be fitted on. For the same reason
the nights of a range can be planned before the first of them has run.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from shoal.config import Settings, config_hash
from shoal.contracts.activity import HORIZONS, WEEKS_BEFORE
from shoal.errors import DataError
from shoal.features.places import content_hashes
from shoal.lake import Night
from shoal.models.alert_rate import DAYS_BACK as RATE_DAYS_BACK
from shoal.models.feature_drift import DAYS_BACK as FEATURE_DAYS_BACK
from shoal.models.registry import (
    ENDING,
    NightModels,
    ServingModel,
    StatusChange,
    golden_models,
    golden_nights,
    in_order,
    model_version,
    newest_attempts,
    next_sequence,
    serving_models,
)
from shoal.models.scoring import MOVED_WITHIN
from shoal.models.suppressions import Suppression
from shoal.models.verdicts import Verdict, heeded_on, malicious_before
from shoal.pipelines.context import Context
from shoal.pipelines.inputs import DayFile, Inputs, labels_hash, read_inputs

DAYS_BETWEEN = 3
"""Days between a fit and the next one that a verdict asks for: a night more teaches little."""


@dataclass(frozen=True)
class NightPlan:
    """A night's inputs and identity.

    Attributes
    ----------
    files : raw files with events of the day, those changed last at the end
    earlier : published nights that any step of this night may look back on, by date
    past_counts : of this night and the earlier ones, the published nights in the novelty window
    labels : hash of the labels in force
    verdicts, rules : what analysts have said before the night, and holds on it
    malicious : verdicts on days that its models don't learn from
    stopped : sources that had events on the weekday in both weeks before, and none of the day
    hidden : nights among those looked back on that are not published
    in_force : entity type → model in force before any fit of this night
    golden : entity type → frozen model that scores are held against besides
    due : entity type → version of the model that this night is due to fit
    expected : of what is due, the fits whose outcome is not known yet, as they are expected to end
    stored : what ``nights`` holds of this night
    """

    event_date: date
    run_id: str
    input_hash: str
    files: tuple[DayFile, ...]
    labels: str
    verdicts: tuple[Verdict, ...]
    rules: tuple[Suppression, ...]
    malicious: tuple[Verdict, ...]
    earlier: tuple[Night, ...]
    past_counts: dict[date, int]
    stopped: tuple[str, ...]
    hidden: tuple[date, ...]
    in_force: dict[str, ServingModel]
    golden: dict[str, ServingModel]
    due: dict[str, str]
    expected: tuple[StatusChange, ...]
    stored: Night | None

    @property
    def night(self) -> Night:
        """The night as those after it see it."""
        return Night(self.event_date, self.run_id, "published")

    @property
    def serving(self) -> dict[str, ServingModel]:
        """Entity type → model that serves the night, if its fits end as expected."""
        new = serving_models(self.expected, self.event_date)
        return self.in_force | new

    @property
    def models(self) -> NightModels:
        """The versions that the night's scores come from."""
        serving = frozenset(self.serving.values())
        return NightModels(serving, frozenset(self.golden.values()) - serving)

    def reference_nights(self, days: int) -> list[Night]:
        """Those of the ``days`` before this one that a model of this night learns from.

        What is new is counted against a window that fills night by night: a night that had less
        than half of this one's to look back on shows more that is new, and is no measure for it.
        """
        own = self.past_counts[self.event_date]
        return [
            night
            for night in self.nights_back(days)
            if 2 * (self.past_counts[night.event_date] + 1) >= own
        ]

    def nights_back(self, days: int) -> list[Night]:
        """Published nights of the ``days`` before this one."""
        since = self.event_date - timedelta(days=days)
        return [night for night in self.earlier if night.event_date >= since]


def plan_night(context: Context, event_date: date) -> NightPlan:
    """Plan a night from the tables.

    Raises
    ------
    DataError
        If no raw file has an event of the day.
    """
    return plan_nights(context, [event_date])[0]


def plan_nights(context: Context, days: Sequence[date]) -> list[NightPlan]:
    """Plan nights in date order, each as if those before it in the list were published.

    A model that a night is due to fit counts for the later ones as its type's last fit ended: as
    promoted, unless that was rejected. Where it ends otherwise the nights after it are to be
    planned anew; its own plan holds.

    Raises
    ------
    DataError
        If no raw file has an event of one of the days.
    ConfigError
        If an address database cannot be read.
    """
    settings = context.settings
    back = timedelta(days=_days_back(settings))
    # Those looked back on look back themselves: see `NightPlan.reference_nights`.
    since = min(days) - back - timedelta(days=settings.features.novelty_days)
    inputs = read_inputs(context.warehouse, days, since=since)
    meaning = config_hash(settings)
    databases = content_hashes(settings.address_databases)
    plans = []
    for day in sorted(days):
        plan = _plan_one(settings, meaning, databases, day, inputs)
        inputs = replace(
            inputs,
            nights={**inputs.nights, day: plan.night},
            changes=in_order([*inputs.changes, *plan.expected]),
        )
        plans.append(plan)
    return plans


def _plan_one(
    settings: Settings, meaning: str, databases: Sequence[str], day: date, inputs: Inputs
) -> NightPlan:
    files = inputs.files.get(day)
    if not files:
        raise DataError(
            f"no events of {day} in the ledger ingest_files: run `shoal ingest`, or check "
            "the paths under sources"
        )
    since = day - timedelta(days=_days_back(settings))
    before = [night for at, night in sorted(inputs.nights.items()) if since <= at < day]
    earlier = [night for night in before if night.state == "published"]
    aged = inputs.aged.get(earlier[-1].event_date, frozenset()) if earlier else frozenset()
    malicious = malicious_before(inputs.verdicts, day)
    due = _due_changes(settings, day, earlier, inputs.changes, meaning, aged, malicious)
    due_versions = {change.entity_type: change.model_version for change in due}
    in_force = serving_models(inputs.changes, day)
    versions = {kind: model.model_version for kind, model in in_force.items()} | due_versions
    contents = sorted({file.content_hash for file in files})
    run_ids = [night.run_id for night in earlier]
    labels = labels_hash(inputs, day)
    verdicts = heeded_on(inputs.verdicts, day)
    rules = tuple(rule for rule in inputs.rules if rule.holds_on(day))
    said = [[v.verdict_id for v in verdicts], [rule.suppression_id for rule in rules]]
    input_hash = _hash([contents, run_ids, labels, databases, said])
    golden = golden_models(inputs.changes, day, golden_nights(settings))
    frozen = {kind: model.model_version for kind, model in golden.items()}
    identity = [
        day.isoformat(),
        meaning,
        input_hash,
        sorted(versions.items()),
        sorted(frozen.items()),
    ]
    known = {change.model_version for change in inputs.changes}
    expected = tuple(change for change in due if change.model_version not in known)
    return NightPlan(
        event_date=day,
        run_id=_hash(identity),
        input_hash=input_hash,
        files=tuple(files),
        labels=labels,
        verdicts=verdicts,
        rules=rules,
        malicious=malicious,
        earlier=tuple(earlier),
        past_counts=_past_counts(settings, [*(n.event_date for n in earlier), day], inputs),
        stopped=tuple(_stopped_sources(settings, day, inputs.source_days)),
        hidden=tuple(night.event_date for night in before if night.state != "published"),
        in_force=in_force,
        golden=golden,
        due=due_versions,
        expected=expected,
        stored=inputs.nights.get(day),
    )


def _stopped_sources(
    settings: Settings, day: date, source_days: Mapping[str, set[date]]
) -> list[str]:
    """Configured sources without an event of a day that is one of theirs.

    Their day it is if they had events on its weekday in both weeks before: as with entities.
    """
    weeks = {day - timedelta(days=n) for n in WEEKS_BEFORE}
    return sorted(
        source.name
        for source in settings.sources
        if weeks <= (known := source_days.get(source.name, set())) and day not in known
    )


def _past_counts(settings: Settings, days: Sequence[date], inputs: Inputs) -> dict[date, int]:
    published = [at for at, night in inputs.nights.items() if night.state == "published"]
    longest = settings.features.novelty_days
    return {day: sum(0 < (day - at).days <= longest for at in published) for day in days}


def faults_of_inputs(plan: NightPlan) -> list[str]:
    """What is wrong with a night's inputs, from tables: a rerun finds the same."""
    counts = [file.quarantined_count for file in plan.files if file.quarantined_count]
    faults = []
    if counts:
        faults.append(
            f"{plan.event_date}: {sum(counts):,} records of its {len(counts)} files in quarantine"
        )
    if plan.stopped:
        faults.append(
            f"{plan.event_date}: no event of sources that had some on its weekday in both weeks "
            f"before: {', '.join(plan.stopped)}"
        )
    if plan.hidden:
        named = ", ".join(str(day) for day in plan.hidden)
        faults.append(f"{plan.event_date}: earlier nights without publication: {named}")
    return faults


def _days_back(settings: Settings) -> int:
    """Days that any step looks back on."""
    return max(
        settings.features.novelty_days,
        *HORIZONS,
        settings.fit.window_days,
        settings.score.self_days,
        MOVED_WITHIN,
        FEATURE_DAYS_BACK,
        RATE_DAYS_BACK,
    )


def _due_changes(
    settings: Settings,
    day: date,
    earlier: Iterable[Night],
    changes: Sequence[StatusChange],
    meaning: str,
    aged: Collection[str],
    malicious: Sequence[Verdict],
) -> list[StatusChange]:
    """Models that the night is to fit, each as it is expected to end.

    A fit whose outcome is known is due still, so that a night keeps its identity, unless what came
    of it has been taken back: then it is another night.

    Parameters
    ----------
    aged : entity types whose model was found to have aged on the night before
    malicious : verdicts on days that are not learnt from
    """
    since = day - timedelta(days=settings.fit.window_days)
    run_ids = [night.run_id for night in earlier if night.event_date >= since]
    serving = serving_models(changes, day)
    attempts = newest_attempts(changes, day - timedelta(days=1), meaning)
    taken_back = {
        change.model_version
        for change in changes
        if change.status in ENDING and change.effective_date <= day
    }
    due = []
    for entity_type in settings.entity_types:
        model, last = serving.get(entity_type), attempts.get(entity_type)
        learnt = [*run_ids, *left_out_days(malicious, entity_type, since)]
        version = model_version(entity_type, day, learnt, meaning)
        if version in taken_back:
            continue
        is_fitted = model is not None and model.effective_date == day
        is_due = _is_due(settings, day, len(run_ids), last, is_aged=entity_type in aged)
        if run_ids and not is_fitted and is_due:
            due.append(
                StatusChange(
                    entity_type=entity_type,
                    model_version=version,
                    sequence=next_sequence(changes, entity_type),
                    status="rejected" if last and last.status == "rejected" else "promoted",
                    effective_date=day,
                    training_nights=len(run_ids),
                    config_hash=meaning,
                )
            )
    return due


def left_out_days(malicious: Iterable[Verdict], entity_type: str, since: date) -> list[str]:
    """Verdicts, by identity, on days of a type that a window from ``since`` on leaves out."""
    return [
        verdict.verdict_id
        for verdict in malicious
        if verdict.entity_type == entity_type and verdict.event_date >= since
    ]


def _is_due(
    settings: Settings, day: date, n_nights: int, last: StatusChange | None, *, is_aged: bool
) -> bool:
    """Whether the last fit is old or has aged, or has a window half as full as it is now.

    A model of one night knows little of what is usual, and nothing of what is new: so models are
    fitted on 1, 2, 4, 8, … nights until ``fit.every_days`` rules.
    """
    if last is None:
        return True
    days = (day - last.effective_date).days
    is_old = days >= settings.fit.every_days or (is_aged and days >= DAYS_BETWEEN)
    return is_old or (last.training_nights is not None and n_nights >= 2 * last.training_nights)


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
