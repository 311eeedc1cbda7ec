"""How far a question to the hospitals has been answered, in words."""

from dataclasses import dataclass

from priorline.domain.study import HospitalReport, HospitalState


@dataclass(frozen=True, slots=True)
class Coverage:
    """How far the question has been answered: every hospital with its state, in the order asked."""

    reports: tuple[HospitalReport, ...]

    @property
    def complete(self) -> bool:
        """True only when every hospital answered, with or without studies, and nothing was cut off."""
        answered = (HospitalState.ANSWERED, HospitalState.NONE)
        return bool(self.reports) and all(report.state in answered and not report.cut for report in self.reports)

    @property
    def withheld(self) -> int:
        """Rows under the patient's number that name another person: a mistyped birth date makes them of one's own."""
        return sum(report.withheld for report in self.reports)

    @property
    def asking(self) -> bool:
        """True while any hospital has not ended."""
        return any(report.state is HospitalState.ASKING for report in self.reports)

    def sentence(self) -> str:
        """The line above the timeline: "6 hospitals: 3 answered, 1 none, 1 still asking, 1 not reachable."."""
        words = {
            HospitalState.ANSWERED: "answered",
            HospitalState.NONE: "none",
            HospitalState.ASKING: "still asking",
            HospitalState.FAILED: "not reachable",
            HospitalState.TIMED_OUT: "timed out",
            HospitalState.REFUSED: "refused",
            HospitalState.NOT_ASKED: "not asked",
        }
        counts = {state: sum(report.state is state for report in self.reports) for state in words}
        parts = [f"{count} {words[state]}" for state, count in counts.items() if count]
        total = len(self.reports)
        noun = "hospital" if total == 1 else "hospitals"
        end = "" if self.complete else " The line below may be incomplete."
        if not total:
            return "No hospital is configured."
        left = f" {left_out(self.withheld)}" if self.withheld else ""
        return f"{total} {noun}: {', '.join(parts)}.{left}{end}"


def left_out(count: int) -> str:
    """How many studies are not on the line because they name somebody else."""
    return f"{count} {'study' if count == 1 else 'studies'} of another person left out."
