"""Names, dates, sexes, numbers and issuers as hospitals really send them: who is taken for whom, row by row.

The table is tests/data/identity.csv. Its bars: nobody else is ever accepted without a person, and at most one row in
fifty of the same person needs one. Run with -s for the figures.
"""

import pytest

from identity_table import ROWS, Row
from priorline.domain.identity import Identity, compare


@pytest.mark.parametrize("row", ROWS, ids=[f"{number} {row.what}" for number, row in enumerate(ROWS)])
def test_each_row_is_decided_as_the_table_says(row: Row) -> None:
    assert compare(row.context, row.candidate).outcome is row.want
    assert compare(row.candidate, row.context).outcome is row.want


def test_nobody_else_is_accepted_and_few_need_a_person() -> None:
    outcomes = [(row, compare(row.context, row.candidate).outcome) for row in ROWS]
    accepted = [row.what for row, outcome in outcomes if row.truth == "other" and outcome is Identity.SAME]
    asked = [row.what for row, outcome in outcomes if row.truth == "same" and outcome is not Identity.SAME]
    withheld = [row.what for row, outcome in outcomes if row.truth == "same" and outcome is Identity.CONFLICT]
    same = sum(row.truth == "same" for row in ROWS)
    print(  # noqa: T201 - the figures are asked for with -s
        f"\n{len(ROWS)} rows: {same} of the same person, {len(asked)} of them need a person "
        f"({len(asked) / same:.1%}); {len(ROWS) - same} of others, {len(accepted)} accepted"
    )
    assert len(ROWS) >= 200
    assert accepted == []
    assert withheld == []
    assert len(asked) <= 0.02 * same


def test_the_table_has_no_row_twice() -> None:
    assert len({(row.context, row.candidate) for row in ROWS}) == len(ROWS)
