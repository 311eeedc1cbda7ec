"""How the state of a hospital reads and looks, and which hospitals have to be named."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from priorline.desk import theme
from priorline.domain.study import HospitalReport, HospitalState

# State: (colour, word). Every colour is doubled by its word.
LOOKS: dict[HospitalState, tuple[str, str]] = {
    HospitalState.ASKING: (theme.CURRENT, "asking…"),
    HospitalState.ANSWERED: (theme.GOOD, ""),
    HospitalState.NONE: (theme.QUIET, "none"),
    HospitalState.FAILED: (theme.TROUBLE, "not reachable"),
    HospitalState.TIMED_OUT: (theme.TROUBLE, "timed out"),
    HospitalState.REFUSED: (theme.TROUBLE, "refused"),
    HospitalState.NOT_ASKED: (theme.PARTIAL, "not asked"),
}
IN_CLEAR = "not encrypted"
IN_CLEAR_WHY = "Not encrypted: on the network, others can read or change what it sends."
RETRIABLE = frozenset({HospitalState.FAILED, HospitalState.TIMED_OUT, HospitalState.REFUSED, HospitalState.NOT_ASKED})
SUMMED = {HospitalState.ANSWERED: "answered", HospitalState.NONE: "none", HospitalState.ASKING: "asking"}
MOST_CHIPS = 30
"""With more hospitals than this, only those that are not well have a chip of their own."""
MOST_NAMED = 8


def colour(report: HospitalReport) -> str:
    """The colour of a state; an answer that is not whole is not green."""
    return theme.PARTIAL if report.cut or report.withheld else LOOKS[report.state][0]


def word(report: HospitalReport) -> str:
    """The state in a few words: a count of studies, "none", "not reachable"."""
    said = LOOKS[report.state][1]
    if report.state is HospitalState.ANSWERED:
        said = f"{report.studies}+ (list cut)" if report.cut else str(report.studies)
    return f"{said} · {report.withheld} left out" if report.withheld else said


def rest(report: HospitalReport) -> str:
    """The state of a hospital that answered, for a place where the count stands beside it."""
    parts = ("answered", "list cut" if report.cut else "", f"{report.withheld} left out" if report.withheld else "")
    return " · ".join(part for part in parts if part)


def after(report: HospitalReport) -> str:
    """How long it took, "" where that is not known."""
    return f" after {report.seconds:.1f} s" if report.seconds else ""


def spoken(report: HospitalReport) -> str:
    """The whole state in words, for those who do not see it."""
    said = f"{report.place}, {rest(report) if report.state is HospitalState.ANSWERED else word(report)}"
    count = f", {report.studies} studies" if report.state is HospitalState.ANSWERED else ""
    again = ", press Enter to ask again" if report.state in RETRIABLE else ""
    return f"{said}{count}{after(report)}{again}"


def is_well(report: HospitalReport) -> bool:
    """Whether nothing is missing of what this hospital has to say."""
    return report.state in (HospitalState.ANSWERED, HospitalState.NONE) and not report.cut and not report.withheld


def is_in_trouble(report: HospitalReport) -> bool:
    """Whether this hospital has ended and something is missing of what it has to say."""
    return report.state is not HospitalState.ASKING and not is_well(report)


@dataclass(frozen=True, slots=True)
class Shown:
    """Which hospitals have a chip of their own, which are only counted, and which of those are in trouble."""

    named: tuple[HospitalReport, ...]
    summed: tuple[HospitalReport, ...]
    more: tuple[HospitalReport, ...]


def choose(
    reports: Sequence[HospitalReport], named: Sequence[str], again: Collection[str], late: Collection[str]
) -> Shown:
    """Name at most `MOST_NAMED` of many hospitals: those in trouble or asked `again`, then those that are `late`.

    `named` had a chip before, and go before others of their kind, so that chips keep their places. Every hospital
    is in one of the three parts.
    """
    trouble = [one.hospital for one in reports if one.hospital in again or is_in_trouble(one)]
    waiting = [one.hospital for one in reports if one.hospital in late and one.hospital not in trouble]
    places = {name: place for place, name in enumerate(named)}
    chosen = [
        name for part in (trouble, waiting) for name in sorted(part, key=lambda name: places.get(name, len(places)))
    ][:MOST_NAMED]
    by_name = {report.hospital: report for report in reports}
    others = [one for one in reports if one.hospital not in chosen]
    return Shown(
        tuple(by_name[name] for name in chosen),
        tuple(one for one in others if not is_in_trouble(one)),
        tuple(one for one in others if is_in_trouble(one)),
    )


def more_words(more: Sequence[HospitalReport]) -> str:
    """ "12 more did not answer" for hospitals in trouble that could not be named."""
    silent = all(report.state in RETRIABLE for report in more)
    return f"{len(more)} more did not answer" if silent else f"{len(more)} more incomplete"


def summary(reports: Sequence[HospitalReport]) -> str:
    """ "112 answered · 5 none · 3 asking" for hospitals that are well or still asked."""
    counts = {name: sum(report.state is state for report in reports) for state, name in SUMMED.items()}
    return " · ".join(f"{count} {name}" for name, count in counts.items() if count)
