"""The line reads regions and sides from all that the holders of a study write, and ranks by them."""

from dataclasses import replace
from datetime import date

from priorline.domain.laterality import Side
from priorline.domain.patient import Identifier, Patient
from priorline.domain.region import Region
from priorline.domain.region_finding import RegionSource
from priorline.domain.study import ProcedureCode, StudyAnswer
from priorline.domain.timeline import Timeline, TimelineStudy
from priorline.regions import load_region_table

TABLE = load_region_table()
PIET = Patient(Identifier("999990007", "NLMINBIZA"), "JANSEN^Piet", date(1970, 3, 14), "M")
NOW = StudyAnswer("A", "now", PIET, date(2026, 3, 1), modalities=("DX",), description="X-knie links")


def film(uid: str, written: str, year: int = 2020, **more: object) -> StudyAnswer:
    return replace(NOW, study_uid=uid, study_date=date(year, 1, 1), description=written, **more)  # type: ignore[arg-type]


def ranked(*rows: StudyAnswer) -> dict[str, TimelineStudy]:
    timeline = Timeline(PIET, ("A", "B"), TABLE)
    timeline.add([NOW, *rows])
    timeline.set_current("now")
    return {study.study_uid: study for study in timeline.studies()}


def test_a_code_that_one_holder_sends_decides_for_all() -> None:
    coded = film("1", "Onderzoek", hospital="B", procedure_codes=(ProcedureCode("67734004", "SCT", "Upper trunk"),))
    study = ranked(film("1", "consult", images=9), coded)["1"]
    assert study.regions == (Region.CHEST,)
    assert study.region_finding.source is RegionSource.CODE


def test_an_unknown_code_is_still_read_by_its_meaning() -> None:
    study = ranked(film("1", "", procedure_codes=(ProcedureCode("B77", "99NOORD", "X-bekken"),)))["1"]
    assert study.region_finding.source is RegionSource.DESCRIPTION
    assert study.regions == (Region.ABDOMEN,)


def test_a_tag_decides_the_side_before_words_do() -> None:
    study = ranked(film("1", "X-knie rechts", laterality="L"))["1"]
    assert study.side is Side.LEFT
    assert ranked(film("1", "X-knie rechts"))["1"].side is Side.RIGHT


def test_the_latest_of_the_same_side_keeps_its_bonus_and_goes_before_a_newer_one_of_the_other() -> None:
    studies = ranked(film("same", "X-knie li", 2015), film("other", "X-knie re", 2025))
    same, other = studies["same"].relevance, studies["other"].relevance
    assert same.score > other.score
    assert "latest before this study" in same.reasons
    assert "other side (right)" in other.reasons
    assert other.related


def test_a_body_part_that_its_description_contradicts_is_said_to_be_uncertain() -> None:
    study = ranked(film("1", "X-thorax", body_part="KNEE"))["1"]
    assert study.regions == (Region.CHEST,)
    assert "region not certain" in study.relevance.reasons
    assert study.relevance.related
