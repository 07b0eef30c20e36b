"""The command line: what it refuses, with which exit code, in words."""

import pytest

from shoal.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Usage:"),
        (["nope"], "No such command 'nope'"),
        (["nightly", "--nope"], "No such option: --nope"),
        (["nightly", "--date"], "requires an argument"),
        (["outliers", "--top", "x"], "Invalid value for '--top'"),
        (["nightly", "--date", "2020-13-01"], "--date '2020-13-01' is not a date"),
        (["nightly", "--date", "2020-01-01", "--start", "2020-01-01"], "not both"),
        (["nightly", "--start", "2020-01-01"], "--start and --end go together"),
        (["nightly", "--start", "2020-01-02", "--end", "2020-01-01"], "is before --start"),
        (["outliers", "--format", "xml"], "'xml' is not one of table, json, csv, md"),
        (["nightly", "--conf", "conf/lokal.yaml"], "did you mean 'local.yaml'?"),
        (["nightly", "--conf", "conf/local.yaml", "--set", "a"], "section.key=value"),
        (["nightly", "--conf", "conf/local.yaml", "--set", "fitt.tol=1"], "did you mean 'fit'?"),
    ],
)
def test_what_makes_no_sense_leaves_with_2_and_says_why(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert message in said.err + said.out


def test_help_and_version_leave_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "nightly" in capsys.readouterr().out
    assert main(["version"]) == 0
