"""Whose study is it? Shut until a person decides with a reason, open once that is kept, shut when taken back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, time

import numpy as np
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from priorline.desk.decisions import CHANGED, NOT_KEPT, NOT_TAKEN_BACK
from priorline.desk.identity_card import IdentityCard
from priorline.desk.identity_details import Details
from priorline.desk.viewer.content import PaneState
from priorline.desk.window import Window
from priorline.domain.links import PersonLink
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer
from priorline.imaging.frame import DecodedFrame, ValueMapping
from priorline.imaging.instance import InstanceHeader
from priorline.work.launch import Launch
from priorline.work.messages import (
    AskPresence,
    CachedInstance,
    Cancel,
    Confirm,
    Fetch,
    LookAtPerson,
    OnRecord,
    OpenStudy,
    PatientKnown,
    PresenceItem,
    PresenceKnown,
    RequestFailed,
    Revoke,
    Search,
    StudiesFound,
    StudyContents,
    Ticket,
)
from scripted_bridge import ScriptedBridge

JANSEN = Patient(Identifier("999990007", "NLMINBIZA"), "JANSEN^Anna", date(1970, 3, 14), "F")
MARRIED = replace(JANSEN, name="BAKKER^Anna")
CT = StudyAnswer("A", "1.2.1", JANSEN, date(2024, 5, 1), time(9), ("CT",), "CT thorax", images=1)
FILM = StudyAnswer("B", "1.2.2", MARRIED, date(2019, 3, 2), time(9), ("DX",), "X-thorax", images=1)
SECOND = replace(FILM, study_uid="1.2.3", study_date=date(2018, 1, 5))
REASON = "maiden name in the referral"

Look = Callable[[Callable[[], bool]], None]


def launch(window: Window, bridge: ScriptedBridge, links: tuple[PersonLink, ...] = ()) -> None:
    """The current CT, and two films that the other hospital keeps under another family name."""
    window.launch(
        Launch(
            patient_id="999990007", issuer="NLMINBIZA", name=JANSEN.name, birth_date="19700314", study=CT.study_uid
        )
    )
    number = bridge.last(Search).number
    bridge.tell(PatientKnown(number, JANSEN, {}, links=links))
    bridge.tell(StudiesFound(number, (CT, FILM, SECOND)))


def everything_here(bridge: ScriptedBridge) -> None:
    """The cache has one image of each study that was asked for."""
    for one in [one for one in bridge.sent if isinstance(one, AskPresence)]:
        bridge.tell(PresenceKnown(one.number, dict.fromkeys(one.study_uids, PresenceItem(1, complete=True))))


def show_picture(bridge: ScriptedBridge, study: StudyAnswer) -> None:
    """The cache's answer to the last look at a study, and the decoder's to the pane that waits for it."""
    uid = study.study_uid
    header = InstanceHeader(f"{uid}.9", "1", "1", uid, f"{uid}.8", study.patient)
    contents = (CachedInstance(header, Ticket(f"/{uid}", "ab" * 16, b"")),)
    bridge.tell(StudyContents(bridge.last(OpenStudy).number, uid, contents, 1, complete=True))
    for number, (ticket, _) in list(bridge.wanted.items()):
        if ticket.path == f"/{uid}":
            bridge.frame.emit(number, DecodedFrame(np.zeros((4, 4), np.uint8), ValueMapping(bits=8), header))


def asked(window: Window, bridge: ScriptedBridge, look: Look) -> IdentityCard:
    """The card of the film, on the right, in question, with the details shown."""
    launch(window, bridge)
    look(lambda: window.case is not None and window.case.study(FILM.study_uid) is not None)
    window.compare(FILM.study_uid)
    card = window.comparison.halves[window.comparison.prior].card
    card.reason.setText(REASON)
    card.look.click()
    bridge.tell(OnRecord(bridge.last(LookAtPerson).number))
    return card


def confirmed(window: Window, bridge: ScriptedBridge, look: Look) -> None:
    """The film, open after all the steps of a confirmation."""
    card = asked(window, bridge, look)
    card.same.click()
    bridge.tell(OnRecord(bridge.last(Confirm).number))
    everything_here(bridge)
    look(lambda: window.comparison.prior.study_uid == FILM.study_uid)
    show_picture(bridge, FILM)
    look(lambda: window.comparison.prior.pane.content.state is PaneState.IMAGE)


def said(window: Window) -> str:
    """All words of the card on the right."""
    card = window.comparison.halves[window.comparison.prior].card
    return "\n".join(label.text() for label in card.findChildren(type(card._title)) if label.isVisible())


def test_a_study_in_question_asks_and_shows_nothing_of_the_person(
    window: Window, bridge: ScriptedBridge, look: Look
) -> None:
    launch(window, bridge)
    look(lambda: window.case is not None and window.case.study(FILM.study_uid) is not None)
    window.compare(FILM.study_uid)
    card = window.comparison.halves[window.comparison.prior].card
    assert card.isVisible()
    window.comparison.other_pane()
    assert window.focusWidget() is card.reason
    assert window.comparison.prior.pane.content.state is PaneState.OTHER_PATIENT
    assert "Differ: name." in said(window)
    assert "Bakker".casefold() not in said(window).casefold()
    assert not card.look.isEnabled()  # not without a reason
    card.reason.setText("  ")
    assert not card.look.isEnabled()
    card.reason.setText(REASON)
    assert not card.same.isVisible()
    card.look.click()
    asked = bridge.last(LookAtPerson)
    assert (asked.reason, asked.study_uid, asked.hospitals) == (REASON, FILM.study_uid, ("B",))
    assert "Bakker".casefold() not in said(window).casefold()  # before the look is on record
    bridge.tell(OnRecord(asked.number))
    assert "bakker" in said(window).casefold()
    assert card.same.isVisible()
    assert bridge.count(Confirm) == 0


def test_confirming_is_kept_first_and_then_opens_all_that_it_covers(
    window: Window, bridge: ScriptedBridge, look: Look
) -> None:
    card = asked(window, bridge, look)
    card.same.click()
    kept = bridge.last(Confirm)
    assert [link.reason for link in kept.links] == [REASON]
    assert set(kept.study_uids) == {FILM.study_uid, SECOND.study_uid}
    assert window.comparison.prior.study_uid == ""  # not before it is kept
    bridge.tell(OnRecord(kept.number))
    look(lambda: window.comparison.prior.study_uid == FILM.study_uid)
    assert not card.isVisible()
    note = window.comparison.halves[window.comparison.prior].note
    assert note.isVisible()
    rows = {row.study_uid: row.shut for row in window.list.rows.shown()}
    assert rows == {CT.study_uid: False, FILM.study_uid: False, SECOND.study_uid: False}


def test_what_cannot_be_kept_stays_shut(window: Window, bridge: ScriptedBridge, look: Look) -> None:
    card = asked(window, bridge, look)
    card.same.click()
    bridge.tell(RequestFailed(bridge.last(Confirm).number, "The disk is full."))
    assert window.header.sentence == NOT_KEPT.format("The disk is full.")
    assert window.comparison.prior.study_uid == ""
    assert card.isVisible()


def test_taking_it_back_closes_the_images_at_once(window: Window, bridge: ScriptedBridge, look: Look) -> None:
    confirmed(window, bridge, look)
    half = window.comparison.halves[window.comparison.prior]
    half.note.undo.click()
    pane = window.comparison.prior.pane
    assert (pane.frame, pane.content.state) == (None, PaneState.OTHER_PATIENT)  # before anybody answered
    assert half.card.isVisible()
    assert not half.note.isVisible()
    asked = bridge.last(Revoke)
    assert asked.links == bridge.last(Confirm).links
    assert set(asked.study_uids) == {FILM.study_uid, SECOND.study_uid}
    bridge.tell(RequestFailed(asked.number, "The disk is full."))
    assert window.header.sentence == NOT_TAKEN_BACK.format("The disk is full.")
    assert pane.frame is None


def test_what_was_confirmed_before_opens_at_once_and_says_so(
    window: Window, bridge: ScriptedBridge, look: Look
) -> None:
    confirmed(window, bridge, look)
    links = bridge.last(Confirm).links
    launch(window, bridge, links)
    look(lambda: window.case is not None and window.case.study(FILM.study_uid) is not None)
    everything_here(bridge)
    window.compare(FILM.study_uid)
    half = window.comparison.halves[window.comparison.prior]
    assert window.comparison.prior.study_uid == FILM.study_uid
    assert half.note.isVisible()
    assert not half.card.isVisible()


def test_another_patient_finds_no_card_of_the_last_one(window: Window, bridge: ScriptedBridge, look: Look) -> None:
    launch(window, bridge)
    look(lambda: window.case is not None and window.case.study(FILM.study_uid) is not None)
    window.compare(FILM.study_uid)
    half = window.comparison.halves[window.comparison.prior]
    half.card.reason.setText(REASON)
    half.card.look.click()
    asked = bridge.last(LookAtPerson)
    window.launch(Launch(patient_id="1", issuer="X"))
    bridge.tell(OnRecord(asked.number))
    assert not half.card.isVisible()
    assert "bakker" not in said(window).casefold()


def test_enter_looks_once_and_never_confirms(
    qtbot: QtBot, window: Window, bridge: ScriptedBridge, look: Look
) -> None:
    launch(window, bridge)
    look(lambda: window.case is not None and window.case.study(FILM.study_uid) is not None)
    window.compare(FILM.study_uid)
    card = window.comparison.halves[window.comparison.prior].card
    card.reason.setText(REASON)
    for _ in range(4):
        qtbot.keyClick(card.reason, Qt.Key.Key_Return)
    assert bridge.count(LookAtPerson) == 1
    bridge.tell(OnRecord(bridge.last(LookAtPerson).number))
    for _ in range(4):
        qtbot.keyClick(card.reason, Qt.Key.Key_Return)
    assert (bridge.count(LookAtPerson), bridge.count(Confirm)) == (1, 0)


def test_only_what_was_seen_is_confirmed(window: Window, bridge: ScriptedBridge, look: Look) -> None:
    card = asked(window, bridge, look)
    other = replace(FILM, hospital="A", patient=replace(JANSEN, name="DE VRIES^Petra"))
    bridge.tell(StudiesFound(bridge.last(Search).number, (other,)))
    card.same.click()  # before the window was drawn anew
    assert bridge.count(Confirm) == 0
    assert window.header.sentence == CHANGED
    look(lambda: not card.same.isVisible())


def test_details_that_were_not_asked_for_are_not_shown(window: Window, bridge: ScriptedBridge, look: Look) -> None:
    launch(window, bridge)
    look(lambda: window.case is not None and window.case.study(FILM.study_uid) is not None)
    window.compare(FILM.study_uid)
    card = window.comparison.halves[window.comparison.prior].card
    card.reason.setText(REASON)
    card.look.click()
    other = replace(FILM, hospital="A", patient=replace(JANSEN, name="DE VRIES^Petra"))
    bridge.tell(StudiesFound(bridge.last(Search).number, (other,)))
    look(lambda: card.reason.text() == "")  # it asks anew
    bridge.tell(OnRecord(bridge.last(LookAtPerson).number))
    assert not card.same.isVisible()
    assert "petra" not in said(window).casefold()


def test_a_confirmation_answered_late_does_not_undo_the_undo(
    window: Window, bridge: ScriptedBridge, look: Look
) -> None:
    card = asked(window, bridge, look)
    card.same.click()
    card.same.click()
    assert window.case is not None
    study = window.case.study(FILM.study_uid)
    assert study is not None
    window.case.confirm(study, REASON)
    assert bridge.count(Confirm) == 1
    number = bridge.last(Confirm).number
    window.case.revoke(FILM.study_uid, "no")
    assert bridge.count(Revoke) == 0
    bridge.tell(OnRecord(number))
    look(lambda: window.comparison.prior.study_uid == FILM.study_uid)  # nothing was confirmed when it was taken back
    window.case.revoke(FILM.study_uid, "no")
    bridge.tell(OnRecord(number))
    assert window.comparison.prior.study_uid == ""


def test_a_failed_undo_is_tried_again(window: Window, bridge: ScriptedBridge, look: Look) -> None:
    confirmed(window, bridge, look)
    window.comparison.halves[window.comparison.prior].note.undo.click()
    first = bridge.last(Revoke)
    bridge.tell(RequestFailed(first.number, "The disk is full."))
    window.launch(Launch(patient_id="1", issuer="X"))  # the next patient does not wait for it
    again = bridge.last(Revoke)
    assert again.number != first.number
    assert (again.links, again.study_uids, again.reason) == (first.links, first.study_uids, first.reason)


def test_what_falls_into_question_is_fetched_no_further(window: Window, bridge: ScriptedBridge, look: Look) -> None:
    launch(window, bridge)
    look(lambda: window.case is not None and window.case.current() is not None)
    absent = dict.fromkeys((CT.study_uid, FILM.study_uid, SECOND.study_uid), PresenceItem(0, complete=False))
    bridge.tell(PresenceKnown(bridge.last(AskPresence).number, absent))
    look(lambda: bridge.count(Fetch) == 1)
    number = bridge.last(Fetch).number
    other = replace(CT, hospital="B", patient=MARRIED)
    bridge.tell(StudiesFound(bridge.last(Search).number, (other,)))
    look(lambda: any(isinstance(one, Cancel) and one.number == number for one in bridge.sent))


def test_the_study_that_is_read_is_never_one_in_question(window: Window, bridge: ScriptedBridge, look: Look) -> None:
    window.launch(Launch(patient_id="999990007", issuer="NLMINBIZA", name=JANSEN.name, birth_date="19700314"))
    number = bridge.last(Search).number
    bridge.tell(PatientKnown(number, JANSEN, {}))
    bridge.tell(StudiesFound(number, (CT, FILM)))
    look(lambda: window.case is not None and window.case.study(FILM.study_uid) is not None)
    window.compare(FILM.study_uid)
    assert window.case is not None
    assert window.case.current() is None
    assert window.comparison.halves[window.comparison.prior].card.isVisible()


def test_what_has_not_been_on_the_screen_is_not_confirmed(
    qtbot: QtBot, window: Window, bridge: ScriptedBridge, look: Look
) -> None:
    window.resize(1000, 600)
    card = asked(window, bridge, look)
    bar = card.findChild(Details).verticalScrollBar()
    look(lambda: bar.maximum() > 0)
    assert not card.same.isEnabled()
    bar.setValue(bar.maximum())
    assert card.same.isEnabled()
    bar.setValue(0)
    assert card.same.isEnabled()  # it has been read


def test_in_a_large_window_all_is_on_the_screen_at_once(window: Window, bridge: ScriptedBridge, look: Look) -> None:
    window.resize(1600, 1000)
    card = asked(window, bridge, look)
    look(card.same.isEnabled)
