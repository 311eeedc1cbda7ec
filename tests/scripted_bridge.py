"""A bridge that answers what the test says: no processes, no network."""

from typing import TypeVar

from PySide6.QtCore import QObject, Signal

from priorline.work.messages import Cancel, CloseStudy, Event, Prefer, Request, Ticket

R = TypeVar("R", bound=Request)


class ScriptedBridge(QObject):
    """Stands where the helpers are; remembers what was asked."""

    heard = Signal(object)
    frame = Signal(int, object)

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Request] = []
        self.wanted: dict[int, tuple[Ticket, int]] = {}
        self.due: list[bool] = []
        self._number = 0

    def next_number(self) -> int:
        self._number += 1
        return self._number

    def send(self, request: Request) -> None:
        self.sent.append(request)

    def cancel(self, number: int) -> None:
        self.sent.append(Cancel(number))

    def prefer(self, study_uid: str, series_uid: str, sop_uid: str) -> None:
        self.sent.append(Prefer(self.next_number(), study_uid, series_uid, sop_uid))

    def close_study(self, study_uid: str) -> None:
        self.sent.append(CloseStudy(self.next_number(), study_uid))

    def want_frame(self, _key: str, ticket: Ticket, frame: int) -> int:
        number = self.next_number()
        self.wanted[number] = (ticket, frame)
        return number

    def want_frame_later(self, _key: str, _ticket: Ticket, _frame: int) -> int:
        return self.next_number()

    def forget_later(self) -> None:
        pass

    def image_is_due(self) -> None:
        self.due.append(True)

    def image_is_painted(self) -> None:
        self.due.append(False)

    def close(self) -> None:
        pass

    def last(self, kind: type[R]) -> R:
        return next(one for one in reversed(self.sent) if isinstance(one, kind))

    def count(self, kind: type[Request]) -> int:
        return sum(isinstance(one, kind) for one in self.sent)

    def tell(self, *events: Event) -> None:
        for event in events:
            self.heard.emit(event)
