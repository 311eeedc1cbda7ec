"""QIDO-RS at a peer (PS3.18 10.6): exact keys out, page by page, only matching rows back."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from priorline.archives import dicom_complete
from priorline.archives.base import FindSummary
from priorline.archives.dicom_find import (
    STUDY_KEYS,
    Tally,
    exact_key,
    is_of_number,
    uid_key,
)
from priorline.archives.dicom_list import SERIES_KEYS, in_order
from priorline.archives.dicomweb_connection import Cancelled
from priorline.archives.dicomweb_http import Answer, NotTaken, NotThere, ask
from priorline.archives.dicomweb_peer import DicomWebPeer
from priorline.archives.dicomweb_rows import JsonRow, TooMuch, read_rows
from priorline.archives.translate import series_answer, study_answer
from priorline.archives.watch import Fault, Watch
from priorline.domain.patient import Patient
from priorline.domain.study import SeriesAnswer, StudyAnswer, StudyListing
from priorline.errors import ArchiveBroken, ArchiveError, ArchiveRefused

ACCEPT = "application/dicom+json"
JSON_TYPES = (ACCEPT, "application/json")
PAGE_ROWS = 200
PAGE_BYTES_MAX = 1 << 24
INSTANCES_MAX = 100_000
# So many rows are asked for at once where so many are there: archives look for all of them for each page.
AT_ONCE_MAX = 1000
NOBODYS_STUDY = "2.25.302410887246518736207283118234914712846"
PLACES = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}


@dataclass(frozen=True, slots=True)
class Question:
    """One search: what is asked of which level, by which exact keys; at most `most` rows, 0 for the peer's own."""

    path: str
    fields: tuple[str, ...]
    keys: tuple[tuple[str, str], ...] = ()
    most: int = 0

    @property
    def level(self) -> str:
        """The keyword of the UID that tells one row from another."""
        return PLACES[self.path.rpartition("/")[2]]

    def target(self, limit: int, offset: int) -> str:
        """Path and query for one page."""
        included = (("includefield", field) for field in self.fields)
        pairs: list[tuple[str, Any]] = [*self.keys, *included, ("limit", limit), ("offset", offset)]
        return f"{self.path}?{urlencode(pairs, quote_via=quote)}"


def echo(peer: DicomWebPeer) -> float:
    """A search for a study that nobody has; milliseconds from connecting to the answer. Raises ArchiveError."""
    began = time.monotonic()
    _all_rows(peer, Question("/studies", ("StudyInstanceUID",), (("StudyInstanceUID", NOBODYS_STUDY),)))
    return (time.monotonic() - began) * 1000


def find_studies(
    peer: DicomWebPeer,
    patient: Patient,
    on_rows: Callable[[list[StudyAnswer]], None],
    cancelled: Callable[[], bool],
) -> FindSummary:
    """Studies of exactly this patient number; foreign and unusable rows are dropped and counted."""
    question = Question("/studies", STUDY_KEYS, (("PatientID", exact_key(patient.identifier.value)),))
    tally, watch = Tally(), _watch(peer, cancelled)
    try:
        for page in _pages(peer, watch, tally, question):
            answers = [study_answer(row, peer.name, peer.patient_id_issuer) for row in page]
            ours = [answer for answer in answers if answer and is_of_number(answer.patient, patient.identifier)]
            tally.dropped += len(page) - len(ours)
            tally.rows += len(ours)
            if ours:
                with watch.held():
                    on_rows(ours)
    except Cancelled:
        return FindSummary(tally.rows, tally.dropped, tally.cut, cancelled=True)
    return FindSummary(tally.rows, tally.dropped, tally.cut)


def completed(
    peer: DicomWebPeer, answers: Iterable[StudyAnswer], cancelled: Callable[[], bool] = lambda: False
) -> list[StudyAnswer]:
    """As `dicom_complete.completed`, asked by QIDO-RS: those of `answers` that tell too little, with more."""
    found: list[StudyAnswer] = []
    watch = _watch(peer, cancelled)
    with suppress(ArchiveError, Cancelled):
        for answer in dicom_complete.newest_lacking(answers):
            question = Question(_path(answer.study_uid, "series"), dicom_complete.KEYS)
            pages = _pages(peer, watch, Tally(), question)
            rows = [row for page in pages for row in page if dicom_complete.is_series_of(row, answer)]
            known = dicom_complete.with_series(answer, rows)
            if known != answer:
                found.append(known)
    return found


def find_study(peer: DicomWebPeer, study_uid: str) -> StudyAnswer | None:
    """One study by its UID, None where the archive does not have it."""
    question = Question("/studies", STUDY_KEYS, (("StudyInstanceUID", uid_key(study_uid)),))
    rows = _all_rows(peer, question)
    answers = (study_answer(row, peer.name, peer.patient_id_issuer) for row in rows)
    return next((answer for answer in answers if answer and answer.study_uid == study_uid), None)


def list_study(peer: DicomWebPeer, study_uid: str, cancelled: Callable[[], bool] = lambda: False) -> StudyListing:
    """The series and instances of a study; empty where the archive does not have it, or where it is cancelled."""
    try:
        series, classes = _series(peer, study_uid, cancelled), set[str]()
        counts = [one.images for one in series]
        count = 0 if None in counts else sum(filter(None, counts))
        instances = _instances(peer, study_uid, count, classes, cancelled)
        return StudyListing(series, instances, frozenset(classes - {""}))
    except Cancelled:
        return StudyListing(is_cut=True)


def _series(peer: DicomWebPeer, study_uid: str, cancelled: Callable[[], bool]) -> tuple[SeriesAnswer, ...]:
    try:
        rows = _all_rows(peer, Question(_path(study_uid, "series"), SERIES_KEYS), cancelled)
    except NotThere:
        return ()
    ours = (row for row in rows if row.uid("StudyInstanceUID") in ("", study_uid))
    found = {answer.series_uid: answer for row in ours if (answer := series_answer(row))}
    return tuple(found.values())


def _instances(
    peer: DicomWebPeer, study_uid: str, count: int, classes: set[str], cancelled: Callable[[], bool]
) -> dict[str, list[str]] | None:
    """None where the archive gives no list, or one with a hole in it; what it tells of SOP classes is added.

    `count` is how many all series say that they have, 0 where one of them does not say.
    """
    tally, watch = Tally(), _watch(peer, cancelled)
    told: dict[str, list[tuple[int | None, str]]] = {}
    fields = ("SeriesInstanceUID", "SOPInstanceUID", "InstanceNumber", "SOPClassUID")
    question = Question(_path(study_uid, "instances"), fields, most=INSTANCES_MAX)
    try:
        whole = _at_once(peer, watch, question, count)
        for page in _pages(peer, watch, tally, question) if whole is None else [whole]:
            for row in page:
                told.setdefault(row.uid(fields[0]), []).append((row.number(fields[2]), row.uid(fields[1])))
                classes.add(row.uid(fields[3]))
    except ArchiveRefused:
        return None
    has_hole = tally.has_hole or "" in told or any(not uid for pairs in told.values() for _, uid in pairs)
    return None if has_hole else {series: in_order(pairs) for series, pairs in told.items()} or None


def _at_once(peer: DicomWebPeer, watch: Watch, question: Question, count: int) -> list[JsonRow] | None:
    """All `count` rows by one request; None where these are not what comes, whatever the reason: there are pages."""
    if not PAGE_ROWS < count <= AT_ONCE_MAX:
        return None
    try:
        rows, _more = _page(peer, watch, question, count + 1, 0)
    except (NotTaken, ArchiveBroken):
        return None
    read = [row for row in rows if row]
    is_whole = len(rows) == count == len({row.uid(question.level) for row in read})
    return read if is_whole else None


def _path(study_uid: str, level: str) -> str:
    return f"/studies/{uid_key(study_uid)}/{level}"


def _watch(peer: DicomWebPeer, cancelled: Callable[[], bool]) -> Watch:
    watch = Watch(cancelled)
    watch.phase(Fault.STALLED, float("inf"), peer.timeouts.query)
    return watch


def _all_rows(peer: DicomWebPeer, question: Question, cancelled: Callable[[], bool] = lambda: False) -> list[JsonRow]:
    pages = _pages(peer, _watch(peer, cancelled), Tally(), question)
    return [row for page in pages for row in page]


def _pages(peer: DicomWebPeer, watch: Watch, tally: Tally, question: Question) -> Iterator[list[JsonRow]]:
    """Readable rows, a request at a time; `tally` counts what cannot be read, and tells of a cut after `most` rows.

    An archive that ignores `offset` says the same again, one that ignores `limit` says all at once.
    """
    most, offset, seen = question.most or peer.rows_max, 0, set[str]()
    while True:
        limit = min(PAGE_ROWS, most + 1 - offset)
        rows, more = _page(peer, watch, question, limit, offset)
        told = {row.uid(question.level) for row in rows if row}
        is_repeated = offset > 0 and told <= seen
        tally.cut = offset + len(rows) > most or (is_repeated and bool(rows))
        if is_repeated:
            return
        seen |= told
        taken = rows[: most - offset]
        tally.dropped += taken.count(None)
        yield [row for row in taken if row]
        offset += len(rows)
        if tally.cut or not rows or (len(rows) != limit and not more):
            return


def _page(
    peer: DicomWebPeer, watch: Watch, question: Question, limit: int, offset: int
) -> tuple[list[JsonRow | None], bool]:
    """The rows of one answer, and whether the archive says that it has more (PS3.18 8.3.4.4.1)."""
    try:
        with ask(peer, watch, question.target(limit, offset), ACCEPT, PAGE_BYTES_MAX) as answer:
            more = answer.headers.get("warning", "").startswith("299")
            return _rows(peer, answer), more
    except NotThere as problem:
        if question.path != "/studies":
            raise
        raise ArchiveRefused(
            f"{peer.name} offers no searches at this address (HTTP status 404); check url in the configuration."
        ) from problem


def _rows(peer: DicomWebPeer, answer: Answer) -> list[JsonRow | None]:
    if answer.status == 204:
        return []
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    other = ArchiveBroken(f"{peer.name} answered a search with something else than DICOM in JSON; check its url.")
    if kind not in JSON_TYPES:
        raise other
    try:
        return read_rows(answer.body.read())
    except TooMuch as problem:
        raise ArchiveBroken(
            f"{peer.name} sends more rows at once than can be taken; ask its IT department."
        ) from problem
    except ValueError as problem:
        raise other from problem
