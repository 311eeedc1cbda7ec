"""What is in a folder: the instances that its DICOMDIR names and those that its files show, as studies and series."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from priorline.archives.dicom_complete import side_of
from priorline.archives.folder_files import Place
from priorline.domain.patient import Identifier, names_agree
from priorline.domain.study import SeriesAnswer, StudyAnswer
from priorline.errors import ArchiveError


@dataclass(frozen=True, slots=True)
class Instance:
    """One object: the study and the series that it is of, without counts, and its file; None where there is none.

    Body part and side in `study` are those of its series.
    """

    study: StudyAnswer
    series: SeriesAnswer
    sop_class: str
    sop_uid: str
    place: Place | None


class Index:
    """The instances of a folder by study; `problem` says why there may be more, so that nothing is counted."""

    def __init__(self, instances: Iterable[Instance], problem: ArchiveError | None = None) -> None:
        self.problem = problem
        self._instances: dict[str, list[Instance]] = {}
        for one in instances:
            self._instances.setdefault(one.study.study_uid, []).append(one)

    def instances(self, study_uid: str) -> list[Instance]:
        """The objects of a study, those without a file only where no other file has them."""
        found = self._instances.get(study_uid, [])
        there = {one.sop_uid for one in found if one.place is not None}
        return [one for one in found if one.place is not None or one.sop_uid not in there]

    def studies(self) -> list[StudyAnswer]:
        """All studies, one row for each patient under one UID."""
        return [row for uid in self._instances for row in self.rows(uid)]

    def rows(self, study_uid: str) -> list[StudyAnswer]:
        """The rows of one study: nearly always one, more where its objects name different patient numbers."""
        parts: dict[Identifier, list[Instance]] = {}
        for one in self.instances(study_uid):
            parts.setdefault(one.study.patient.identifier, []).append(one)
        return [self._study(part) for part in parts.values()]

    def series(self, study_uid: str) -> list[SeriesAnswer]:
        """The series of a study with their counts and SOP classes."""
        parts: dict[str, list[Instance]] = {}
        for one in self.instances(study_uid):
            parts.setdefault(one.series.series_uid, []).append(one)
        return [self._series(part) for part in parts.values()]

    def _study(self, part: list[Instance]) -> StudyAnswer:
        told = [one.study for one in part]
        # The fullest description of the patient first, as a DICOMDIR says less than a file.
        best = max(told, key=lambda row: (row.patient.birth_date is not None, bool(row.description)))
        return replace(
            best,
            modalities=tuple(sorted({one.series.modality for one in part} - {""})),
            body_part=next((row.body_part for row in told if row.body_part), ""),
            laterality=side_of(row.laterality for row in told),
            series=len({one.series.series_uid for one in part}),
            images=self._count(part),
        )

    def _series(self, part: list[Instance]) -> SeriesAnswer:
        return replace(part[0].series, images=self._count(part))

    def _count(self, part: list[Instance]) -> int | None:
        return None if self.problem else len({one.sop_uid for one in part})


def told_by_both(listed: StudyAnswer, seen: StudyAnswer) -> StudyAnswer:
    """What a DICOMDIR says of a study, with what one of its files says more; not where they name different people.

    A DICOMDIR often leaves out the birth date and who issued the number (PS3.3 F.5.1).
    """
    ours, theirs = listed.patient, seen.patient
    is_other = ours.identifier.value != theirs.identifier.value or names_agree(ours.name, theirs.name) is False
    if is_other or listed.study_uid != seen.study_uid:
        return listed
    patient = replace(
        theirs,
        name=theirs.name or ours.name,
        birth_date=theirs.birth_date or ours.birth_date,
        sex=theirs.sex or ours.sex,
        other_ids=theirs.other_ids or ours.other_ids,
    )
    return replace(
        seen,
        patient=patient,
        study_date=seen.study_date or listed.study_date,
        study_time=seen.study_time or listed.study_time,
        description=seen.description or listed.description,
        accession=seen.accession or listed.accession,
        body_part=listed.body_part or seen.body_part,
        laterality=listed.laterality or seen.laterality,
        procedure_codes=seen.procedure_codes or listed.procedure_codes,
    )
