"""What a pane shows of a study: gathers its instances as they arrive, orders them, and asks for the pixels."""

from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from priorline.desk.bridge import Bridge
from priorline.desk.viewer.content import PaneContent, PaneState
from priorline.desk.viewer.frames import FrameCache
from priorline.desk.viewer.pane import Pane
from priorline.domain.identity import Identity, compare
from priorline.domain.patient import Patient
from priorline.errors import CannotDecode
from priorline.imaging.frame import DecodedFrame
from priorline.imaging.order import SeriesStack, stacks
from priorline.work.decoders import Answer
from priorline.work.messages import CachedInstance, Event, OpenStudy, RequestFailed, StudyContents

AHEAD = (1, -1, 2, -2, 3, 4)


class StudyPresenter(QObject):
    """Drives one pane; at most one study at a time."""

    shown = Signal(str)

    def __init__(self, bridge: Bridge, pane: Pane, frames: FrameCache, key: str) -> None:
        super().__init__(pane)
        self.pane = pane
        self.study_uid = ""
        self._bridge, self._frames, self._key = bridge, frames, key
        self._patient: Patient | None = None
        self._content = PaneContent()
        self._instances: dict[str, CachedInstance] = {}
        self._stacks: tuple[SeriesStack, ...] = ()
        self._stack = 0
        self._index = 0
        self._touched = False
        self._opening = 0
        self._wanted = 0
        self._later: dict[int, tuple[str, int]] = {}
        bridge.heard.connect(self._take)
        bridge.frame.connect(self._take_frame)
        pane.scroll_requested.connect(self.scroll)
        pane.image_requested.connect(lambda number: self.go_to(number - 1))
        pane.series_step_requested.connect(self.step_series)

    def clear(self) -> None:
        """Show nothing."""
        self._forget("", PaneContent())

    def open(self, study_uid: str, patient: Patient, content: PaneContent) -> None:
        """Show a study of `patient`: what the cache holds of it now, and whatever `add` brings."""
        if study_uid == self.study_uid:
            self.describe(content)
            return
        self._forget(study_uid, content)
        self._patient = patient
        self._opening = self._bridge.next_number()
        self._bridge.send(OpenStudy(self._opening, study_uid))

    def describe(self, content: PaneContent) -> None:
        """New words about the study that is shown (counts, role, message)."""
        self._content = content
        self._tell()

    def add(self, instance: CachedInstance) -> None:
        """An instance arrived; the image that is shown stays, the order grows around it."""
        self._instances[instance.header.sop_uid] = instance
        self._arrange()

    def scroll(self, steps: int) -> None:
        """Show the image that many places on, within the series."""
        self.go_to(self._index + steps)

    def settle(self) -> None:
        """All images are here: unless somebody scrolled already, show the middle of the series."""
        stack = self._current_stack()
        if stack is not None and not self._touched:
            self._index = len(stack.items) // 2
            self._show()

    def go_to(self, index: int) -> None:
        """Show an image of the series, from 0; outside it, the nearest."""
        stack = self._current_stack()
        if stack is None:
            return
        self._touched = True
        self._index = min(max(index, 0), len(stack.items) - 1)
        self._show()

    def step_series(self, direction: int) -> None:
        """Show the next or previous series, at its middle."""
        if self._stacks:
            self._touched = True
            self._stack = min(max(self._stack + direction, 0), len(self._stacks) - 1)
            self._index = len(self._stacks[self._stack].items) // 2
            self._show()

    def _forget(self, study_uid: str, content: PaneContent) -> None:
        self.study_uid, self._content = study_uid, content
        self._instances, self._stacks, self._touched = {}, (), False
        self._stack = self._index = self._opening = self._wanted = 0
        self.pane.set_content(content)

    def _take(self, event: Event) -> None:
        if event.number != self._opening or not self._opening:
            return
        if isinstance(event, StudyContents):
            for instance in event.instances:
                self._instances[instance.header.sop_uid] = instance
            self._arrange()
        elif isinstance(event, RequestFailed):
            self.describe(replace(self._content, state=PaneState.CANNOT_SHOW, message=event.message))

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

    def _place_of(self, item: tuple[str, int]) -> tuple[int, int] | None:
        places = (
            (number, stack.items.index(item)) for number, stack in enumerate(self._stacks) if item in stack.items
        )
        return next(places, None)

    def _current_stack(self) -> SeriesStack | None:
        return self._stacks[self._stack] if self._stack < len(self._stacks) else None

    def _item(self) -> tuple[str, int] | None:
        stack = self._current_stack()
        return stack.items[self._index] if stack else None

    def _show(self) -> None:
        item = self._item()
        if item is None:
            return
        self._tell()
        instance = self._instances[item[0]]
        frame = self._frames.get((instance.ticket.handle, item[1]))
        if frame is not None:
            self._wanted = 0
            self._paint(frame)
        else:
            self._wanted = self._bridge.want_frame(self._key, instance.ticket, item[1])
        self._look_ahead()

    def _look_ahead(self) -> None:
        stack = self._current_stack()
        if stack is None:
            return
        self._later.clear()
        for offset in AHEAD:
            index = self._index + offset
            if 0 <= index < len(stack.items):
                uid, frame = stack.items[index]
                ticket = self._instances[uid].ticket
                if (ticket.handle, frame) not in self._frames:
                    number = self._bridge.want_frame_later(f"{self._key} {offset}", ticket, frame)
                    self._later[number] = (ticket.handle, frame)

    def _take_frame(self, number: int, answer: Answer) -> None:
        if number in self._later:
            key = self._later.pop(number)
            if isinstance(answer, DecodedFrame):
                self._frames.put(key, answer)
                self._paint_if_waited_for(key, answer)
        elif number == self._wanted and number:
            self._wanted = 0
            self._take_wanted(answer)

    def _paint_if_waited_for(self, key: tuple[str, int], frame: DecodedFrame) -> None:
        item = self._item()
        if self._wanted and item and (self._instances[item[0]].ticket.handle, item[1]) == key:
            self._paint(frame)

    def _take_wanted(self, answer: Answer) -> None:
        item = self._item()
        if item is None:
            return
        if isinstance(answer, CannotDecode):
            self._tell(state=PaneState.CANNOT_SHOW, message=str(answer))
            return
        self._frames.put((self._instances[item[0]].ticket.handle, item[1]), answer)
        self._paint(answer)

    def _paint(self, frame: DecodedFrame) -> None:
        """Pixels go on the screen only with their own dataset's patient being the one of this window."""
        if self._patient is None or _is_other(self._patient, frame.header.patient):
            self._tell(state=PaneState.OTHER_PATIENT)
            return
        self._tell(state=PaneState.IMAGE, lossy=frame.header.lossy, derived="DERIVED" in frame.header.image_type[:1])
        if self.pane.set_frame(frame.array, frame.mapping, frame.header, self._index + 1):
            self.shown.emit(self.study_uid)

    def _tell(self, *, state: PaneState | None = None, message: str = "", **marks: bool) -> None:
        stack = self._current_stack()
        content = self._content
        if stack is not None:
            waiting = self.pane.content.state is not PaneState.IMAGE or self._series_changed(stack)
            now = state or (PaneState.WAITING if waiting else PaneState.IMAGE)
            old = self.pane.content
            header = self._instances[stack.items[self._index][0]].header
            content = replace(
                content,
                state=now,
                series_uid=stack.series_uid,
                series=_series_words(self._stack, len(self._stacks), header.series_description),
                image_number=self._index + 1,
                image_count=len(stack.items),
                lossy=marks.get("lossy", old.lossy),
                derived=marks.get("derived", old.derived),
                message=message,
            )
        self.pane.set_content(content)

    def _series_changed(self, stack: SeriesStack) -> bool:
        return self.pane.content.series_uid != stack.series_uid


def _is_other(ours: Patient, theirs: Patient) -> bool:
    return compare(replace(ours, identifier=theirs.identifier), theirs).outcome is Identity.CONFLICT


def _series_words(number: int, count: int, description: str) -> str:
    place = f"series {number + 1}/{count}" if count > 1 else ""
    return " · ".join(part for part in (place, description) if part)
