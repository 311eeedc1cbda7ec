"""The shipped tables on what hospitals write in three languages, row by row, judged by hand beforehand.

The table is tests/data/regions.csv. Its bars: at least 95 in 100 right and at most 1 wrong; unknown is better than
wrong. Run with -s for the figures. The words have been tuned on these rows since. When first asked, of the 227 rows
of list A 190 were right and 4 wrong, of the 92 of list B 85 and 1, of the 243 of list C 229 and none, of the 172 of
list D 165 and 1, of the 159 of list E 153 and 1, and of the 157 of list F 155 and none.
List G, tests/data/regions-unseen.csv, is by another author who never saw the words; they were not touched since.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from priorline.domain.region import Region
from priorline.domain.region_finding import Written, find_region
from priorline.regions import load_region_table

DATA = Path(__file__).parent.parent / "data"
TABLE = load_region_table()


@dataclass(frozen=True)
class Row:
    name: str
    language: str
    written: Written
    wanted: frozenset[frozenset[Region]]
    also: frozenset[Region]

    def verdict(self) -> str:
        """Right, unknown (nothing found), partial (something is missing) or wrong (something is not so)."""
        found = set(find_region(TABLE, self.written).regions)
        allowed = self.also.union(*self.wanted)
        if found <= allowed and all(found & either for either in self.wanted):
            return "right"
        if found == {Region.UNKNOWN}:
            return "unknown"
        return "partial" if found <= allowed else "wrong"


def row(line: str) -> Row:
    name, language, modality, part, description, wanted, also = (
        "" if cell == "." else cell for cell in line.split("|")
    )
    written = Written((), (part,) if part else (), (description,) if description else (), (modality,))
    all_of = frozenset(frozenset(map(Region, cell.split("/"))) for cell in wanted.split(",") if cell)
    return Row(name, language, written, all_of, frozenset(map(Region, filter(None, also.split(",")))))


def rows_of(name: str) -> list[Row]:
    """The rows of a list; the first line that is no comment names the columns."""
    lines = [line for line in (DATA / name).read_text("utf-8").splitlines() if not line.startswith("#")]
    return [row(line) for line in lines[1:]]


ALL = rows_of("regions.csv")
UNSEEN = rows_of("regions-unseen.csv")


def test_the_list_is_long_and_broad_enough_to_judge_by() -> None:
    languages = [one.language for one in ALL]
    assert len(ALL) >= 1000
    assert min(languages.count(language) for language in ("nl", "en", "de")) >= 270
    assert sum(one.wanted == {frozenset((Region.UNKNOWN,))} for one in ALL) >= 30
    assert {region for one in ALL for either in one.wanted for region in either} == set(Region)
    assert len({one.written for one in ALL}) == len(ALL)


@pytest.mark.parametrize(
    "rows",
    [ALL, *([one for one in ALL if one.name == name] for name in "ABCDEF"), UNSEEN],
    ids=["all", *"ABCDEF", "unseen"],
)
def test_at_least_95_in_100_are_right_and_at_most_1_wrong(rows: list[Row]) -> None:
    verdicts = [one.verdict() for one in rows]
    counts = {verdict: verdicts.count(verdict) for verdict in ("right", "partial", "unknown", "wrong")}
    print(f"\n{len(rows)} descriptions: {counts}")  # noqa: T201 - the figures are asked for with -s
    missed = [one for one, verdict in zip(rows, verdicts, strict=True) if verdict != "right"]
    assert counts["right"] >= 0.95 * len(rows), missed
    assert counts["wrong"] <= 0.01 * len(rows), missed


@pytest.mark.parametrize("one", [one for one in ALL if one.wanted == {frozenset((Region.UNKNOWN,))}], ids=str)
def test_what_says_nothing_is_never_guessed(one: Row) -> None:
    assert one.verdict() == "right"
