"""The notebooks run as they stand, on the tables of real nights."""

from pathlib import Path

import jupytext
import nbclient
import pytest
from tests.conftest import ROOT

from shoal.pipelines.context import Context

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_something(
    path: Path, windows_nights: Context, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert windows_nights.warehouse.path is not None
    (flows,) = (shared_data / "ocpp").glob("*.csv.gz")
    monkeypatch.setenv("SHOAL_WAREHOUSE", windows_nights.warehouse.path)
    monkeypatch.setenv("SHOAL_FLOWS", str(flows))
    notebook = jupytext.read(path)
    nbclient.NotebookClient(notebook, timeout=600).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output["data"]["text/plain"] for output in outputs if "data" in output]
    assert len(shown) > 4
    assert not any("shape: (0," in text for text in shown)
