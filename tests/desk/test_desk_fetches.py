"""What the window asks for by itself, and what it says of retrievals: bridge and clock are the test's."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, time

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from hand_clock import Clock
from priorline.config import HospitalSettings, Prefetch, Settings
from priorline.desk import fetches
from priorline.desk.timeline import states
from priorline.desk.timeline.card import alerts, facts
from priorline.desk.timeline.hospitals import CONNECTION, NAME, HospitalModel
from priorline.desk.timeline.rows import TimelineRow
from priorline.desk.viewer.content import PaneState
from priorline.desk.window import Window
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import FetchReport, FetchState, HospitalReport, HospitalState, StudyAnswer
from priorline.imaging.instance import InstanceHeader
from priorline.regions import load_region_table
from priorline.work.launch import Launch
from priorline.work.messages import (
    AskPresence,
    CachedInstance,
    Cancel,
    Fetch,
    FetchEnded,
    FetchPlace,
    HospitalEnded,
    InstanceArrived,
    OpenStudy,
    PatientKnown,
    Prefer,
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

Look = Callable[[Callable[[], bool]], None]
JANSEN = Patient(Identifier("999990007", "NLMINBIZA"), "JANSEN^Piet", date(1970, 3, 14), "M")
PERHAPS = replace(JANSEN, name="BAKKER^Piet")
CT = StudyAnswer("A", "1.2.1", JANSEN, date(2024, 5, 1), time(9), ("CT",), "CT thorax", images=3)
FILM = StudyAnswer("B", "1.2.2", JANSEN, date(2019, 3, 2), time(9), ("DX",), "X-thorax", images=2)
OLD_CT = StudyAnswer("B", "1.2.3", JANSEN, date(2021, 3, 2), time(9), ("CT",), "CT thorax", images=90)
KNEE = StudyAnswer("B", "1.2.4", JANSEN, date(2023, 3, 2), time(9), ("MR",), "MR knie rechts", images=9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(fetches.Pace, "__init__", _with_clock(fetches.Pace.__init__, made))
    return made


def _with_clock(begin: Callable[..., None], clock: Clock) -> Callable[..., None]:
    return lambda pace, _real: begin(pace, clock)


@pytest.fixture
def windows(qtbot: QtBot, bridge: ScriptedBridge) -> Iterator[Callable[..., Window]]:
    """Makes windows between A, here, and B, which is far and has these settings."""
    made: list[Window] = []

    def make(prefetch: Prefetch = Prefetch(), host: str = "127.0.0.1") -> Window:  # noqa: B008 - frozen
        near = HospitalSettings(name="A", ae_title="A", host="127.0.0.1", port=1)
        far = HospitalSettings(name="B", ae_title="B", host=host, port=1, prefetch=prefetch)
        window = Window(Settings(hospital=(near, far)), bridge, load_region_table())  # type: ignore[arg-type]
        qtbot.addWidget(window)
        window.resize(1600, 900)
        window.show()
        made.append(window)
        return window

    yield make
    for window in made:
        window.close()


def begin(window: Window, bridge: ScriptedBridge, *found: StudyAnswer, study: str = CT.study_uid) -> int:
    """Launch the patient; the hospitals have found this, and nothing of it is in the cache."""
    born = "1970-03-14"
    window.launch(
        Launch(patient_id="999990007", issuer="NLMINBIZA", name="JANSEN^Piet", birth_date=born, sex="M", study=study)
    )
    number = bridge.last(Search).number
    bridge.tell(PatientKnown(number, JANSEN, {}), StudiesFound(number, found))
    absent(bridge)
    return number


def absent(bridge: ScriptedBridge) -> None:
    for one in [one for one in bridge.sent if isinstance(one, AskPresence)]:
        bridge.tell(PresenceKnown(one.number, dict.fromkeys(one.study_uids, PresenceItem(0, complete=False))))


def end(bridge: ScriptedBridge, number: int) -> None:
    for name in "AB":
        bridge.tell(HospitalEnded(number, HospitalReport(name, HospitalState.ANSWERED, 1)))
    bridge.tell(SearchEnded(number))


def ahead(bridge: ScriptedBridge) -> list[str]:
    """The studies that were asked for without anybody's asking."""
    return [one.study.study_uid for one in bridge.sent if isinstance(one, Fetch) and one.prefetch]


def fetch_of(bridge: ScriptedBridge, study: StudyAnswer) -> Fetch:
    sent = [one for one in bridge.sent if isinstance(one, Fetch) and one.study.study_uid == study.study_uid]
    return sent[-1]


def cached(study: StudyAnswer, number: int) -> CachedInstance:
    header = InstanceHeader(
        sop_uid=f"{study.study_uid}.{number}",
        sop_class="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax="1.2.840.10008.1.2.1",
        study_uid=study.study_uid,
        series_uid=f"{study.study_uid}.9",
        patient=JANSEN,
        modality=study.modalities[0],
        instance_number=number,
        rows=4,
        columns=4,
    )
    return CachedInstance(header, Ticket("", f"{study.study_uid}.{number}", b""))


def arrive(bridge: ScriptedBridge, fetch: Fetch, number: int, expected: int, count: int = 10**6) -> None:
    instance = cached(fetch.study, number)
    bridge.tell(InstanceArrived(fetch.number, fetch.study.study_uid, instance, number, expected, number * count))


def row_of(window: Window, study: StudyAnswer) -> TimelineRow:
    return next(row for row in window.list.rows.shown() if row.study_uid == study.study_uid)


def ended(study: StudyAnswer, state: FetchState, received: int = 0, message: str = "") -> FetchReport:
    return FetchReport(study.study_uid, study.hospital, state, study.images or 0, received, message=message)


# What is fetched before anybody asks


def test_once_all_hospitals_have_ended_the_first_suggested_priors_are_fetched_ahead(
    windows: Callable[..., Window], bridge: ScriptedBridge, look: Look
) -> None:
    window = windows()
    number = begin(window, bridge, CT, FILM, OLD_CT, KNEE)
    look(lambda: window.list.rows.total() == 4)
    assert ahead(bridge) == []
    end(bridge, number)
    look(lambda: len(ahead(bridge)) == 2)
    assert set(ahead(bridge)) == {FILM.study_uid, OLD_CT.study_uid}
    assert window.case is not None
    assert window.case.timeline is not None
    assert ahead(bridge)[0] == window.case.timeline.suggestion().study_uid  # type: ignore[union-attr]
    assert all("prefetch" in fetch_of(bridge, study).reason for study in (FILM, OLD_CT))
    assert not fetch_of(bridge, CT).prefetch


@pytest.mark.parametrize(
    ("prefetch", "count"), [(Prefetch(studies=0), 0), (Prefetch(studies=1), 1), (Prefetch(hours="00:00-00:00"), 0)]
)
def test_a_hospital_s_settings_bound_it(
    windows: Callable[..., Window], bridge: ScriptedBridge, look: Look, prefetch: Prefetch, count: int
) -> None:
    window = windows(prefetch)
    end(bridge, begin(window, bridge, CT, FILM, OLD_CT))
    look(lambda: window.list.rows.total() == 3)
    look(lambda: window.case is not None and not window.case._soon.isActive())
    assert len(ahead(bridge)) == count


def test_what_is_not_certainly_of_the_patient_or_here_already_is_not_fetched_ahead(
    windows: Callable[..., Window], bridge: ScriptedBridge, look: Look
) -> None:
    window = windows()
    number = begin(window, bridge, CT, replace(FILM, patient=PERHAPS), OLD_CT)
    window.case._fetches.ask_presence((OLD_CT.study_uid,))  # type: ignore[union-attr]
    here = {OLD_CT.study_uid: PresenceItem(90, complete=True)}
    bridge.tell(PresenceKnown(bridge.last(AskPresence).number, here))
    end(bridge, number)
    look(lambda: window.list.rows.total() == 3)
    assert row_of(window, FILM).shut
    look(lambda: window.case is not None and not window.case._soon.isActive())
    assert ahead(bridge) == []


def test_what_falls_into_question_is_fetched_ahead_no_further(
    windows: Callable[..., Window], bridge: ScriptedBridge, look: Look
) -> None:
    window = windows()
    end(bridge, begin(window, bridge, CT, FILM))
    look(lambda: ahead(bridge) == [FILM.study_uid])
    fetch = fetch_of(bridge, FILM)
    window.case.timeline.add((replace(FILM, hospital="A", patient=PERHAPS),))  # type: ignore[union-attr]
    window.case._change()  # type: ignore[union-attr]
    look(lambda: Cancel(fetch.number) in bridge.sent)


def test_another_patient_stops_all_that_was_fetched_ahead_of_the_last_one(
    windows: Callable[..., Window], bridge: ScriptedBridge, look: Look
) -> None:
    window = windows()
    end(bridge, begin(window, bridge, CT, FILM, OLD_CT))
    look(lambda: len(ahead(bridge)) == 2)
    numbers = {fetch_of(bridge, study).number for study in (FILM, OLD_CT)}
    window.launch(Launch(study="1.2.77"))
    assert numbers <= {one.number for one in bridge.sent if isinstance(one, Cancel)}


def test_it_is_told_quietly_and_opens_nothing(
    windows: Callable[..., Window], bridge: ScriptedBridge, look: Look
) -> None:
    window = windows()
    end(bridge, begin(window, bridge, CT, FILM))
    look(lambda: ahead(bridge) == [FILM.study_uid])
    focus, pointed = window.focusWidget(), window._pointed_uid()
    arrive(bridge, fetch_of(bridge, FILM), 1, 2)
    look(lambda: row_of(window, FILM).status == "fetching ahead 1 of 2")
    row = row_of(window, FILM)
    assert (row.ahead, row.share, row.lacking) == (True, 0.5, False)
    assert window.comparison.prior.pane.content.state is PaneState.EMPTY
    assert window.progress.text().startswith("fetching 1 study")  # the current one, which somebody asked for
    bridge.tell(FetchEnded(fetch_of(bridge, CT).number, ended(CT, FetchState.COMPLETE, 3)))
    look(lambda: window.progress.text().startswith("fetching ahead 1 study"))
    bridge.tell(FetchEnded(fetch_of(bridge, FILM).number, ended(FILM, FetchState.FAILED, 0, "B is away.")))
    look(lambda: window.progress.text() == "")
    row = row_of(window, FILM)
    assert (row.status, row.lacking, row.why_lacking) == ("partial · 1 of 2", False, "Fetched ahead: B is away.")
    assert not window.case.reports.get(FILM.study_uid)  # type: ignore[union-attr]
    assert (window.focusWidget(), window._pointed_uid()) == (focus, pointed)
    assert window.comparison.prior.pane.content.state is PaneState.EMPTY


def test_opened_while_it_is_fetched_ahead_it_is_asked_for_once_more_before_the_first_request_is_left(
    windows: Callable[..., Window], bridge: ScriptedBridge, look: Look
) -> None:
    window = windows()
    end(bridge, begin(window, bridge, CT, FILM))
    look(lambda: ahead(bridge) == [FILM.study_uid])
    first = fetch_of(bridge, FILM)
    arrive(bridge, first, 1, 2)
    window.compare(FILM.study_uid)
    second = fetch_of(bridge, FILM)
    assert (second.prefetch, second.study, second.number != first.number) == (False, first.study, True)
    assert bridge.sent.index(Cancel(first.number)) > bridge.sent.index(second)
    look(lambda: row_of(window, FILM).status == "fetching 1 of 2")
    bridge.tell(RequestFailed(first.number, "This was stopped."))
    arrive(bridge, second, 2, 2)
    look(lambda: row_of(window, FILM).status == "fetching 2 of 2")
    assert window.comparison.prior.arrived == 1  # the second; what came before is listed by the cache
    bridge.tell(FetchEnded(second.number, ended(FILM, FetchState.COMPLETE, 2)))
    look(lambda: FILM.study_uid not in window.case.fetching)  # type: ignore[union-attr]


# What is said of it


def test_rate_and_time_left_are_said_when_they_are_known_in_row_pane_and_foot(
    windows: Callable[..., Window], bridge: ScriptedBridge, look: Look, clock: Clock
) -> None:
    window = windows(Prefetch(studies=0))
    study = replace(CT, images=100)
    end(bridge, begin(window, bridge, study))
    look(lambda: bridge.count(Fetch) == 1)
    fetch = fetch_of(bridge, study)
    known = window.case._fetches  # type: ignore[union-attr]
    arrive(bridge, fetch, 1, 100)
    known.tick()
    look(lambda: row_of(window, study).status == "fetching 1 of 100")
    pane = window.comparison.current.pane
    assert pane.content.progress == ("fetching", "1 of 100 images", "1 MB")
    for number in range(2, 22):
        clock.now += 0.25
        arrive(bridge, fetch, number, 100)
    known.tick()
    look(lambda: row_of(window, study).status == "fetching 21 of 100 · about 20 s")
    look(lambda: pane.content.progress == ("about 20 s", "21 of 100 images", "4.0 MB/s", "21 MB"))
    assert window.progress.text() == "fetching 1 study · 21 of 100 images · about 20 s · 4.0 MB/s · 21 MB"
    assert "about 20 s" in pane.accessibleName()
    clock.now += 30
    known.tick()
    look(lambda: pane.content.progress == ("fetching", "21 of 100 images", "0 kB/s", "21 MB"))


def test_a_study_behind_another_says_that_it_waits(
    windows: Callable[..., Window], bridge: ScriptedBridge, look: Look
) -> None:
    window = windows(Prefetch(studies=0))
    end(bridge, begin(window, bridge, CT, FILM))
    look(lambda: bridge.count(Fetch) == 1)
    bridge.tell(FetchPlace(fetch_of(bridge, CT).number, 1))
    pane = window.comparison.current.pane
    look(lambda: pane.content.message == "Waiting behind 1 study of A.")
    assert row_of(window, CT).status == "waiting behind 1 study"
    assert window.progress.text() == "fetching 1 study · 1 waits"
    bridge.tell(FetchPlace(fetch_of(bridge, CT).number, 0))
    look(lambda: row_of(window, CT).status == "fetching 0 of 3")
    assert pane.content.message == ""


def test_a_part_says_why_in_row_card_and_below_the_pane_and_the_rest_is_fetched_on_demand(
    windows: Callable[..., Window], bridge: ScriptedBridge, look: Look
) -> None:
    window = windows(Prefetch(studies=0))
    end(bridge, begin(window, bridge, CT))
    look(lambda: bridge.count(Fetch) == 1)
    fetch = fetch_of(bridge, CT)
    arrive(bridge, fetch, 1, 3)
    bridge.tell(FetchEnded(fetch.number, ended(CT, FetchState.PARTIAL, 1, "A broke off.")))
    bridge.tell(PresenceKnown(bridge.last(AskPresence).number, {CT.study_uid: PresenceItem(1, complete=False)}))
    missing = window.comparison.halves[window.comparison.current].missing
    look(lambda: missing.words.text() == "1 of 3 images. A broke off.")
    assert missing.isVisible()
    look(lambda: row_of(window, CT).status == "partial · 1 of 3")
    row = row_of(window, CT)
    assert (row.lacking, row.why_lacking, row.share) == (True, "A broke off.", None)
    assert "A broke off." in alerts(row)
    assert "A broke off." in row.spoken()
    model = window.list.rows
    place = model.place(CT.study_uid)
    assert model.data(place, Qt.ItemDataRole.ToolTipRole) == "<p>A broke off.</p>"
    assert window.comparison.current.pane.content.partial
    missing.retry.click()
    assert bridge.count(Fetch) == 2
    look(missing.isHidden)
    assert not window.comparison.current.pane.content.partial


def test_enter_on_the_current_study_fetches_what_is_missing_of_it(
    windows: Callable[..., Window], bridge: ScriptedBridge, look: Look
) -> None:
    window = windows(Prefetch(studies=0))
    end(bridge, begin(window, bridge, CT))
    look(lambda: bridge.count(Fetch) == 1)
    bridge.tell(FetchEnded(fetch_of(bridge, CT).number, ended(CT, FetchState.FAILED, 0, "A is away.")))
    pane = window.comparison.current.pane
    look(lambda: pane.content.message == "A is away.")
    missing = window.comparison.halves[window.comparison.current].missing
    look(lambda: missing.retry.text() == "Fetch again")
    assert pane.content.title == "This study did not come"
    window.compare(CT.study_uid)
    assert bridge.count(Fetch) == 2


def test_foreign_words_in_a_tool_tip_are_no_markup(
    windows: Callable[..., Window], bridge: ScriptedBridge, look: Look
) -> None:
    window = windows(Prefetch(studies=0))
    end(bridge, begin(window, bridge, CT))
    look(lambda: bridge.count(Fetch) == 1)
    report = ended(CT, FetchState.FAILED, 0, "<img src='file:///etc/passwd'>")
    bridge.tell(FetchEnded(fetch_of(bridge, CT).number, report))
    look(lambda: row_of(window, CT).lacking)
    model = window.list.rows
    told = model.data(model.place(CT.study_uid), Qt.ItemDataRole.ToolTipRole)
    assert told == "<p>&lt;img src=&#x27;file:///etc/passwd&#x27;&gt;</p>"


# Where somebody looks


def shown(window: Window, bridge: ScriptedBridge, look: Look, numbers: range) -> Fetch:
    """The current study with these images here, the rest of 90 on its way."""
    study, expected = replace(CT, images=90), 90
    end(bridge, begin(window, bridge, study))
    look(lambda: bridge.count(OpenStudy) == 1)
    instances = tuple(cached(study, number) for number in numbers)
    number = bridge.last(OpenStudy).number
    bridge.tell(StudyContents(number, study.study_uid, instances, expected, complete=False))
    return fetch_of(bridge, study)


def test_where_somebody_scrolls_in_a_study_that_is_on_its_way_is_told_once(
    windows: Callable[..., Window], bridge: ScriptedBridge, look: Look
) -> None:
    window = windows(Prefetch(studies=0))
    look_at = window.comparison.current
    shown(window, bridge, look, range(1, 41))
    look(lambda: look_at.arrived == 40)
    for _ in range(30):
        look_at.scroll(1)
    look(lambda: bridge.count(Prefer) == 1)
    told = bridge.last(Prefer)
    assert (told.study_uid, told.series_uid) == (CT.study_uid, f"{CT.study_uid}.9")
    last = f"{CT.study_uid}.40" if told.sop_uid.endswith(".40") else f"{CT.study_uid}.1"
    assert told.sop_uid == last


def test_where_all_around_is_here_nothing_is_told(
    windows: Callable[..., Window], bridge: ScriptedBridge, look: Look
) -> None:
    window = windows(Prefetch(studies=0))
    shown(window, bridge, look, range(1, 41))
    look(lambda: window.comparison.current.arrived == 40)
    window.comparison.current.scroll(1)
    look(lambda: not window.comparison._looking.isActive())
    assert bridge.count(Prefer) == 0


def test_what_is_not_being_fetched_is_not_steered(
    windows: Callable[..., Window], bridge: ScriptedBridge, look: Look
) -> None:
    window = windows(Prefetch(studies=0))
    fetch = shown(window, bridge, look, range(1, 4))
    look(lambda: window.comparison.current.arrived == 3)
    bridge.tell(FetchEnded(fetch.number, ended(CT, FetchState.PARTIAL, 3, "A broke off.")))
    window.comparison.current.scroll(1)
    look(lambda: not window.comparison._looking.isActive())
    assert bridge.count(Prefer) == 0


# Who is read along on the network


def test_a_hospital_in_clear_is_marked_in_words_on_chip_card_and_list(
    windows: Callable[..., Window], bridge: ScriptedBridge, look: Look
) -> None:
    window = windows(Prefetch(studies=0), host="10.1.2.3")
    end(bridge, begin(window, bridge, CT, FILM))
    chips = window.header.coverage._chips
    look(lambda: set(chips) == {"A", "B"})
    assert states.IN_CLEAR_WHY in chips["B"].toolTip()
    assert states.IN_CLEAR in chips["B"].accessibleName()
    assert states.IN_CLEAR_WHY not in chips["A"].toolTip()
    assert chips["B"].sizeHint().width() > chips["A"].sizeHint().width()
    look(lambda: "B · 2 images · not encrypted" in facts(row_of(window, FILM)))
    assert states.IN_CLEAR not in facts(row_of(window, CT))


def test_the_list_of_hospitals_says_it_too(qtbot: QtBot) -> None:
    reports = [HospitalReport(name, HospitalState.ANSWERED, 1) for name in "AB"]
    model = HospitalModel(None, frozenset("B"))  # type: ignore[arg-type]
    model.begin(reports)
    said = [model.data(model.index(number, CONNECTION)) for number in range(2)]
    assert said == ["", states.IN_CLEAR]
    role = Qt.ItemDataRole.AccessibleTextRole
    assert [states.IN_CLEAR in str(model.data(model.index(n, NAME), role)) for n in range(2)] == [False, True]
