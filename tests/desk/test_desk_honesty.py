"""What the window must never do, shown with a bridge that answers what the test says: no processes, no network."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, time
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from priorline.desk import journey, lull
from priorline.desk.viewer.content import PaneState
from priorline.desk.window import Window
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import FetchReport, FetchState, HospitalReport, HospitalState, StudyAnswer
from priorline.errors import CacheDamaged, CannotDecode
from priorline.imaging.frame import DecodedFrame, ValueMapping
from priorline.imaging.instance import InstanceHeader
from priorline.work.launch import Launch
from priorline.work.messages import (
    AskPresence,
    CachedInstance,
    Cancel,
    Discard,
    Fetch,
    FetchEnded,
    HospitalEnded,
    InstanceArrived,
    OpenStudy,
    PatientKnown,
    PresenceItem,
    PresenceKnown,
    RequestFailed,
    Search,
    SearchEnded,
    StudiesFound,
    StudyContents,
    Ticket,
)
from scripted_bridge import ScriptedBridge

JANSEN = Patient(Identifier("999990007", "NLMINBIZA"), "JANSEN^Piet", date(1970, 3, 14), "M")
DE_VRIES = Patient(Identifier("999990019", "NLMINBIZA"), "DE VRIES^Anna", date(1980, 1, 1), "F")
CT = StudyAnswer("A", "1.2.1", JANSEN, date(2024, 5, 1), time(9), ("CT",), "CT thorax", images=3)
FILM = StudyAnswer("B", "1.2.2", JANSEN, date(2019, 3, 2), time(9), ("DX",), "X-thorax", images=1)


def launch(window: Window, bridge: ScriptedBridge, patient: Patient = JANSEN, study: str = CT.study_uid) -> int:
    identifier = patient.identifier
    born = patient.birth_date.isoformat() if patient.birth_date else ""
    window.launch(
        Launch(
            patient_id=identifier.value,
            issuer=identifier.issuer,
            name=patient.name,
            birth_date=born,
            sex=patient.sex,
            study=study,
        )
    )
    number = bridge.last(Search).number
    bridge.tell(PatientKnown(number, patient, {}))
    return number


def end(bridge: ScriptedBridge, number: int, *states: HospitalState) -> None:
    for name, state in zip("AB", states, strict=True):
        bridge.tell(HospitalEnded(number, HospitalReport(name, state, int(state is HospitalState.ANSWERED))))
    bridge.tell(SearchEnded(number))


def absent(bridge: ScriptedBridge) -> None:
    """The cache has nothing of what was asked for."""
    asked = [one for one in bridge.sent if isinstance(one, AskPresence)]
    for one in asked:
        bridge.tell(PresenceKnown(one.number, dict.fromkeys(one.study_uids, PresenceItem(0, complete=False))))


def header(study: StudyAnswer, number: int = 1, patient: Patient = JANSEN) -> InstanceHeader:
    return InstanceHeader(
        sop_uid=f"{study.study_uid}.{number}",
        sop_class="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax="1.2.840.10008.1.2.1",
        study_uid=study.study_uid,
        series_uid=f"{study.study_uid}.9",
        patient=patient,
        modality=study.modalities[0],
        instance_number=number,
        rows=4,
        columns=4,
    )


def cached(study: StudyAnswer, number: int = 1, patient: Patient = JANSEN) -> CachedInstance:
    return CachedInstance(header(study, number, patient), Ticket("", f"{study.study_uid}.{number}", b""))


def decode(bridge: ScriptedBridge, study: StudyAnswer, patient: Patient = JANSEN) -> None:
    """Answer every frame that is wanted of this study."""
    for number, (ticket, _frame) in list(bridge.wanted.items()):
        if ticket.handle.startswith(study.study_uid):
            which = int(ticket.handle.rsplit(".", 1)[1])
            pixels = np.full((4, 4), 200, np.uint8)
            bridge.frame.emit(number, DecodedFrame(pixels, ValueMapping(), header(study, which, patient)))
            del bridge.wanted[number]


def arrive(bridge: ScriptedBridge, study: StudyAnswer, count: int, expected: int) -> int:
    fetch = next(
        one for one in reversed(bridge.sent) if isinstance(one, Fetch) and one.study.study_uid == study.study_uid
    )
    for number in range(1, count + 1):
        bridge.tell(InstanceArrived(fetch.number, study.study_uid, cached(study, number), number, expected, number))
    return fetch.number


def shown_words(window: Window) -> str:
    """Everything that the window says at the moment."""
    rows = window.list.rows
    texts = [str(rows.data(rows.index(n))) for n in range(rows.rowCount())]
    panes = (window.comparison.current.pane, window.comparison.prior.pane)
    return " ".join([*texts, window.count.text(), *(str(pane.content) for pane in panes)])


def test_nothing_of_the_last_patient_stays_while_the_next_is_looked_for(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    number = launch(window, bridge)
    bridge.tell(StudiesFound(number, (CT, FILM)))
    look(lambda: window.list.rows.total() == 2)
    window.launch(Launch(study="1.2.77"))
    assert window.list.rows.total() == 0
    assert "X-thorax" not in shown_words(window)
    assert "JANSEN" not in shown_words(window)
    bridge.tell(RequestFailed(bridge.last(Search).number, "No hospital that answered has the current study."))
    look(lambda: "No hospital" in window.header.sentence)
    assert window.list.rows.total() == 0


def test_answers_for_the_last_patient_are_dropped(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    first = launch(window, bridge)
    second = launch(window, bridge, DE_VRIES, "1.2.50")
    bridge.tell(StudiesFound(first, (CT, FILM)))
    theirs = replace(FILM, study_uid="1.2.51", patient=DE_VRIES)
    bridge.tell(StudiesFound(second, (theirs,)))
    look(lambda: window.list.rows.total() == 1)
    assert "CT thorax" not in shown_words(window)


def test_a_picture_whose_own_dataset_names_somebody_else_is_not_painted(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    number = launch(window, bridge)
    bridge.tell(StudiesFound(number, (CT,)))
    pane = window.comparison.current.pane
    look(lambda: bridge.count(OpenStudy) == 1)
    contents = StudyContents(
        bridge.last(OpenStudy).number, CT.study_uid, (cached(CT, 1, DE_VRIES),), 1, complete=True
    )
    bridge.tell(contents)
    decode(bridge, CT, DE_VRIES)
    look(lambda: pane.content.state is PaneState.OTHER_PATIENT)
    assert pane.frame is None


@pytest.mark.parametrize("somebody", ["looks", "scrolls"])
def test_a_pane_is_shut_when_its_study_turns_out_uncertain(
    window: Window,
    bridge: ScriptedBridge,
    look: Callable[[Callable[[], bool]], None],
    monkeypatch: pytest.MonkeyPatch,
    somebody: str,
) -> None:
    monkeypatch.setattr(lull, "SCROLLING_SECONDS", 60.0)
    monkeypatch.setattr(lull, "LONGEST_MILLISECONDS", 60_000)
    number = launch(window, bridge)
    bridge.tell(StudiesFound(number, (CT,)))
    look(lambda: bridge.count(OpenStudy) == 1)
    bridge.tell(StudyContents(bridge.last(OpenStudy).number, CT.study_uid, (cached(CT),), 1, complete=True))
    decode(bridge, CT)
    pane = window.comparison.current.pane
    look(lambda: pane.content.state is PaneState.IMAGE)
    if somebody == "scrolls":
        window.comparison.current.go_to(0)
    other_name = replace(JANSEN, name="PIETERSEN^Jan")
    bridge.tell(StudiesFound(number, (replace(CT, hospital="B", patient=other_name),)))
    look(lambda: pane.content.state is PaneState.OTHER_PATIENT)
    assert pane.frame is None


def test_today_is_only_said_of_today(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    number = launch(window, bridge)
    bridge.tell(StudiesFound(number, (CT,)))
    pane = window.comparison.current.pane
    look(lambda: pane.content.date != "")
    assert pane.content.date == "1 May 2024"
    today = replace(CT, study_date=date.today())  # noqa: DTZ011 - the reader's day
    bridge.tell(StudiesFound(number, (today,)))
    look(lambda: pane.content.date.endswith("· today"))


def test_progress_is_told_while_it_is_made_and_a_part_is_never_called_complete(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    number = launch(window, bridge)
    bridge.tell(StudiesFound(number, (CT,)))
    absent(bridge)
    pane = window.comparison.current.pane
    look(lambda: bridge.count(Fetch) == 1)
    fetch = arrive(bridge, CT, 2, 3)
    look(lambda: pane.content.completeness == "2 of 3 images")
    look(lambda: "2 of 3" in shown_words(window))
    report = FetchReport(CT.study_uid, "A", FetchState.PARTIAL, expected=3, received=2, message="1 image is missing.")
    bridge.tell(FetchEnded(fetch, report))
    bridge.tell(PresenceKnown(99, {CT.study_uid: PresenceItem(2, complete=False)}))
    missing = window.comparison.halves[window.comparison.current].missing
    look(lambda: missing.words.text() == "2 of 3 images. 1 image is missing.")
    assert pane.content.completeness == "2 of 3 images"


def test_a_study_that_grew_at_the_hospital_is_fetched_again(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    number = launch(window, bridge)
    bridge.tell(StudiesFound(number, (CT,)))
    look(lambda: bridge.count(AskPresence) == 1)
    asked = bridge.last(AskPresence).number
    bridge.tell(PresenceKnown(asked, {CT.study_uid: PresenceItem(2, complete=True)}))
    look(lambda: bridge.count(Fetch) == 1)
    assert window.comparison.current.pane.content.completeness != "complete"


def test_what_is_whole_in_the_cache_is_not_asked_for_again(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    number = launch(window, bridge)
    bridge.tell(StudiesFound(number, (CT,)))
    look(lambda: bridge.count(AskPresence) == 1)
    bridge.tell(PresenceKnown(bridge.last(AskPresence).number, {CT.study_uid: PresenceItem(3, complete=True)}))
    look(lambda: window.comparison.current.pane.content.whole is True)
    assert bridge.count(Fetch) == 0


def test_a_frame_that_cannot_be_decoded_says_so_until_another_is_looked_at(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    number = launch(window, bridge)
    bridge.tell(StudiesFound(number, (CT,)))
    look(lambda: bridge.count(OpenStudy) == 1)
    both = (cached(CT, 1), cached(CT, 2))
    bridge.tell(StudyContents(bridge.last(OpenStudy).number, CT.study_uid, both, 2, complete=True))
    pane = window.comparison.current.pane
    wanted = next(iter(bridge.wanted))
    bridge.frame.emit(wanted, CannotDecode("No decoder reads this."))
    assert pane.content.state is PaneState.CANNOT_SHOW
    bridge.tell(StudiesFound(number, (FILM,)))
    look(lambda: window.list.rows.total() == 2)
    assert (pane.content.state, pane.content.message) == (PaneState.CANNOT_SHOW, "No decoder reads this.")
    del bridge.wanted[wanted]
    window.comparison.current.scroll(-1)
    decode(bridge, CT)
    assert pane.content.state is PaneState.IMAGE


def test_arrivals_do_not_put_off_the_first_image(window: Window, bridge: ScriptedBridge, qtbot: QtBot) -> None:
    number = launch(window, bridge)
    bridge.tell(StudiesFound(number, (CT,)))
    absent(bridge)
    qtbot.waitUntil(lambda: bridge.count(Fetch) == 1)
    arrive(bridge, CT, 1, 3)
    (first,) = bridge.wanted
    arrive(bridge, CT, 3, 3)
    assert first in bridge.wanted
    decode(bridge, CT)
    assert window.comparison.current.pane.content.state is PaneState.IMAGE


def report_in(study: StudyAnswer) -> CachedInstance:
    """A document of a study, which has no pixels."""
    return CachedInstance(replace(header(study), displayable=False, rows=0, columns=0), Ticket("", "1", b""))


def open_with_a_report(window: Window, bridge: ScriptedBridge, study: StudyAnswer, *, complete: bool) -> int:
    """A study of which a document is here, which may be all of it; returns the question's number."""
    number = launch(window, bridge)
    bridge.tell(StudiesFound(number, (study,)))
    asked = bridge.last(AskPresence).number
    bridge.tell(PresenceKnown(asked, {study.study_uid: PresenceItem(1, complete=complete, hospital="A")}))
    return number


def test_a_study_of_documents_alone_says_so_and_goes_on_saying_so(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    study, pane = replace(CT, images=1), window.comparison.current.pane
    number = open_with_a_report(window, bridge, study, complete=True)
    look(lambda: bridge.count(OpenStudy) == 1)
    opened = bridge.last(OpenStudy).number
    bridge.tell(StudyContents(opened, study.study_uid, (report_in(study),), 1, complete=True))
    words = PaneState.CANNOT_SHOW, "This study has no images, only documents."
    look(lambda: (pane.content.state, pane.content.message) == words)
    bridge.tell(StudiesFound(number, (FILM,)))
    look(lambda: len(window.list.rows.shown()) == 2)
    assert (pane.content.state, pane.content.message) == words


def test_documents_of_a_study_that_is_not_whole_are_not_called_all_of_it(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    pane = window.comparison.current.pane
    open_with_a_report(window, bridge, CT, complete=False)
    look(lambda: bridge.count(OpenStudy) == 1 and bridge.count(Fetch) == 1)
    opened = bridge.last(OpenStudy).number
    bridge.tell(StudyContents(opened, CT.study_uid, (report_in(CT),), 1, complete=True))
    look(lambda: pane.content.received == 1)
    assert pane.content.state is PaneState.WAITING
    report = FetchReport(CT.study_uid, "A", FetchState.PARTIAL, expected=3, received=1, message="A is away.")
    bridge.tell(FetchEnded(bridge.last(Fetch).number, report))
    look(lambda: pane.content.state is PaneState.CANNOT_SHOW)
    assert pane.content.message == "Only documents of this study are here so far, no images."


def test_why_a_study_cannot_be_opened_stays_until_an_image_comes(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    pane, number = window.comparison.current.pane, launch(window, bridge)
    bridge.tell(StudiesFound(number, (CT,)))
    look(lambda: bridge.count(OpenStudy) == 1)
    bridge.tell(RequestFailed(bridge.last(OpenStudy).number, "The cache folder cannot be used."))
    words = PaneState.CANNOT_SHOW, "The cache folder cannot be used."
    assert (pane.content.state, pane.content.message) == words
    bridge.tell(StudiesFound(number, (FILM,)))
    look(lambda: len(window.list.rows.shown()) == 2)
    assert (pane.content.state, pane.content.message) == words
    absent(bridge)
    look(lambda: bridge.count(Fetch) == 1 and pane.content.state is PaneState.WAITING)
    arrive(bridge, CT, 1, 3)
    decode(bridge, CT)
    assert pane.content.state is PaneState.IMAGE


def test_a_later_study_is_not_called_a_prior(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    later = replace(FILM, study_date=date(2025, 1, 1))
    number = launch(window, bridge)
    bridge.tell(StudiesFound(number, (CT, later)))
    look(lambda: window.list.rows.total() == 2)
    window.compare(later.study_uid)
    assert window.comparison.prior.pane.content.role == "LATER"


def test_another_prior_ends_the_fetch_of_the_one_before(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    other = replace(FILM, study_uid="1.2.3", description="CT thorax", modalities=("CT",), images=600)
    number = launch(window, bridge)
    bridge.tell(StudiesFound(number, (CT, FILM, other)))
    absent(bridge)
    look(lambda: window.list.rows.total() == 3)
    window.compare(other.study_uid)
    look(lambda: bridge.last(Fetch).study.study_uid == other.study_uid)
    slow = bridge.last(Fetch).number
    window.compare(FILM.study_uid)
    assert bridge.last(Cancel).number == slow


def test_where_one_hospital_fails_the_next_holder_is_asked(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    number = launch(window, bridge)
    bridge.tell(StudiesFound(number, (CT, replace(CT, hospital="B", images=2))))
    absent(bridge)
    look(lambda: bridge.count(Fetch) == 1)
    first = bridge.last(Fetch)
    assert first.study.hospital == "A"
    pane = window.comparison.current.pane
    bridge.tell(FetchEnded(first.number, FetchReport(CT.study_uid, "A", FetchState.FAILED, message="A is away.")))
    assert (bridge.count(Fetch), bridge.last(Fetch).study.hospital) == (2, "B")
    assert pane.content.state is PaneState.WAITING
    second = bridge.last(Fetch).number
    bridge.tell(FetchEnded(second, FetchReport(CT.study_uid, "B", FetchState.FAILED, message="B is away.")))
    look(lambda: pane.content.message == "B is away.")
    assert bridge.count(Fetch) == 2
    window.comparison.open_current(window.case.current())  # type: ignore[union-attr,arg-type]
    assert (bridge.count(Fetch), bridge.last(Fetch).study.hospital) == (3, "A")


def test_no_hospital_stays_asking_when_the_question_failed(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    number = launch(window, bridge)
    bridge.tell(RequestFailed(number, "The cache folder cannot be used."))
    look(lambda: "cache folder" in window.header.sentence or "not reachable" in window.header.sentence)
    assert window.case is not None
    assert window.case.timeline is not None
    assert {report.state for report in window.case.timeline.coverage().reports} == {HospitalState.FAILED}


def test_rows_left_out_as_another_person_never_look_like_no_earlier_studies(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    mistyped = replace(JANSEN, birth_date=date(1970, 3, 15))
    number = launch(window, bridge, mistyped, "")
    bridge.tell(StudiesFound(number, (CT, FILM)))
    end(bridge, number, HospitalState.ANSWERED, HospitalState.ANSWERED)
    look(lambda: "another person" in window.line.message)
    assert "No earlier studies" not in window.line.message
    assert "2 studies" in window.line.message
    assert "2 studies of another person left out" in window.header.sentence


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ((HospitalState.NONE, HospitalState.NONE), "No earlier studies: all 2 hospitals have none."),
        ((HospitalState.NONE, HospitalState.FAILED), "not every hospital answered"),
        ((HospitalState.TIMED_OUT, HospitalState.REFUSED), "not every hospital answered"),
    ],
)
def test_an_empty_line_says_what_it_means(
    window: Window,
    bridge: ScriptedBridge,
    look: Callable[[Callable[[], bool]], None],
    states: tuple[HospitalState, HospitalState],
    words: str,
) -> None:
    number = launch(window, bridge)
    look(lambda: "Asking 2 hospitals" in window.line.message)
    end(bridge, number, *states)
    look(lambda: words in window.line.message)


def test_a_current_study_that_nobody_has_is_not_a_success(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    number = launch(window, bridge)
    end(bridge, number, HospitalState.NONE, HospitalState.NONE)
    look(lambda: journey.is_settled(window, ""))
    assert journey.exit_code(window, "") == 1


def test_a_picture_that_cannot_be_written_ends_the_journey(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ended: list[str] = []
    steps = [journey.Step("picture.png", lambda: True)]
    taken = journey.Journey(window, steps, tmp_path / "file" / "folder", 5.0, ended.append)
    qtbot.waitUntil(lambda: bool(ended))
    assert ended == ["picture.png"]
    assert taken.parent() is window


def test_the_keyboard_filters_and_compares(window: Window, bridge: ScriptedBridge, qtbot: QtBot) -> None:
    number = launch(window, bridge)
    bridge.tell(StudiesFound(number, (CT, FILM)))
    qtbot.waitUntil(lambda: window.list.rows.total() == 2)
    window.activateWindow()
    window.filter.setFocus()
    qtbot.keyClicks(window.filter, "chest 2019")
    assert [row.study_uid for row in window.list.rows.shown()] == [FILM.study_uid]
    qtbot.keyClick(window.filter, Qt.Key.Key_Return)
    window.list.select(FILM.study_uid)
    qtbot.keyClick(window.list, Qt.Key.Key_Return)
    assert window.comparison.prior.study_uid == FILM.study_uid
    assert window.comparison.prior.pane.content.role == "PRIOR"


def test_a_damaged_image_is_taken_out_and_fetched_again_once(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    number = launch(window, bridge)
    bridge.tell(StudiesFound(number, (CT,)))
    look(lambda: bridge.count(OpenStudy) == 1)
    bridge.tell(PresenceKnown(bridge.last(AskPresence).number, {CT.study_uid: PresenceItem(3, complete=True)}))
    bridge.tell(StudyContents(bridge.last(OpenStudy).number, CT.study_uid, (cached(CT),), 3, complete=True))
    pane = window.comparison.current.pane
    wanted = max(bridge.wanted)
    bridge.frame.emit(wanted, CacheDamaged("It is damaged."))
    assert (pane.frame, pane.content.state, pane.content.message) == (None, PaneState.CANNOT_SHOW, "It is damaged.")
    asked = bridge.last(Discard)
    assert (asked.study_uid, asked.handles) == (CT.study_uid, (cached(CT).ticket.handle,))
    assert bridge.count(Fetch) == 0
    bridge.tell(PresenceKnown(asked.number, {CT.study_uid: PresenceItem(2, complete=False)}))
    fetch = bridge.last(Fetch)
    again = CachedInstance(header(CT), Ticket("", f"{CT.study_uid}.1", b"another key"))
    bridge.tell(InstanceArrived(fetch.number, CT.study_uid, again, 3, 3, 100))
    decode(bridge, CT)
    assert pane.content.state is PaneState.IMAGE
    # A disk that damages again does not make it fetch for ever.
    bridge.tell(FetchEnded(fetch.number, FetchReport(CT.study_uid, "A", FetchState.COMPLETE, 3, 3)))
    assert window.case is not None
    window.case.discard(CT.study_uid, "cd" * 16)
    bridge.tell(PresenceKnown(bridge.last(Discard).number, {CT.study_uid: PresenceItem(2, complete=False)}))
    assert bridge.count(Fetch) == 1


def test_what_is_fetched_is_told_of_every_image_that_is_due_and_of_its_painting(
    window: Window, bridge: ScriptedBridge, look: Callable[[Callable[[], bool]], None]
) -> None:
    number = launch(window, bridge)
    bridge.tell(StudiesFound(number, (CT,)))
    look(lambda: bridge.count(OpenStudy) == 1)
    all_three = tuple(cached(CT, one) for one in (1, 2, 3))
    bridge.tell(StudyContents(bridge.last(OpenStudy).number, CT.study_uid, all_three, 3, complete=True))
    decode(bridge, CT)
    presenter = window.comparison.current
    presenter.pane.repaint()
    assert presenter.pane.content.image_number == 2
    for steps, is_another in ((1, True), (1, False), (-1, True), (-1, True), (-5, False)):
        bridge.due.clear()
        presenter.scroll(steps)
        for pane in (presenter.pane, window.comparison.prior.pane):
            pane.repaint()  # not yet the image that is due, where it has to be decoded
        assert bridge.due == [True] * is_another + [False] * (is_another and not bridge.wanted)
        decode(bridge, CT)
        presenter.pane.repaint()
        presenter.pane.repaint()
        assert bridge.due == [True, False] * is_another
    bridge.due.clear()
    presenter.scroll(1)
    presenter.clear()  # and so it will not be painted
    assert bridge.due == [True, False]
