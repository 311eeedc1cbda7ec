"""What one pane holds: words, pixels and view, and the rules that keep them from belonging to different people."""

from dataclasses import replace

from priorline.desk.viewer.content import PaneContent, PaneState
from priorline.desk.viewer.interaction import opening_window
from priorline.desk.viewer.view_state import PixelGrid, ViewState, grid_of
from priorline.imaging.frame import DecodedFrame, ValueMapping
from priorline.imaging.instance import InstanceHeader


class Shown:
    """The words, the frame and the view of a pane; knows no screen."""

    def __init__(self) -> None:
        self.content = PaneContent()
        self.frame: DecodedFrame | None = None
        self.view = ViewState()
        self._window_unit: str | None = None
        self._window_chosen = False

    def say(self, content: PaneContent) -> None:
        """Take new words; pixels of another series, or in a state without an image, are let go."""
        other = content.series_uid != self.content.series_uid
        if other:
            self.view = ViewState()
            self._window_unit, self._window_chosen = None, False
        if other or content.state is not PaneState.IMAGE:
            self.frame = None
        if self.frame is not None:
            # The number belongs to the pixels: it changes with them, not when the next image is only asked for.
            content = replace(content, image_number=self.content.image_number)
        self.content = content

    def take(self, frame: DecodedFrame, image_number: int | None) -> bool:
        """Take a frame if it is of the series that the words name and may be shown; returns whether."""
        series = frame.header.series_uid
        if self.content.withheld or not series or series != self.content.series_uid:
            return False
        number = self.content.image_number if image_number is None else image_number
        self.frame = frame
        self.content = replace(self.content, state=PaneState.IMAGE, message="", image_number=number)
        if not self._keeps_window(frame.mapping, frame.header):
            self._window_chosen = False
            self.view = opening_window(self.view, frame.mapping)
        self._window_unit = frame.mapping.unit
        return True

    def look(self, view: ViewState) -> bool:
        """Take another view; returns whether grey values look different now, which is then kept between films."""
        old, self.view = self.view, view
        changed = (view.window, view.voi_lut, view.invert) != (old.window, old.voi_lut, old.invert)
        self._window_chosen = self._window_chosen or changed
        return changed

    def opening_view(self) -> ViewState:
        """The view that the image has when nobody changed anything."""
        return opening_window(ViewState(), self.frame.mapping) if self.frame else ViewState()

    def window_is_the_files(self) -> None:
        """From now on each film brings its own window again."""
        self._window_chosen = False

    @property
    def grid(self) -> PixelGrid | None:
        """Size and pitch of the image; None without one."""
        if self.frame is None:
            return None
        rows, columns = self.frame.array.shape[:2]
        return grid_of(self.frame.header, rows, columns)

    def _keeps_window(self, mapping: ValueMapping, header: InstanceHeader) -> bool:
        """Within a stack always, so that a change of brightness is the patient's; between films once chosen."""
        alike = mapping.photometric == "grey" and self._window_unit == mapping.unit
        has_window = self.view.window is not None
        return alike and has_window and (self._window_chosen or len(header.position) == 3)
