"""Folders in the work: a hospital that is one, its studies in the cache, and the current study that lies in one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from folders import CHEST, HEAD, STRANGER, WHO, dataset_of, image, save, study, write_disc
from priorline.archives.folder import FolderArchive
from priorline.audit.trail import AuditTrail
from priorline.cache.keys import load_master_key
from priorline.cache.store import Store
from priorline.config import parse
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import FetchReport, FetchState, HospitalReport, HospitalState, StudyAnswer
from priorline.errors import EnvironmentFault, UsageError
from priorline.work.fetch import StudyFetch
from priorline.work.folder import read_folder
from priorline.work.hospitals import Hospital, build_hospitals
from priorline.work.search import Listener, search

PATIENT = Patient(Identifier(WHO["PatientID"]), WHO["PatientName"])
PROGRAMS = {"MZ": b"MZ\x90\0" + b"\xcc" * 124, "ELF": b"\x7fELF\x02\x01\x01" + b"\xcc" * 121}


@pytest.fixture
def trail(tmp_path: Path) -> AuditTrail:
    return AuditTrail(tmp_path / "audit.jsonl")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "cache", load_master_key("session", tmp_path / "no.key")) as opened:
        yield opened


def hospital_at(folder: Path, more: str = "") -> Hospital:
    text = f'[[hospital]]\nname = "CD"\nprotocol = "folder"\ndirectory = "{folder.as_posix()}"\n{more}'
    (hospital,) = build_hospitals(parse(text, "test"))
    return hospital


def searched(hospital: Hospital, trail: AuditTrail) -> tuple[HospitalReport, dict[str, StudyAnswer]]:
    rows: dict[str, StudyAnswer] = {}
    reports: list[HospitalReport] = []
    listener = Listener(lambda new: rows.update({row.study_uid: row for row in new}), reports.append)
    search((hospital,), PATIENT, listener, trail)
    (report,) = reports
    return report, rows


def fetched(hospital: Hospital, store: Store, trail: AuditTrail, uid: str = CHEST) -> FetchReport:
    assert hospital.archive is not None
    row = hospital.archive.find_study(uid)
    assert row is not None
    return StudyFetch(hospital.archive, store, row, lambda _arrived: None).run(trail)


def files_in(store: Store, uid: str = CHEST) -> dict[str, bytes]:
    """The files of a study, as the cache gives them back."""
    return {one.sop_uid: store.read(one) for one in store.instances(uid)}


def test_the_configuration_becomes_a_door(tmp_path: Path) -> None:
    hospital = hospital_at(tmp_path, 'timeout = 20\npatient_id_issuer = "WEST"')
    assert isinstance(hospital.archive, FolderArchive)
    folder = hospital.archive.folder
    assert (folder.name, folder.directory, folder.patient_id_issuer) == ("CD", tmp_path, "WEST")
    assert folder.timeouts.query == 60
    assert not hospital.encrypted


def test_a_home_folder_is_understood() -> None:
    hospital = hospital_at(Path("~/cd"))
    assert isinstance(hospital.archive, FolderArchive)
    assert hospital.archive.folder.directory == Path.home() / "cd"


def test_the_states_of_a_hospital(tmp_path: Path, trail: AuditTrail) -> None:
    folder = tmp_path / "cd"
    report, _ = searched(hospital_at(folder), trail)
    assert (report.state, report.message[:18]) == (HospitalState.FAILED, "CD is not there: p")
    folder.mkdir()
    assert searched(hospital_at(folder), trail)[0].state is HospitalState.FAILED
    (folder / "README.TXT").write_text("nothing here " * 100)
    assert searched(hospital_at(folder), trail)[0].state is HospitalState.NONE
    files = save(folder / "IMAGES", study(CHEST))
    report, rows = searched(hospital_at(folder), trail)
    assert (report.state, report.studies, rows.keys()) == (HospitalState.ANSWERED, 1, {CHEST})
    files[0].write_bytes(files[0].read_bytes()[:500])
    report, rows = searched(hospital_at(folder), trail)
    assert (report.state, rows.keys()) == (HospitalState.FAILED, {CHEST})
    assert "1 files that cannot be read" in report.message


@pytest.mark.parametrize("has_directory", [True, False])
def test_a_study_comes_into_the_cache_byte_for_byte(
    tmp_path: Path, store: Store, trail: AuditTrail, has_directory: bool
) -> None:
    made = [*study(CHEST, 5), *study(HEAD, 2)]
    disc = write_disc(tmp_path / "cd", made) if has_directory else tmp_path / "cd"
    if not has_directory:
        save(disc, made)
    report = fetched(hospital_at(disc), store, trail)
    assert (report.state, report.received, report.expected, report.message) == (FetchState.COMPLETE, 5, 5, "")
    files = (file for file in disc.rglob("*") if file.is_file() and file.name != "DICOMDIR")
    on_disc = {str(dcmread(file).SOPInstanceUID): dataset_of(file) for file in files}
    cached = files_in(store)
    assert len(cached) == 5
    for uid, content in cached.items():
        assert content.endswith(on_disc[uid])
        assert content[:132] == bytes(128) + b"DICM"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_in_a_preamble_goes_no_further(
    tmp_path: Path, store: Store, trail: AuditTrail, program: str
) -> None:
    for file in save(tmp_path / "cd", study(CHEST)):
        file.write_bytes(PROGRAMS[program] + file.read_bytes()[128:])
    assert fetched(hospital_at(tmp_path / "cd"), store, trail).state is FetchState.COMPLETE
    cached = files_in(store)
    assert len(cached) == 4
    assert not any(content[:128].strip(b"\0") for content in cached.values())


def test_a_file_that_is_cut_makes_the_fetch_partial(tmp_path: Path, store: Store, trail: AuditTrail) -> None:
    files = save(tmp_path / "cd", study(CHEST))
    files[1].write_bytes(files[1].read_bytes()[:-1000])
    report = fetched(hospital_at(tmp_path / "cd"), store, trail)
    assert (report.state, report.received, report.expected, report.failed) == (FetchState.PARTIAL, 3, 4, 1)
    assert report.message == "The file ends too early; fetch or copy it again."
    assert not store.presence([CHEST])[CHEST].complete


def test_a_file_whose_head_is_cut_makes_no_fetch_complete(tmp_path: Path, store: Store, trail: AuditTrail) -> None:
    files = save(tmp_path / "cd", study(CHEST))
    files[1].write_bytes(files[1].read_bytes()[:600])
    for _ in range(2):
        report = fetched(hospital_at(tmp_path / "cd"), store, trail)
        assert (report.state, report.received) == (FetchState.PARTIAL, 3)
        assert "1 files that cannot be read" in report.message
    assert not store.presence([CHEST])[CHEST].complete


def test_what_the_dicomdir_names_and_the_disc_has_not_makes_the_fetch_partial(
    tmp_path: Path, store: Store, trail: AuditTrail
) -> None:
    disc = write_disc(tmp_path / "cd", study(CHEST))
    min(path for path in disc.rglob("IM*") if path.is_file()).unlink()
    report = fetched(hospital_at(disc), store, trail)
    assert (report.state, report.received, report.expected) == (FetchState.PARTIAL, 3, 4)
    assert report.message == "Named by the DICOMDIR, but not there or not inside of the folder: 1 images."


def test_an_object_of_another_name_or_person_is_set_apart(tmp_path: Path, store: Store, trail: AuditTrail) -> None:
    disc = write_disc(tmp_path / "cd", study(CHEST, 6))
    files = sorted(path for path in disc.rglob("IM*") if path.is_file())
    image(CHEST, 9).save_as(files[1])
    image(CHEST, 3, STRANGER).save_as(files[3])
    report = fetched(hospital_at(disc), store, trail)
    assert (report.state, report.received, report.quarantined) == (FetchState.PARTIAL, 4, 2)
    assert "not the one that the hospital announced" in report.message
    assert "another patient" in report.message


# --- the current study


def test_a_folder_becomes_the_current_study(tmp_path: Path, store: Store, trail: AuditTrail) -> None:
    disc = write_disc(tmp_path / "cd", study(CHEST))
    (disc / "README.TXT").write_text("images of a CD" * 100)
    imported = read_folder(store, disc, trail)
    assert (imported.study.hospital, imported.study.images, imported.problem) == ("Folder", 4, "")
    assert store.presence([CHEST])[CHEST].complete
    assert [record["event"] for record in trail.records()] == ["imported"]


def test_a_current_study_that_is_cut_is_said_and_is_not_whole(
    tmp_path: Path, store: Store, trail: AuditTrail
) -> None:
    files = save(tmp_path / "cd", study(CHEST))
    files[1].write_bytes(files[1].read_bytes()[:-1000])
    imported = read_folder(store, tmp_path / "cd", trail)
    assert imported.problem == "The file ends too early; fetch or copy it again."
    here = store.presence([CHEST])[CHEST]
    assert (here.images, here.expected, here.complete) == (3, 4, False)


def test_a_current_study_of_which_nothing_is_whole_is_an_error(
    tmp_path: Path, store: Store, trail: AuditTrail
) -> None:
    for file in save(tmp_path / "cd", study(CHEST)):
        file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(EnvironmentFault, match="ends too early"):
        read_folder(store, tmp_path / "cd", trail)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ([], "no DICOM images"),
        ([*study(CHEST), *study(HEAD)], "2 studies"),
        ([image(CHEST, 0), image(CHEST, 1, STRANGER)], "more than one patient"),
    ],
)
def test_a_folder_that_is_not_one_study_is_refused(
    tmp_path: Path, store: Store, trail: AuditTrail, made: list[object], told: str
) -> None:
    save(tmp_path / "cd", made)  # type: ignore[arg-type]
    (tmp_path / "cd" / "README.TXT").write_text("x" * 1000)
    with pytest.raises(UsageError, match=told):
        read_folder(store, tmp_path / "cd", trail)
    assert store.studies() == []
