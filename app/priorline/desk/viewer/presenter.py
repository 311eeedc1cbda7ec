"""What a pane shows of a study: gathers its instances as they arrive, orders them, and asks for the pixels."""

from dataclasses import replace

from PySide6.QtCore import QObject, QTimer, Signal

from priorline.desk.bridge import Bridge
from priorline.desk.lull import Lull
from priorline.desk.viewer.ahead import LookAhead, lacking_near
from priorline.desk.viewer.content import Item, PaneContent, PaneState, Problem, series_words
from priorline.desk.viewer.frames import FrameCache, FrameKey
from priorline.desk.viewer.pane import Pane
from priorline.domain.patient import Patient
from priorline.errors import CacheDamaged
from priorline.imaging.frame import DecodedFrame
from priorline.imaging.order import SeriesStack, stacks
from priorline.work.arrival import is_same_person
from priorline.work.decoders import Answer
from priorline.work.messages import CachedInstance, Event, OpenStudy, RequestFailed, StudyContents

# Ordering hundreds of images takes some milliseconds, so instances that arrive together are ordered together.
ARRANGE_MILLISECONDS = 200
ONLY_DOCUMENTS = "This study has no images, only documents."
DOCUMENTS_SO_FAR = "Only documents of this study are here so far, no images."


class StudyPresenter(QObject):
    """Drives one pane; at most one study at a time."""

    shown = Signal(str)
    looked = Signal()
    damaged = Signal(str, str)
    """The study's UID and the handle of an object that is not what was written into the cache."""

    def __init__(self, bridge: Bridge, pane: Pane, frames: FrameCache, key: str, lull: Lull) -> None:
        super().__init__(pane)
        self.pane = pane
        self._bridge, self._frames, self._key, self._lull = bridge, frames, key, lull
        self._ahead = LookAhead(bridge, frames, key)
        self._arranging = QTimer(self)
        self._arranging.setSingleShot(True)
        self._arranging.setInterval(ARRANGE_MILLISECONDS)
        self._arranging.timeout.connect(self._arrange_soon)
        self._content = PaneContent()
        self.study_uid = ""
        self._stack = self._index = 0
        self._is_due = False
        self._forget("", (), PaneContent())
        bridge.heard.connect(self._take)
        bridge.frame.connect(self._take_frame)
        pane.scroll_requested.connect(self.scroll)
        pane.image_requested.connect(self._go_to_number)
        pane.series_step_requested.connect(self.step_series)
        pane.painted.connect(self._painted_over)

    @property
    def arrived(self) -> int:
        """How many instances the pane knows of."""
        return len(self._instances)

    def clear(self) -> None:
        """Show nothing."""
        self._forget("", (), PaneContent())

    def open(self, study_uid: str, patients: tuple[Patient, ...], content: PaneContent, reason: str = "") -> None:
        """Show a study: what the cache holds of it now, and whatever `add` brings.

        `patients` are its patient as each holder describes them; pixels of anybody else are not painted. `reason`
        goes into the audit trail.
        """
        if study_uid == self.study_uid:
            self._describe_as(patients, content)
            return
        self._forget(study_uid, patients, content)
        self._opening = self._bridge.next_number()
        self._bridge.send(OpenStudy(self._opening, study_uid, reason))

    def describe(self, content: PaneContent) -> None:
        """New words about the study that is shown (counts, role, message)."""
        if content != self._content:
            self._content = content
            self._tell()

    def add(self, instance: CachedInstance) -> None:
        """An instance arrived; the image that is shown stays, the order grows around it."""
        uid = instance.header.sop_uid
        self._instances[uid] = instance
        self._try_again(uid)
        if not self._stacks:
            self._arrange()
        elif not self._arranging.isActive():
            self._arranging.start()

    def settle(self) -> None:
        """All that comes is here: unless somebody scrolled already, show the middle of the series."""
        self._settled = True
        self._arrange()
        stack = self._current_stack()
        if stack is not None and not self._touched:
            self._index = len(stack.items) // 2
            self._show()

    def settle_soon(self) -> None:
        """As `settle`, but not while the next image is due."""
        self._lull.call(self.settle)

    def scroll(self, steps: int) -> None:
        """Show the image that many places on, within the series."""
        self.go_to(self._index + steps)

    def go_to(self, index: int) -> None:
        """Show an image of the series, from 0; outside it, the nearest."""
        stack = self._current_stack()
        if stack is not None:
            self._touched = True
            self._lull.scrolled(self.pane)
            self._turn_to(self._stack, min(max(index, 0), len(stack.items) - 1))

    def step_series(self, direction: int) -> None:
        """Show the next or previous series, at its middle."""
        if self._stacks:
            self._touched = True
            stack = min(max(self._stack + direction, 0), len(self._stacks) - 1)
            self._turn_to(stack, len(self._stacks[stack].items) // 2)

    def _turn_to(self, stack: int, index: int) -> None:
        if (stack, index) != (self._stack, self._index):
            self._is_due = True
            self._bridge.image_is_due()
        self._stack, self._index = stack, index
        self._show()
        self.looked.emit()

    @property
    def lacking_near(self) -> tuple[str, str] | None:
        """Series and image that somebody scrolled to and around which images may be missing; None elsewhere."""
        stack = self._current_stack()
        return lacking_near(stack, self._index, self._instances) if stack and self._touched else None

    def _go_to_number(self, number: int) -> None:
        self.go_to(number - 1)

    def _forget(self, study_uid: str, patients: tuple[Patient, ...], content: PaneContent) -> None:
        if self.study_uid:
            self._bridge.close_study(self.study_uid)
            self._wait_no_more()
        self.study_uid, self._patients, self._content = study_uid, patients, content
        self._instances: dict[str, CachedInstance] = {}
        self._stacks: tuple[SeriesStack, ...] = ()
        self._stack = self._index = self._opening = self._wanted = 0
        self._wanted_key: FrameKey | None = None
        self._painted: Item | None = None
        self._problem: Problem | None = None
        self._touched = self._settled = False
        self._refused = ""
        self._ahead.forget()
        self._arranging.stop()
        for act in (self._arrange, self.settle):
            self._lull.forget(act)
        self.pane.set_content(content)

    def _describe_as(self, patients: tuple[Patient, ...], content: PaneContent) -> None:
        """New words, and perhaps one more way in which a holder describes the patient."""
        self.describe(content)
        if patients != self._patients:
            self._patients = patients
            if self._problem is not None and self._problem.state is PaneState.OTHER_PATIENT:
                self._problem = None
                self._show()

    def _try_again(self, sop_uid: str) -> None:
        """An image that could not be shown has come once more."""
        if self._problem is not None and self._problem.item[0] == sop_uid:
            self._problem = None
            self._show()

    def _take(self, event: Event) -> None:
        if event.number != self._opening or not self._opening:
            return
        if isinstance(event, StudyContents):
            for instance in event.instances:
                self._instances[instance.header.sop_uid] = instance
            if event.complete:
                self.settle()
            else:
                self._arrange()
        elif isinstance(event, RequestFailed):
            self._refused = event.message
            self._tell()

    def _arrange_soon(self) -> None:
        self._lull.call(self._arrange)

    def _painted_over(self) -> None:
        # What was shown before is painted, too, while the image is still being decoded.
        if not self._wanted:
            self._wait_no_more()
        self._lull.painted(self.pane)

    def _wait_no_more(self) -> None:
        if self._is_due:
            self._is_due = False
            self._bridge.image_is_painted()

    def _arrange(self) -> None:
        """Order what is here; stay on the image that is shown, else begin in the middle of the largest series."""
        shown = self._item()
        self._stacks = stacks(instance.header for instance in self._instances.values())
        if not self._stacks:
            self._tell()
            return
        place = self._place_of(shown) if shown else None
        if place is None:
            self._stack = max(range(len(self._stacks)), key=lambda n: len(self._stacks[n].items))
            self._index = len(self._stacks[self._stack].items) // 2
        else:
            self._stack, self._index = place
        self._show()

    def _place_of(self, item: Item) -> tuple[int, int] | None:
        places = (
            (number, stack.items.index(item)) for number, stack in enumerate(self._stacks) if item in stack.items
        )
        return next(places, None)

    def _current_stack(self) -> SeriesStack | None:
        return self._stacks[self._stack] if self._stack < len(self._stacks) else None

    def _item(self) -> Item | None:
        stack = self._current_stack()
        return stack.items[self._index] if stack else None

    def _frame_key(self, item: Item) -> FrameKey:
        return self._instances[item[0]].ticket.handle, item[1]

    def _show(self) -> None:
        item = self._item()
        if item is None:
            return
        if self._problem and self._problem.item != item:
            self._problem = None
        self._tell()
        key = self._frame_key(item)
        frame = self._frames.get(key)
        if frame is not None:
            self._wanted, self._wanted_key = 0, None
            self._paint(item, frame)
        elif self._wanted_key != key and self._problem is None:
            self._wanted_key = key
            self._wanted = self._bridge.want_frame(self._key, self._instances[item[0]].ticket, item[1])
        self._look_ahead()

    def _look_ahead(self) -> None:
        stack = self._current_stack()
        if stack is not None:
            self._ahead.ask(stack, self._index, self._instances)

    def _take_frame(self, number: int, answer: Answer) -> None:
        key = self._ahead.answered(number)
        if key is not None:
            if isinstance(answer, CacheDamaged):
                self.damaged.emit(self.study_uid, key[0])
            elif isinstance(answer, DecodedFrame):
                self._frames.put(key, answer)
                if key == self._wanted_key:
                    self._take_wanted(answer)
        elif number == self._wanted and number:
            self._take_wanted(answer)

    def _take_wanted(self, answer: Answer) -> None:
        item, key = self._item(), self._wanted_key
        self._wanted, self._wanted_key = 0, None
        if item is None or key != self._frame_key(item):
            return
        if not isinstance(answer, DecodedFrame):
            self._problem = Problem(item, PaneState.CANNOT_SHOW, str(answer))
            self._tell()
            if isinstance(answer, CacheDamaged):
                self.damaged.emit(self.study_uid, key[0])
            self.shown.emit(self.study_uid)
            return
        self._frames.put(key, answer)
        self._paint(item, answer)

    def _paint(self, item: Item, frame: DecodedFrame) -> None:
        """Pixels go on the screen only where their own dataset names the patient of the study's row."""
        if not any(is_same_person(patient, frame.header.patient) for patient in self._patients):
            self._problem = Problem(item, PaneState.OTHER_PATIENT)
            self._tell()
            self.shown.emit(self.study_uid)
            return
        self._painted = item
        derived = frame.header.image_type[:1] == ("DERIVED",)
        self._tell(lossy=frame.header.lossy, derived=derived)
        if self.pane.set_frame(frame.array, frame.mapping, frame.header, self._index + 1):
            self.shown.emit(self.study_uid)

    def _tell(self, *, lossy: bool | None = None, derived: bool | None = None) -> None:
        stack, item = self._current_stack(), self._item()
        if stack is None or item is None:
            self.pane.set_content(self._without_image())
            return
        old = self.pane.content
        state = PaneState.IMAGE if self._painted in stack.items else PaneState.WAITING
        message = ""
        if self._problem and self._problem.item == item:
            state, message = self._problem.state, self._problem.message
        self.pane.set_content(
            replace(
                self._content,
                state=state,
                series_uid=stack.series_uid,
                series=series_words(
                    self._stack, len(self._stacks), self._instances[item[0]].header.series_description
                ),
                image_number=self._index + 1,
                image_count=len(stack.items),
                lossy=old.lossy if lossy is None else lossy,
                derived=old.derived if derived is None else derived,
                message=message,
            )
        )

    def _without_image(self) -> PaneContent:
        """Why there is nothing to look at, whatever is said about the study meanwhile."""
        content, message = self._content, self._refused
        if self._settled and self._instances:
            message = ONLY_DOCUMENTS if content.complete else DOCUMENTS_SO_FAR
        # What is on its way may be images.
        if not message or content.progress or content.state is not PaneState.WAITING:
            return content
        return replace(content, state=PaneState.CANNOT_SHOW, message=message)
