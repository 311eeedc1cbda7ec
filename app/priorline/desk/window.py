"""The workstation window: head, line, list and the two panes, and what the keys do."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent, QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QMessageBox,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from priorline.config import Settings
from priorline.desk import theme, wording
from priorline.desk.bridge import Bridge
from priorline.desk.cache_page import CachePage
from priorline.desk.case import Case
from priorline.desk.comparison import Comparison
from priorline.desk.form import PatientForm
from priorline.desk.header import Header
from priorline.desk.keys import KEY_HINTS, key_sheet
from priorline.desk.lull import Lull
from priorline.desk.side import WIDTH, SidePanel
from priorline.desk.timeline.line import TimelineLine
from priorline.desk.timeline.rows import RowBuilder, TimelineRow
from priorline.domain.identity import Identity
from priorline.domain.region import RegionTable
from priorline.work.launch import Launch


class Window(QMainWindow):
    """One patient at a time; `launch` opens the next."""

    def __init__(self, settings: Settings, bridge: Bridge, table: RegionTable) -> None:
        super().__init__()
        self._hospitals = {hospital.name: hospital.prefetch for hospital in settings.hospital}
        self._departments = frozenset(one.name for one in settings.hospital if one.role == "department")
        self._bridge, self._table, self._lull = bridge, table, Lull(self)
        self.case: Case | None = None
        in_clear = frozenset(hospital.name for hospital in settings.hospital if hospital.in_clear)
        self._rows = RowBuilder(self, in_clear)
        self._compare_uid = ""
        self._pointed_by_user = False
        self._refreshing = False
        self.header = Header(self, in_clear)
        self.line = TimelineLine(self)
        self.side = SidePanel(self)
        self.list, self.filter, self.count = self.side.list, self.side.filter, self.side.count
        self.form = PatientForm(self)
        self.comparison = Comparison(bridge, self._lull, self)
        self.cache_page = CachePage(bridge, self)
        self.setWindowTitle("Priorline")
        self.resize(1600, 900)
        self._lay_out()
        self._connect()
        self._show_no_patient()

    def launch(self, launch: Launch) -> None:
        """Show another patient; everything of the last one is stopped and let go first."""
        self._end_case()
        self.case = Case(self._bridge, self._lull, self._hospitals, self._table, self, self._departments)
        self._compare_uid = launch.compare
        self.case.changed.connect(self._refresh)
        self.case.counted.connect(self._refresh)
        self.case.patient_known.connect(self._refresh)
        # Bound methods only: a lambda on an object that is deleted later crashes PySide.
        self.case.failed.connect(self._say_failure)
        self.comparison.begin(self.case)
        self.line.forget_span()
        self.form.hide()
        self.side.show()
        for widget in (self.line, self.header.controls):
            widget.show()
        if launch.folder:
            self.case.ask_folder(launch.folder)
        else:
            self.case.ask(launch.patient(), launch.study, launch.reason)
        self.list.setFocus()

    def compare(self, study_uid: str) -> None:
        """Put a study beside the current one; without a current study, it becomes the one that is read."""
        case = self.case
        study = case.study(study_uid) if case else None
        if case is None or study is None:
            return
        if study.current:
            self.comparison.fetch_rest(study)
            return
        if case.current() is None and study.match.outcome is Identity.SAME:
            case.set_current(study_uid)
            return
        self.comparison.open_prior(study)
        self._refresh()

    def closeEvent(self, event: QCloseEvent) -> None:
        """As Qt defines it: helpers end with the window."""
        # Ending a helper that hangs takes some seconds; nobody should look at a dead window meanwhile.
        self.hide()
        self._end_case()
        self._bridge.close()
        super().closeEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As Qt defines it: a portrait screen stacks the panes."""
        super().resizeEvent(event)
        portrait = self.height() > self.width()
        self.comparison.splitter.setOrientation(Qt.Orientation.Vertical if portrait else Qt.Orientation.Horizontal)

    def _lay_out(self) -> None:
        body = QSplitter(Qt.Orientation.Horizontal, self)
        body.setHandleWidth(1)
        body.addWidget(self.side)
        body.addWidget(self.comparison.splitter)
        body.setStretchFactor(1, 1)
        body.setSizes([WIDTH, 1600 - WIDTH])
        central = QWidget(self)
        whole = QVBoxLayout(central)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.header)
        whole.addWidget(self.line)
        whole.addWidget(self.form)
        whole.addWidget(body, 1)
        whole.addWidget(self._foot())
        self.setCentralWidget(central)

    def _foot(self) -> QWidget:
        foot = QWidget(self)
        line = QHBoxLayout(foot)
        line.setContentsMargins(20, 5, 20, 5)
        hints, self.progress = QLabel(KEY_HINTS, foot), QLabel(foot)
        for label in (hints, self.progress):
            label.setFont(theme.font(theme.SMALL))
            label.setStyleSheet(f"color: {theme.QUIET};")
        line.addWidget(hints)
        line.addStretch(1)
        line.addWidget(self.progress)
        return foot

    def _connect(self) -> None:
        self._rows.built.connect(self._show_rows)
        self.header.coverage.retry.connect(self._retry)
        self.form.submitted.connect(self.launch)
        self.line.pointed.connect(self.list.select)
        self.line.chosen.connect(self.compare)
        self.line.span_changed.connect(self.header.controls.show_span)
        self.header.controls.span_chosen.connect(self.line.show_span)
        self.header.controls.lanes_chosen.connect(self.line.set_lanes)
        self.list.pointed.connect(self._point)
        self.list.chosen.connect(self.compare)
        shortcuts = {
            "/": self.filter.setFocus,
            "F1": self._show_keys,
            "F9": self.cache_page.look,
            "F11": self._toggle_full_screen,
            "F6": self.comparison.other_pane,
            "Ctrl+L": self.line.setFocus,
            "Ctrl+O": self._show_no_patient,
            "Ctrl+Return": self._compare_suggestion,
        }
        for keys, act in shortcuts.items():
            QShortcut(QKeySequence(keys), self).activated.connect(act)

    def _say_failure(self, message: str) -> None:
        self.header.say(message, theme.TROUBLE)

    def _retry(self, hospital: str) -> None:
        if self.case is not None:
            self.case.retry(hospital)

    def _show_no_patient(self) -> None:
        """The state without a patient: the form, and nothing of anybody."""
        self._end_case()
        for widget in (self.line, self.header.controls, self.side):
            widget.hide()
        self.form.show()
        self.form.number.setFocus()

    def _end_case(self) -> None:
        self.comparison.clear()
        self._pointed_by_user = False
        self._rows.forget()
        self.filter.clear()
        self.line.set_rows(())
        self.line.say("")
        self.list.rows.set_rows(())
        self.header.show_patient(None)
        for label in (self.count, self.progress):
            label.clear()
        if self.case is not None:
            self.case.close()
            self.case.deleteLater()
            self.case = None

    def _refresh(self) -> None:
        """Draw what the case knows now."""
        case = self.case
        if case is None or case.timeline is None:
            return
        if case.patient is not None:
            self.header.show_patient(case.patient)
        self.header.show_coverage(case.timeline.coverage())
        # What an empty line means is not known while its rows are being made.
        self.line.say("")
        self._rows.build(case)
        self._say_progress()
        self._open_what_was_asked()

    def _show_rows(self, rows: tuple[TimelineRow, ...]) -> None:
        """Show what has been built."""
        timeline = self.case.timeline if self.case else None
        if timeline is None:
            return
        self.line.say(wording.empty_line(timeline.coverage()))
        self.line.set_rows(rows)
        self._keep_pointing(rows)
        self._point_line(self._pointed_uid())
        self.side.say_count()

    def _open_what_was_asked(self) -> None:
        case = self.case
        current = case.current() if case else None
        if case is None or current is None:
            return
        if self.comparison.current.study_uid != current.study_uid:
            self.comparison.open_current(current)
        wanted, self._compare_uid = self._compare_uid, ""
        if wanted and case.study(wanted) is not None:
            self.compare(wanted)
        else:
            self._compare_uid = wanted

    def _pointed_uid(self) -> str:
        row = self.list.currentIndex().data(Qt.ItemDataRole.UserRole)
        return row.study_uid if row is not None else ""

    def _point(self, study_uid: str) -> None:
        self._pointed_by_user = self._pointed_by_user or not self._refreshing
        self._point_line(study_uid)

    def _point_line(self, study_uid: str) -> None:
        """List and line mark the same studies; only one that is really beside the current one is the prior."""
        prior_uid = self.comparison.prior.study_uid
        self.line.point_at(study_uid, prior_uid)
        if self.list.delegate.prior_uid != prior_uid:
            self.list.delegate.prior_uid = prior_uid
            self.list.viewport().update()

    def _compare_suggestion(self) -> None:
        timeline = self.case.timeline if self.case else None
        suggestion = timeline.suggestion() if timeline else None
        if suggestion is not None:
            self.compare(suggestion.study_uid)

    def _keep_pointing(self, rows: tuple[TimelineRow, ...]) -> None:
        """Stay on the study that the user pointed at; until then the suggestion is pointed at."""
        suggested = next((row.study_uid for row in rows if row.suggested), "")
        wanted = self._pointed_uid() if self._pointed_by_user else suggested
        self._refreshing = True
        self.list.rows.set_rows(rows)
        self.list.select(wanted)
        self._refreshing = False

    def _say_progress(self) -> None:
        self.progress.setText(wording.fetching_all(tuple(self.case.fetching.values()) if self.case else ()))

    def _show_keys(self) -> None:
        box = QMessageBox(self)
        box.setWindowTitle("Keys")
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(key_sheet())
        box.open()

    def _toggle_full_screen(self) -> None:
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)
