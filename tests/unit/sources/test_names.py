"""Names of JSON as names of columns."""

from hypothesis import given
from hypothesis import strategies as st

from shoal.sources.json_text import field_name


@given(st.text(), st.text())
def test_names_that_differ_in_case_alone_stay_apart(name: str, other: str) -> None:
    assert (field_name(name).lower() == field_name(other).lower()) == (name == other)
    assert field_name(name).replace("_", "").isalnum()


def test_both_spellings_of_process_id_stay_apart() -> None:
    assert field_name("ProcessId").lower() != field_name("ProcessID").lower()
