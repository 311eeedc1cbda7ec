"""The two panes: the current study and a prior, fetched when they are not here, each with the words about it."""

from dataclasses import replace
from datetime import date

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QSplitter, QWidget

from priorline.desk import wording
from priorline.desk.bridge import Bridge
from priorline.desk.case import Case
from priorline.desk.lull import Lull
from priorline.desk.pane_frame import PaneFrame
from priorline.desk.viewer import lettering
from priorline.desk.viewer.content import PaneContent, PaneState, Role
from priorline.desk.viewer.frames import FrameCache
from priorline.desk.viewer.pane import Pane
from priorline.desk.viewer.presenter import StudyPresenter
from priorline.domain.identity import Identity
from priorline.domain.study import FetchReport, FetchState
from priorline.domain.timeline import TimelineStudy

NO_CURRENT = "No current study was given. Choose one on the line and press Enter."
NOT_FOUND = "The study that is being read is not on the line so far."
NO_PRIOR = "Choose a prior on the line and press Enter."
NOT_FETCHED = "This study did not come"
NO_PATIENT = "No patient is open."
LOOK_MILLISECONDS = 200
"""Whoever scrolls tells at most this often where he is."""
UNDONE = "taken back in the window"


class Comparison(QObject):
    """Decides what is in which pane; the presenters do the showing."""

    shown = Signal(str)

    def __init__(self, bridge: Bridge, lull: Lull, parent: QWidget) -> None:
        super().__init__(parent)
        self.splitter = QSplitter(Qt.Orientation.Horizontal, parent)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.setHandleWidth(2)
        self._bridge, self._lull = bridge, lull
        self._frames = FrameCache()
        self._case: Case | None = None
        self._looking = QTimer(self)
        self._looking.setSingleShot(True)
        self._looking.setInterval(LOOK_MILLISECONDS)
        self._looking.timeout.connect(self._prefer)
        self._preferred: dict[str, tuple[str, str]] = {}
        self.halves: dict[StudyPresenter, PaneFrame] = {}
        self.current = self._make("current", bridge)
        self.prior = self._make("prior", bridge)
        self._activate(self.current.pane)
        self.clear()

    def clear(self) -> None:
        """No patient: nothing of the last one stays on the screen or in memory."""
        self._case = None
        self._looking.stop()
        self._lull.forget(self._describe)
        self._preferred.clear()
        self._frames.clear()
        self._bridge.forget_later()
        lettering.forget_words()
        for presenter in (self.current, self.prior):
            presenter.clear()
            self.halves[presenter].clear()
            self.halves[presenter].show()
        self._invite()

    def begin(self, case: Case) -> None:
        """Show studies of this case from now on."""
        self.clear()
        self._case = case
        case.instance_arrived.connect(self._arrived)
        case.fetch_ended.connect(self._fetched)
        case.changed.connect(self._describe)
        case.counted.connect(self._describe_in_lull)
        case.details_on_record.connect(self._show_details)

    def open_current(self, study: TimelineStudy) -> None:
        """The study that is being read, on the left."""
        self._open(self.current, study, "CURRENT")

    def open_prior(self, study: TimelineStudy) -> None:
        """A study to compare with, on the right; one that is not certainly of this patient stays shut."""
        if self._case is not None and self.prior.study_uid not in ("", study.study_uid, self.current.study_uid):
            self._case.stop_fetch(self.prior.study_uid)
        self._open(self.prior, study, self._role(study))

    def fetch_rest(self, study: TimelineStudy) -> None:
        """What is missing of a study that is open is asked for once more."""
        if self._case is not None and study.match.outcome is Identity.SAME:
            self._case.fetch(study)
            self._describe()

    def maximise(self, pane: Pane) -> None:
        """One pane alone, or both again."""
        other = self.halves[self.prior if pane is self.current.pane else self.current]
        other.setVisible(not other.isVisible())

    def other_pane(self) -> None:
        """Move the keys to the other pane."""
        presenter = self.prior if self.current.pane.active else self.current
        card = self.halves[presenter].card
        self._activate(presenter.pane)
        (card.reason if card.isVisible() else presenter.pane).setFocus()

    def _make(self, key: str, bridge: Bridge) -> StudyPresenter:
        frame = PaneFrame(self.splitter)
        pane = frame.pane
        self.splitter.addWidget(frame)
        frame.card.details_asked.connect(self._ask_details)
        frame.card.confirmed.connect(self._confirm)
        frame.note.undone.connect(self._revoke)
        frame.missing.again.connect(self._fetch_again)
        pane.activated.connect(lambda: self._activate(pane))
        pane.maximise_requested.connect(lambda: self.maximise(pane))
        presenter = StudyPresenter(bridge, pane, self._frames, key, self._lull)
        presenter.shown.connect(self.shown)
        presenter.damaged.connect(self._discard)
        presenter.looked.connect(self._look)
        self.halves[presenter] = frame
        return presenter

    def _activate(self, pane: Pane) -> None:
        for one in (self.current.pane, self.prior.pane):
            one.set_active(one is pane)

    def _open(self, presenter: StudyPresenter, study: TimelineStudy, role: Role) -> None:
        case, half = self._case, self.halves[presenter]
        if case is None or case.patient is None:
            return
        half.tell(study, case.patient)
        if study.match.outcome is not Identity.SAME:
            case.stop_fetch(study.study_uid)
            self._shut(presenter, role)
            return
        patients = tuple(copy.patient for copy in study.answers)
        presenter.open(study.study_uid, patients, self._content(study, role), case.reason)
        case.fetch(study)
        # That it is on its way is said at once.
        presenter.describe(self._content(study, role))

    def _shut(self, presenter: StudyPresenter, role: Role) -> None:
        """Pictures that were open are forgotten, and with them what was decoded ahead."""
        if presenter.study_uid:
            self._frames.clear()
            self._bridge.forget_later()
        presenter.clear()
        presenter.pane.set_content(PaneContent(PaneState.OTHER_PATIENT, role=role))

    def _role(self, study: TimelineStudy) -> Role:
        """A study that was made after the one being read is no prior."""
        current = self._case.current() if self._case else None
        ours, theirs = (current.best.study_date if current else None), study.best.study_date
        return "LATER" if ours and theirs and theirs > ours else "PRIOR"

    def _arrived(self, study_uid: str, instance: object, _received: int, _expected: int) -> None:
        for presenter in (self.current, self.prior):
            if presenter.study_uid == study_uid:
                presenter.add(instance)  # type: ignore[arg-type]

    def _fetched(self, report: FetchReport) -> None:
        """A retrieval has ended: say so, and show the middle of what came."""
        self._describe()
        for presenter in (self.current, self.prior):
            if presenter.study_uid == report.study_uid:
                presenter.settle_soon()

    def _look(self) -> None:
        if not self._looking.isActive():
            self._looking.start()

    def _prefer(self) -> None:
        """Of a study that is still being fetched, the images around those looked at are to come first."""
        for presenter in (self.current, self.prior):
            uid, place = presenter.study_uid, presenter.lacking_near
            if self._case is not None and place is not None and self._preferred.get(uid) != place:
                self._preferred[uid] = place
                self._case.prefer(uid, *place)

    def _fetch_again(self, study_uid: str) -> None:
        study = self._case.study(study_uid) if self._case else None
        if study is not None:
            self.fetch_rest(study)

    def _discard(self, study_uid: str, handle: str) -> None:
        if self._case is not None:
            self._case.discard(study_uid, handle)

    def _ask_details(self, study: TimelineStudy, reason: str) -> None:
        if self._case is not None:
            self._case.look_at_person(study, reason)

    def _show_details(self, study: TimelineStudy) -> None:
        for half in self.halves.values():
            half.card.show_details(study)
            half.place_card()

    def _confirm(self, study: TimelineStudy, reason: str) -> None:
        if self._case is not None:
            self._case.confirm(study, reason)

    def _revoke(self, study_uid: str) -> None:
        if self._case is not None:
            self._case.revoke(study_uid, UNDONE)

    def _describe_in_lull(self) -> None:
        self._lull.call(self._describe)

    def _describe(self) -> None:
        """Keep the words of both panes true: counts grow, fetches end."""
        case = self._case
        if case is None:
            return
        for presenter in (self.current, self.prior):
            half = self.halves[presenter]
            study = case.study(half.study_uid) if half.study_uid else None
            if study is None:
                continue
            role = "CURRENT" if presenter is self.current else self._role(study)
            same = study.match.outcome is Identity.SAME
            if same and presenter.study_uid == study.study_uid:
                half.note.tell(study)
                patients, content = tuple(copy.patient for copy in study.answers), self._content(study, role)
                half.missing.tell(study.study_uid, *self._lacking(study, content))
                presenter.open(study.study_uid, patients, content)
            elif same or presenter.study_uid or not half.card.is_about(study):
                self._open(presenter, study, role)
        self._invite()

    def _content(self, study: TimelineStudy, role: Role) -> PaneContent:
        case = self._case
        assert case is not None  # noqa: S101 - only called with one
        best = study.best
        here, progress, report, _ahead = case.held(study.study_uid)
        expected = max(study.images or 0, report.expected if report else 0) or None
        content = PaneContent(
            state=PaneState.WAITING,
            role=role,
            patient=wording.patient_line(best.patient),
            date=" · ".join(part for part in (wording.written_date(best.study_date), self._when(study)) if part),
            hospital=wording.source(study, here.hospital if here and here.images else ""),
            description=wording.study_title(best),
            received=here.images if here else 0,
            expected=expected,
            whole=case.is_whole(study),
            progress=progress.told_beside_count() if progress else (),
            message=wording.waiting_at(progress, best.hospital) if progress else "",
        )
        failed = report is not None and report.state is FetchState.FAILED and not content.received
        if not failed or report is None:
            return content
        return replace(content, state=PaneState.CANNOT_SHOW, title=NOT_FETCHED, message=report.message)

    def _lacking(self, study: TimelineStudy, content: PaneContent) -> tuple[str, str]:
        """How much of a study is here and why not the rest, after a retrieval that did not bring all; else empty."""
        held = self._case.held(study.study_uid) if self._case else None
        if held is None or not held.is_lacking or content.complete:
            return "", ""
        return content.completeness if content.received else "", held.why_lacking

    def _when(self, study: TimelineStudy) -> str:
        """How far from the study that is being read; that one itself may be of today."""
        if study.current:
            return "today" if study.best.study_date == date.today() else ""  # noqa: DTZ011 - the reader's day
        current = self._case.current() if self._case else None
        return wording.distance(study.best.study_date, current.best.study_date if current else None)

    def _invite(self) -> None:
        missing = NOT_FOUND if self._case and self._case.names_current else NO_CURRENT
        for presenter, words in ((self.current, missing), (self.prior, NO_PRIOR)):
            if not self.halves[presenter].study_uid and presenter.pane.content.state is PaneState.EMPTY:
                message = words if self._case and self._case.patient else NO_PATIENT
                presenter.pane.set_content(PaneContent(message=message))
