"""Reads a folder into an index: its DICOMDIR at once, then the files that this does not name, each at most once.

A DICOMDIR is believed as far as one file of each study bears it out; else every file is looked into. Files are looked
at again only where name, size or time of change differ. Beside a DICOMDIR whose files are all there, files of the
viewer on the disc go by their extension and are not opened, as a disc is slow to go from one file to another.
"""

import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from priorline.archives.dicomdir import LARGEST, Entry, read_dicomdir
from priorline.archives.folder_files import Listed, Listing, Place, list_files, open_file, too_slow, unfinished
from priorline.archives.folder_head import Damaged, FileHead, file_head
from priorline.archives.folder_index import Index, Instance, told_by_both
from priorline.archives.translate import series_answer, study_answer
from priorline.domain.study import SeriesAnswer, StudyAnswer
from priorline.errors import ArchiveBroken, ArchiveError

DICOMDIR = "dicomdir"
# Of so many studies in a DICOMDIR one file each is looked into for what the DICOMDIR leaves out.
STUDIES_MAX = 100
VIEWER_FILES = frozenset(
    "bat bmp cab cfg chm class cmd com conf config css db dll doc docx dylib exe gif htm html icns ico inf ini jar "
    "jpeg jpg js json lib license lnk log manifest md mp4 msi ocx pdf plist png properties py pyd rtf sh so svg "
    "sys ttf txt url wav woff xml xsl zip".split()
)
SMALLEST = 64


@dataclass(frozen=True, slots=True)
class Seen:
    """What the head of a file showed: an instance, or nothing; `is_bad` where it is DICOM, or could be, unread."""

    instance: Instance | None = None
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class _Directory:
    """What a DICOMDIR names: instances, and the files that they are in."""

    instances: tuple[Instance, ...] = ()
    named: frozenset[Place] = frozenset()
    is_whole: bool = False


class FolderReader:
    """The folder `root`, which the user calls `name`; a reading takes at most `seconds`."""

    def __init__(self, name: str, root: Path, issuer: str, seconds: float) -> None:
        self._name, self._root, self._issuer, self._seconds = name, root, issuer, seconds
        self._heads: dict[Listed, Seen] = {}
        self._directory: tuple[Listed, tuple[Entry, ...]] | None = None
        self._shared: dict[StudyAnswer | SeriesAnswer, StudyAnswer | SeriesAnswer] = {}

    def read(self, cancelled: Callable[[], bool] = lambda: False) -> Generator[Index, None, None]:
        """The index as far as the DICOMDIR tells it, where there is one, and then the whole.

        Raises ArchiveError where the folder itself cannot be read; what is wrong in it is the index's `problem`.
        """
        until = time.monotonic() + self._seconds
        listing = list_files(self._name, self._root, until, cancelled)
        directory = self._read_directory(listing)
        if directory.instances:
            yield Index(directory.instances)
        # A dict of its own, as another reading may go on at the same time.
        known = self._heads
        heads = {one: known[one] for one in listing.files if one in known}
        examples = _examples(directory, {one.place: one for one in listing.files})
        self._look_into(heads, examples.values(), until, cancelled)
        directory = _compared(directory, {uid: heads[one] for uid, one in examples.items() if one in heads})
        loose = [one for one in listing.files if self._is_to_be_seen(one, directory)]
        is_late = self._look_into(heads, loose, until, cancelled)
        self._heads = heads
        seen = [heads[one] for one in loose if one in heads]
        bad = sum(one.is_bad for one in seen)
        instances = [one.instance for one in seen if one.instance]
        problem = unfinished(self._name, listing) or (too_slow(self._name) if is_late else self._unread(bad))
        yield Index([*directory.instances, *instances], problem)

    def _unread(self, bad: int) -> ArchiveError | None:
        if not bad:
            return None
        return ArchiveBroken(
            f"{self._name} has {bad} files that cannot be read, so that nobody knows what they are of; copy it again."
        )

    def _read_directory(self, listing: Listing) -> _Directory:
        """What the DICOMDIR says; nothing where there is none that can be read: the files then tell."""
        found = next((one for one in listing.files if len(one.place) == 1 and _plain(one.place[0]) == DICOMDIR), None)
        if found is None:
            return _Directory()
        if self._directory is None or self._directory[0] != found:
            self._directory = (found, self._entries(found))
        return _placed_entries(self._directory[1], listing)

    def _entries(self, found: Listed) -> tuple[Entry, ...]:
        if found.size > LARGEST:
            return ()
        try:
            with open_file(self._root, found.place) as stream:
                head = file_head(stream)
                stream.seek(0)
                content = stream.read(LARGEST)
            return tuple(read_dicomdir(content, head, self._name, self._issuer)) if head else ()
        except (OSError, Damaged):
            return ()

    def _is_to_be_seen(self, listed: Listed, directory: _Directory) -> bool:
        name = _plain(listed.place[-1])
        if listed.place in directory.named or listed.size < SMALLEST or name == DICOMDIR:
            return False
        return not (directory.is_whole and name.rpartition(".")[2] in VIEWER_FILES and "." in name)

    def _look_into(
        self, heads: dict[Listed, Seen], files: Iterable[Listed], until: float, cancelled: Callable[[], bool]
    ) -> bool:
        """Add the heads of files that are not known yet; whether there was no time for all."""
        for one in files:
            if one in heads:
                continue
            if cancelled():
                return False
            if time.monotonic() > until:
                return True
            heads[one] = self._look(one)
        return False

    def _look(self, listed: Listed) -> Seen:
        try:
            with open_file(self._root, listed.place) as stream:
                head = file_head(stream)
        except (OSError, Damaged):
            return Seen(is_bad=True)
        if head is None:
            return Seen()
        instance = self._instance(head, listed.place)
        names_somebody = head.row.text("PatientID") or head.row.text("PatientName")
        return Seen(instance, is_bad=instance is None and (head.is_all or bool(names_somebody)))

    def _instance(self, head: FileHead, place: Place) -> Instance | None:
        """The instance in a file; None where it is no patient's."""
        row = head.row
        study = study_answer(row, self._name, self._issuer)
        series = series_answer(row)
        sop_uid = row.uid("SOPInstanceUID") or head.meta.uid("MediaStorageSOPInstanceUID")
        sop_class = row.uid("SOPClassUID") or head.meta.uid("MediaStorageSOPClassUID")
        if study is None or series is None or not sop_uid or not sop_class:
            return None
        study = replace(study, body_part=row.text("BodyPartExamined"), laterality=row.text("Laterality"))
        # Thousands of files say the same of their study.
        study = self._shared.setdefault(study, study)  # type: ignore[assignment]
        series = self._shared.setdefault(series, series)  # type: ignore[assignment]
        return Instance(study, series, sop_class, sop_uid, place)


def _plain(name: str) -> str:
    """A name of ISO 9660 as one and the same, however a system shows it: `IMAGE01.;1` as `image01`."""
    return name.partition(";")[0].rstrip(".").casefold()


def _bare(place: Place) -> Place:
    """A place with the extension that some program gave the file left out."""
    return (*place[:-1], place[-1].rpartition(".")[0] or place[-1])


def _placed_entries(entries: tuple[Entry, ...], listing: Listing) -> _Directory:
    """Find the file of each entry among those that are there: nothing else is ever opened."""
    exact = {one.place: one.place for one in listing.files}
    alike = {tuple(map(_plain, place)): place for place in exact}
    bare = {_bare(plain): place for plain, place in alike.items()}
    instances = []
    for entry in entries:
        plain = tuple(map(_plain, entry.file_id))
        place = exact.get(entry.file_id) or alike.get(plain) or bare.get(plain) or alike.get(_bare(plain))
        instances.append(Instance(entry.study, entry.series, entry.sop_class, entry.sop_uid, place))
    named = frozenset(one.place for one in instances if one.place is not None)
    return _Directory(tuple(instances), named, bool(instances) and all(one.place for one in instances))


def _examples(directory: _Directory, listed: dict[Place, Listed]) -> dict[str, Listed]:
    """One file of each study that a DICOMDIR names, by Study Instance UID, of at most 100 studies."""
    found: dict[str, Listed] = {}
    for one in directory.instances:
        if one.place is not None and one.study.study_uid not in found and len(found) < STUDIES_MAX:
            found[one.study.study_uid] = listed[one.place]
    return found


def _compared(directory: _Directory, examples: dict[str, Seen]) -> _Directory:
    """The directory, each study with what a file of it says more; one that is found to lie keeps no file.

    Its files then speak for themselves, and what it alone knows of is missing.
    """
    known = {uid: seen.instance for uid, seen in examples.items() if seen.instance}
    told = {one.place: one for one in directory.instances}
    for uid, seen in known.items():
        example = told[seen.place]
        numbers = [one.study.patient.identifier.value for one in (seen, example)]
        if (uid, example.sop_uid) != (seen.study.study_uid, seen.sop_uid) or numbers[0] != numbers[1]:
            return _Directory(tuple(replace(one, place=None) for one in directory.instances))
    completed = [
        replace(one, study=told_by_both(one.study, known[uid].study))
        if (uid := one.study.study_uid) in known
        else one
        for one in directory.instances
    ]
    return replace(directory, instances=tuple(completed))
