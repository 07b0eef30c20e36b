"""Views for the questions that analysts ask, in SQL that Spark and DuckDB both take.

Each reads published nights only, and names tables as they are named: where tables are folders, a
name stands for its folder.
"""

from dataclasses import dataclass

from shoal.contracts.scores import BAD, BENIGN


@dataclass(frozen=True)
class View:
    """A query with a name.

    Attributes
    ----------
    tables : names that the query reads from
    """

    name: str
    doc: str
    query: str
    tables: tuple[str, ...]


_BAD = ", ".join(f"'{name}'" for name in BAD)
_PUBLISHED = (
    "JOIN nights n ON n.event_date = {0}.event_date AND n.run_id = {0}.run_id "
    "AND n.state = 'published'"
)
_SAME = (
    "{1}.event_date = {0}.event_date AND {1}.entity_type = {0}.entity_type "
    "AND {1}.entity_id = {0}.entity_id"
)
_NEWEST_VERDICT = """(
  SELECT event_date, entity_type, entity_id, verdict, reason, owner
  FROM (
    SELECT *, row_number() OVER (
      PARTITION BY event_date, entity_type, entity_id ORDER BY created_ts DESC, verdict_id DESC
    ) AS newest
    FROM verdicts
  ) given
  WHERE newest = 1
)"""


def _drift(table: str, verdict: str) -> str:
    return f"""SELECT t.event_date, t.entity_type, '{table}' AS drift_table,
  sum(CASE WHEN t.status = 'drift' THEN 1 ELSE 0 END) AS drifting,
  sum(CASE WHEN t.status = 'ok' THEN 1 ELSE 0 END) AS steady,
  sum(CASE WHEN t.status = 'insufficient_data' THEN 1 ELSE 0 END) AS undecided,
  {verdict} AS verdict
FROM {table} t
{_PUBLISHED.format("t")}
GROUP BY t.event_date, t.entity_type"""


VIEWS = (
    View(
        "v_outliers_open",
        "Lines of the list that nobody has judged yet and no rule or verdict hides.",
        f"""SELECT o.*
FROM outliers o
{_PUBLISHED.format("o")}
LEFT JOIN verdicts v ON {_SAME.format("o", "v")}
WHERE v.verdict_id IS NULL AND o.suppressed_by IS NULL""",
        ("outliers", "nights", "verdicts"),
    ),
    View(
        "v_outliers_judged",
        "Lines of the list with the newest verdict on each.",
        f"""SELECT o.event_date, o.entity_type, o.entity_id, o.slice, o.rank, o.lane, o.severity,
  o.anomaly_score, o.case_id, v.verdict, v.reason AS verdict_reason, v.owner AS verdict_owner
FROM outliers o
{_PUBLISHED.format("o")}
JOIN {_NEWEST_VERDICT} v ON {_SAME.format("o", "v")}""",
        ("outliers", "nights", "verdicts"),
    ),
    View(
        "v_entity_history",
        "Every scored night of every entity: its score, its cluster, and its line if it had one.",
        f"""SELECT s.event_date, s.entity_type, s.entity_id, s.slice, s.cluster_id, s.anomaly_score,
  s.p_value, s.self_p_value, s.severity, s.golden_score, s.model_version,
  o.rank, o.lane, o.change, o.case_id
FROM entity_scores s
{_PUBLISHED.format("s")}
LEFT JOIN outliers o ON {_SAME.format("s", "o")} AND o.run_id = s.run_id""",
        ("entity_scores", "outliers", "nights"),
    ),
    View(
        "v_cluster_profile",
        "What the entities of each cluster do on a night, on average, and how strange they are.",
        f"""SELECT s.event_date, s.entity_type, s.model_version, s.slice, s.cluster_id,
  count(*) AS entities,
  avg(s.anomaly_score) AS anomaly_score_mean,
  max(s.anomaly_score) AS anomaly_score_max,
  avg(f.event_count) AS event_count_mean,
  avg(f.process_count) AS process_count_mean,
  avg(f.network_count) AS network_count_mean,
  avg(f.bytes_out_sum) AS bytes_out_mean,
  avg(f.program_distinct) AS programs_mean,
  avg(f.peer_address_distinct) AS peer_addresses_mean,
  avg(f.active_hours) AS active_hours_mean
FROM entity_scores s
{_PUBLISHED.format("s")}
JOIN entity_features f ON {_SAME.format("s", "f")} AND f.run_id = s.run_id
GROUP BY s.event_date, s.entity_type, s.model_version, s.slice, s.cluster_id""",
        ("entity_scores", "entity_features", "nights"),
    ),
    View(
        "v_drift_summary",
        "By night, entity type and drift table: how many comparisons drift, and the night's "
        "verdict.",
        "\nUNION ALL\n".join(
            [
                *(
                    _drift(name, "CASE WHEN 1 = 0 THEN max(t.status) END")
                    for name in ("drift_clusters", "drift_components", "drift_features")
                ),
                _drift("drift_alert_rate", "max(CASE WHEN t.slice = '*' THEN t.verdict END)"),
            ]
        ),
        ("drift_clusters", "drift_components", "drift_features", "drift_alert_rate", "nights"),
    ),
    View(
        "v_list_precision",
        "By slice: lines that were judged, and how many of them were bad.",
        f"""SELECT o.entity_type, o.slice, count(*) AS judged,
  sum(CASE WHEN v.verdict IN ({_BAD}) THEN 1 ELSE 0 END) AS bad,
  sum(CASE WHEN v.verdict = '{BENIGN}' THEN 1 ELSE 0 END) AS benign
FROM outliers o
{_PUBLISHED.format("o")}
JOIN {_NEWEST_VERDICT} v ON {_SAME.format("o", "v")}
GROUP BY o.entity_type, o.slice""",
        ("outliers", "nights", "verdicts"),
    ),
)
