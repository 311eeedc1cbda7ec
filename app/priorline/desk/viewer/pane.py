"""One image area: what it shows, how it is looked at, and what hands do to it."""

from dataclasses import replace

from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from priorline.desk import theme
from priorline.desk.viewer import interaction, scene, strip
from priorline.desk.viewer.content import PaneContent
from priorline.desk.viewer.interaction import Command, Drag, DragKind, WheelSteps
from priorline.desk.viewer.painting import FramePainter
from priorline.desk.viewer.shown import Shown
from priorline.desk.viewer.view_state import (
    Area,
    ViewState,
    one_to_one,
    zoomed_at,
)
from priorline.imaging.frame import DecodedFrame, Pixels, ValueMapping
from priorline.imaging.instance import InstanceHeader, Window

_STEPS = {Command.PREVIOUS_IMAGE: -1, Command.NEXT_IMAGE: 1}
_SERIES_STEPS = {Command.PREVIOUS_SERIES: -1, Command.NEXT_SERIES: 1}


class Pane(QWidget):
    """Paints one image with all that says whose it is; asks by signals for what it cannot do itself.

    `scroll_requested` carries how many images on (negative: back), `image_requested` a number from 1,
    `series_step_requested` -1 or 1, `window_changed` a `Window` or None, `menu_requested` a global position.
    """

    activated = Signal()
    scroll_requested = Signal(int)
    image_requested = Signal(int)
    series_step_requested = Signal(int)
    window_changed = Signal(object)
    view_changed = Signal()
    maximise_requested = Signal()
    menu_requested = Signal(QPoint)
    painted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 160)
        self._shown = Shown()
        self._active = False
        self._drag: Drag | None = None
        self._wheel = WheelSteps()
        self._painter = FramePainter()

    @property
    def content(self) -> PaneContent:
        """What the pane says now."""
        return self._shown.content

    @property
    def frame(self) -> DecodedFrame | None:
        """The frame whose pixels are shown; None where there are none."""
        return self._shown.frame

    @property
    def view(self) -> ViewState:
        """How the image is looked at."""
        return self._shown.view

    @property
    def active(self) -> bool:
        """Whether keys go to this pane."""
        return self._active

    def set_active(self, active: bool) -> None:
        """Mark the pane as the one that keys go to."""
        self._active = active
        self.update()

    def set_content(self, content: PaneContent) -> None:
        """Say something else; pixels of another series, or in a state without an image, are let go.

        While an image is shown its number stays: `set_frame` changes number and pixels together.
        """
        before = self._shown.content, self._shown.frame
        self._shown.say(content)
        if (self._shown.content, self._shown.frame) == before:
            return
        if self._shown.frame is None:
            self._drag = None
            self._painter.forget()
        self.setAccessibleName(" · ".join(scene.spoken(content)))
        self.update()

    def set_frame(
        self,
        array: Pixels,
        mapping: ValueMapping,
        header: InstanceHeader,
        image_number: int | None = None,
    ) -> bool:
        """Show a frame of the series that the content names; returns whether it was taken.

        `array` is (rows, columns) of uint8 or uint16, or (rows, columns, 3) of uint8; it is not copied and must not
        change while shown. Frames of other series are refused, and all frames while the content is withheld.
        `image_number` (from 1) changes words and pixels together. The state becomes `IMAGE`.
        """
        taken = self._shown.take(DecodedFrame(array, mapping, header), image_number)
        self.update()
        return taken

    def set_view(self, view: ViewState) -> None:
        """Look at the image in another way, as a linked pane does; signals tell it only on a change."""
        if view == self._shown.view:
            return
        grey_values_change = self._shown.look(view)
        self.update()
        self.view_changed.emit()
        if grey_values_change:
            self.window_changed.emit(view.window)

    def set_window(self, window: Window) -> None:
        """Show grey values through this window."""
        self.set_view(replace(self._shown.view, window=window, voi_lut=None))

    def reset_view(self) -> None:
        """Whole image, the file's own window, not inverted; the same image stays."""
        self.set_view(self._shown.opening_view())
        self._shown.window_is_the_files()

    def image_area(self) -> Area:
        """Where in the pane the image is, below the words about it."""
        return scene.image_area(self._shown.content, self.width(), self.height())

    def save_picture(self) -> QImage:
        """The pane as a picture to be saved, wide enough that none of the words about it is cut.

        The caller writes it to a file, away from the window's thread.
        """
        width = max(self.width(), strip.full_width(self._shown.content))
        ratio = self.devicePixelRatioF()
        picture = QImage(QSize(width, self.height()) * ratio, QImage.Format.Format_RGB32)
        picture.setDevicePixelRatio(ratio)
        painter = QPainter(picture)
        self._paint(painter, width, self.height())
        painter.end()
        return picture

    def sizeHint(self) -> QSize:
        return QSize(600, 700)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        self._paint(painter, self.width(), self.height())
        if self._active:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
            painter.setPen(QPen(QColor(theme.CURRENT), 2, j=Qt.PenJoinStyle.MiterJoin))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(QRectF(1, 1, self.width() - 2, self.height() - 2))
        painter.end()
        self.painted.emit()

    def _paint(self, painter: QPainter, width: int, height: int) -> None:
        scene.paint(
            painter,
            (width, height),
            scene.Scene(self._shown.content, self._shown.frame, self._shown.view),
            self._painter,
        )

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.accept()
        # With Alt or Shift some systems turn the wheel's movement sideways.
        delta = event.angleDelta().y() or event.angleDelta().x()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._zoom(interaction.wheel_zoom(delta), event.position())
            return
        steps = -self._wheel.add(delta)
        if steps:
            fast = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            self.scroll_requested.emit(steps * interaction.FAST if fast else steps)

    def _zoom(self, factor: float, pointer: QPointF) -> None:
        grid = self._shown.grid
        if grid is not None:
            where = pointer.x(), pointer.y()
            self.set_view(zoomed_at(self._shown.view, grid, self.image_area(), factor, where))

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.activated.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        event.accept()
        self.activated.emit()
        kind = interaction.drag_kind(event.button(), event.modifiers())
        if kind is not None and self._drag is None:
            self._drag = Drag(kind, event.button(), event.position(), self._shown.view)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        event.accept()
        drag, grid = self._drag, self._shown.grid
        if drag is None or grid is None or self._shown.frame is None:
            return
        way = event.position() - drag.start
        if not drag.moved and abs(way.x()) + abs(way.y()) < interaction.CLICK:
            return
        self._drag = replace(drag, moved=True)
        self.set_view(interaction.dragged(drag, event.position(), self._shown.frame.mapping, grid, self.image_area()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        event.accept()
        if self._drag is None or event.button() != self._drag.button:
            return
        clicked = not self._drag.moved
        kind, self._drag = self._drag.kind, None
        if clicked and kind is DragKind.ZOOM:
            self.menu_requested.emit(event.globalPosition().toPoint())

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        event.accept()
        if event.button() == Qt.MouseButton.LeftButton:
            self.maximise_requested.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        wanted = interaction.command(event.key(), event.modifiers())
        if wanted is None or not self.obey(wanted):
            super().keyPressEvent(event)

    def obey(self, wanted: Command) -> bool:
        """Do what a key or a menu asks; returns whether it means anything for what is shown."""
        if wanted in _STEPS:
            self.scroll_requested.emit(_STEPS[wanted])
        elif wanted in _SERIES_STEPS:
            self.series_step_requested.emit(_SERIES_STEPS[wanted])
        elif wanted in (Command.FIRST_IMAGE, Command.LAST_IMAGE):
            self.image_requested.emit(1 if wanted is Command.FIRST_IMAGE else max(1, self._shown.content.image_count))
        else:
            return self._look_anew(wanted)
        return True

    def _look_anew(self, wanted: Command) -> bool:
        frame, old = self._shown.frame, self._shown.view
        if frame is None:
            return False
        if wanted is Command.RESET:
            self._cancel_or_reset()
        elif wanted is Command.INVERT:
            self.set_view(replace(old, invert=not old.invert))
        elif wanted is Command.FIT_OR_ONE_TO_ONE:
            self._toggle_fit()
        else:
            view = interaction.chosen_window(wanted, old, frame.mapping, frame.header)
            if view is None:
                return False
            self.set_view(view)
        return True

    def _cancel_or_reset(self) -> None:
        if self._drag is not None:
            self.set_view(self._drag.view)
            self._drag = None
        else:
            self.reset_view()

    def _toggle_fit(self) -> None:
        grid = self._shown.grid
        if grid is None:
            return
        if self._shown.view.fitted:
            self.set_view(one_to_one(self._shown.view, grid, self.devicePixelRatioF()))
        else:
            self.set_view(replace(self._shown.view, fitted=True, scale=1.0, pan=(0.0, 0.0)))
