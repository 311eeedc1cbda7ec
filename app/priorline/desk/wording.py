"""How dates, ages and counts are written for people; one place, so that the same thing always reads the same."""

from collections.abc import Collection
from datetime import date

from priorline.domain.patient import Patient, display_name
from priorline.domain.study import FetchReport, FetchState, StudyAnswer
from priorline.domain.timeline import Coverage, TimelineStudy
from priorline.work.progress import FetchProgress, left_words, together

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def written_date(when: date | None) -> str:
    """ "2 Mar 2019"."""
    return f"{when.day} {MONTHS[when.month - 1]} {when.year}" if when else "date unknown"


def distance(when: date | None, current: date | None) -> str:
    """How long before or after the current study: "7 y 8 m before", "5 d after", "same day"."""
    if when is None or current is None:
        return ""
    days = (current - when).days
    if days == 0:
        return "same day"
    direction = "before" if days > 0 else "after"
    earlier, later = min(when, current), max(when, current)
    months = (later.year - earlier.year) * 12 + later.month - earlier.month - (later.day < earlier.day)
    if months < 1:
        return f"{abs(days)} d {direction}"
    years, rest = divmod(months, 12)
    parts = [f"{years} y"] * bool(years) + [f"{rest} m"] * bool(rest)
    return f"{' '.join(parts)} {direction}"


def age(birth: date | None, on: date) -> str:
    """ "56 y", or "" where the birth date is not known."""
    if birth is None:
        return ""
    return f"{on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day))} y"


def patient_line(patient: Patient) -> str:
    """ "JANSEN, Piet van der · 14 Mar 1970 · M · 999990007"."""
    born = written_date(patient.birth_date) if patient.birth_date else ""
    parts = [display_name(patient.name), born, patient.sex, patient.identifier.value]
    return " · ".join(part for part in parts if part)


def patient_facts(patient: Patient) -> str:
    """Sex, birth date with age, and number with issuer, for the head of the window."""
    identifier = patient.identifier
    born = written_date(patient.birth_date) if patient.birth_date else ""
    years = age(patient.birth_date, date.today())  # noqa: DTZ011 - the reader's own calendar day
    issuer = "BSN" if identifier.issuer == "NLMINBIZA" else identifier.issuer
    number = " ".join(part for part in (issuer, identifier.value) if part)
    parts = [patient.sex, f"{born} ({years})" if born else "", number]
    return "   ·   ".join(part for part in parts if part)


def images(count: int | None) -> str:
    """ "1 image", "612 images", "" where nobody said."""
    if count is None:
        return ""
    return f"{count} image" if count == 1 else f"{count} images"


def study_title(answer: StudyAnswer) -> str:
    """The hospital's own words, or the modality where it gave none."""
    return answer.description or " ".join(answer.modalities) or "study without description"


def empty_line(coverage: Coverage) -> str:
    """What an empty line means: still asking, nothing there, or nobody said so; silence is never "none"."""
    count = len(coverage.reports)
    if coverage.asking:
        return f"Asking {count} hospitals…" if count != 1 else "Asking the hospital…"
    if coverage.withheld:
        count, noun = coverage.withheld, "study" if coverage.withheld == 1 else "studies"
        names = "names" if count == 1 else "name"
        return f"{count} {noun} under this number {names} another person. Check name and birth date."
    if coverage.complete:
        return f"No earlier studies: all {count} hospitals have none." if count != 1 else "No earlier studies."
    return "No studies found, but not every hospital answered. Earlier studies may exist."


def copies(study: TimelineStudy) -> str:
    """Who holds it: "UMC West, OLV Clinic"."""
    return ", ".join(study.places)


def source(study: TimelineStudy, fetched_from: str) -> str:
    """Where the patient was, and which other holder the pictures came from, such as the department's archive."""
    origin, places = study.places[0], dict(zip(study.hospitals, study.places, strict=True))
    copy = places.get(fetched_from, origin)
    return origin if copy == origin else f"{origin}, from {copy}"


def fetching_all(several: Collection[FetchProgress]) -> str:
    """All that is being fetched, as one: "fetching 2 studies · 340 of 700 images · about 20 s · 12 MB/s · 84 MB".

    What nobody asked for is left out where somebody asked for something.
    """
    asked = [one for one in several if not one.prefetch]
    told = asked or list(several)
    if not told:
        return ""
    running = [one for one in told if not one.ahead]
    behind = len(told) - len(running)
    waits = f"{behind} {'waits' if behind == 1 else 'wait'}" if behind else ""
    noun = "study" if len(told) == 1 else "studies"
    verb = "fetching" if asked else "fetching ahead"
    words = together(running).told() if running else ()
    return " · ".join(part for part in (f"{verb} {len(told)} {noun}", *words, waits) if part)


def fetching_one(progress: FetchProgress) -> str:
    """One study in few words, for its row: "fetching 214 of 612 · about 20 s", "waiting behind 1 study"."""
    if progress.waiting:
        return progress.waiting
    verb = "fetching ahead" if progress.prefetch else "fetching"
    begun = f"{verb} {progress.counted}" if progress.expected else verb
    left = "" if progress.prefetch else left_words(progress.left)
    return " · ".join(part for part in (begun, left) if part)


def waiting_at(progress: FetchProgress, hospital: str) -> str:
    """What a pane without an image says while another study goes before: "waiting behind 1 study of UMC West"."""
    return f"{progress.waiting.capitalize()} of {hospital}." if progress.waiting else ""


def not_whole(report: FetchReport | None, ahead: FetchReport | None) -> str:
    """Why a study is not whole after it was fetched, "" where nothing is wrong."""
    if report is not None:
        return "" if report.state is FetchState.COMPLETE else report.message
    if ahead is not None and ahead.state is not FetchState.COMPLETE:
        return f"Fetched ahead: {ahead.message}"
    return ""
