"""Labelled tables: read from files, their faults named, and the OCPP flood end to end."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shoal.cli import main
from shoal.errors import DataError, UsageError
from shoal.pipelines.labelled import TableRequest, read_table

FLOOD = "cyberattack_ocpp16_dos_flooding_heartbeat"


def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {"id": [1, 2, 3], "host": ["a", "b", "c"], "bytes": [1.0, 2.0, 300.0],
         "is_new": [False, False, True], "kind": ["ok", "ok", "attack"]}
    )  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_numbers_are_features_and_words_are_labels(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    rows().to_parquet(path) if suffix == ".parquet" else rows().to_csv(path, index=False)
    table = read_table(TableRequest(path, "kind", slice_column="host", ignored=("id",)))
    assert table.feature_names == ["bytes", "is_new"]
    assert table.values.tolist() == [[1.0, 0.0], [2.0, 0.0], [300.0, 1.0]]
    assert table.is_anomaly.tolist() == [False, False, True]
    assert table.slices.tolist() == ["a", "b", "c"]
    turned = read_table(TableRequest(path, "kind", normal=("ATTACK",), ignored=("id",)))
    assert turned.is_anomaly.tolist() == [True, True, False]


def test_arrays_are_tables_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", X=np.ones((2, 2)), y=np.array([0.0, 1.0]))
    table = read_table(TableRequest(tmp_path / "t.npz", "label"))
    assert table.feature_names == ["x0", "x1"]
    assert table.is_anomaly.tolist() == [False, True]


def test_faults_of_a_table_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows().to_csv(path, index=False)
    with pytest.raises(DataError, match="has no column 'knd'; did you mean 'kind'"):
        read_table(TableRequest(path, "knd"))
    with pytest.raises(UsageError, match="name the values of one kind"):
        read_table(TableRequest(path, "kind", anomalies=("attack",), normal=("ok",)))
    with pytest.raises(DataError, match="cannot be read"):
        read_table(TableRequest(tmp_path / "missing.csv", "kind"))
    rows().assign(bytes=[1.0, np.nan, 2.0]).to_csv(path, index=False)
    with pytest.raises(DataError, match="not every value is a finite number in bytes"):
        read_table(TableRequest(path, "kind"))
    rows()[["host", "kind"]].to_csv(path, index=False)
    with pytest.raises(DataError, match="has no numeric column besides kind"):
        read_table(TableRequest(path, "kind"))
    np.savez(tmp_path / "pickled.npz", X=np.array([{}], dtype=object), y=np.ones(1))
    with pytest.raises(DataError, match="cannot be read"):
        read_table(TableRequest(tmp_path / "pickled.npz", "label"))


def test_one_of_truth_and_table_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate"]) == 2
    assert "name either --truth" in capsys.readouterr().err
    assert main(["evaluate", "--truth", "t.csv", "--table", "t.csv"]) == 2


def test_the_ocpp_flood_by_one_gaussian_of_its_attack(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Published matrix [[87, 0], [82, 1658]]: all normal flows rejected, attack recall 0.95."""
    (path,) = (shared_data / "ocpp").glob("*.csv.gz")
    ignored = ["index", "src_port", "dst_port", "flow_start_timestamp", "flow_end_timestamp"]
    asked = [f"--ignore={name}" for name in ignored]
    scorers = ["--scorer=gaussian", "--scorer=one_class_svm"]
    command = ["evaluate", f"--table={path}", f"--normal={FLOOD}", "--one-class", "--seeds=1"]
    assert main([*command, *asked, *scorers, "--format=json"]) == 0
    tables = json.loads(capsys.readouterr().out)
    title = next(iter(tables))
    assert "8,787 rows, 47 features, 87 anomalies" in title
    gaussian, machine = tables[title]
    assert gaussian["auroc"] == 1.0
    assert machine["scorer"] == "one_class_svm"
    matrix, _ = tables["At an alert rate of 5%, first seed"]
    assert (matrix["anomalies_rejected"], matrix["anomalies_accepted"]) == (87, 0)
    assert matrix["normal_rejected"] + matrix["normal_accepted"] == 1740
    assert 0.94 <= matrix["normal_accepted"] / 1740 <= 0.96
