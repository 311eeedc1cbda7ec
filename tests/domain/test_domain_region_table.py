"""The shipped tables on what hospitals write in three languages, row by row, judged by hand beforehand.

The table is tests/data/regions.csv. Its bars: at least 95 in 100 right and at most 1 wrong; unknown is better than
wrong. Run with -s for the figures. The words have been tuned on these rows since. When first asked, of the 227 rows
of list A 190 were right and 4 wrong, of the 92 of list B 85 and 1, of the 243 of list C 229 and none, of the 172 of
list D 165 and 1, of the 159 of list E 153 and 1, and of the 157 of list F 155 and none.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from priorline.domain.region import Region
from priorline.domain.region_finding import Written, find_region
from priorline.regions import load_region_table

ROWS = Path(__file__).parent.parent / "data" / "regions.csv"
TABLE = load_region_table()


@dataclass(frozen=True)
class Row:
    name: str
    language: str
    written: Written
    wanted: frozenset[Region]
    also: frozenset[Region]

    def verdict(self) -> str:
        """Right, unknown (nothing found), partial (something is missing) or wrong (something is not so)."""
        found = set(find_region(TABLE, self.written).regions)
        if self.wanted <= found <= self.wanted | self.also:
            return "right"
        if found == {Region.UNKNOWN}:
            return "unknown"
        return "partial" if found <= self.wanted | self.also else "wrong"


def row(line: str) -> Row:
    name, language, modality, part, description, wanted, also = (
        "" if cell == "." else cell for cell in line.split("|")
    )
    written = Written((), (part,) if part else (), (description,) if description else (), (modality,))
    regions = (frozenset(map(Region, filter(None, cell.split(",")))) for cell in (wanted, also))
    return Row(name, language, written, *regions)


LINES = [line for line in ROWS.read_text("utf-8").splitlines() if not line.startswith("#")]
ALL = [row(line) for line in LINES[1:]]


def test_the_list_is_long_and_broad_enough_to_judge_by() -> None:
    languages = [one.language for one in ALL]
    assert len(ALL) >= 1000
    assert min(languages.count(language) for language in ("nl", "en", "de")) >= 270
    assert sum(one.wanted == {Region.UNKNOWN} for one in ALL) >= 30
    assert {region for one in ALL for region in one.wanted} == set(Region)
    assert len({one.written for one in ALL}) == len(ALL)


@pytest.mark.parametrize(
    "rows", [ALL, *([one for one in ALL if one.name == name] for name in "ABCDEF")], ids=["all", *"ABCDEF"]
)
def test_at_least_95_in_100_are_right_and_at_most_1_wrong(rows: list[Row]) -> None:
    verdicts = [one.verdict() for one in rows]
    counts = {verdict: verdicts.count(verdict) for verdict in ("right", "partial", "unknown", "wrong")}
    print(f"\n{len(rows)} descriptions: {counts}")  # noqa: T201 - the figures are asked for with -s
    missed = [one for one, verdict in zip(rows, verdicts, strict=True) if verdict != "right"]
    assert counts["right"] >= 0.95 * len(rows), missed
    assert counts["wrong"] <= 0.01 * len(rows), missed


@pytest.mark.parametrize("one", [one for one in ALL if one.wanted == {Region.UNKNOWN}], ids=str)
def test_what_says_nothing_is_never_guessed(one: Row) -> None:
    assert one.verdict() == "right"
