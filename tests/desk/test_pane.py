"""One image area: what is painted, and what hands do to it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from priorline.desk.viewer.content import PaneContent, PaneState
from priorline.desk.viewer.interaction import KEYS, Command
from priorline.desk.viewer.pane import Pane
from priorline.desk.viewer.strip import full_width, layout_header
from priorline.domain.patient import Identifier, Patient
from priorline.imaging import windowing
from priorline.imaging.frame import LookupTable, ValueMapping
from priorline.imaging.instance import InstanceHeader, Window

# Widths of texts need fonts.
pytestmark = pytest.mark.usefixtures("qapp")
SERIES = "2.25.5"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SOFT, LUNG = Window(40, 400, explanation="soft"), Window(-600, 1600)
CT = ValueMapping(bits=16, intercept=-1024.0, unit="HU", minimum=0, maximum=4095, windows=(SOFT, LUNG))
HEADER = InstanceHeader(
    "2.25.1",
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.1.2.1",
    "2.25.4",
    SERIES,
    Patient(Identifier("1", "A")),
    modality="CT",
    position=(0.0, 0.0, 0.0),
    orientation=AXIAL,
    spacing=(0.7, 0.7),
    spacing_kind="patient",
)
CONTENT = PaneContent(
    PaneState.IMAGE,
    SERIES,
    role="CURRENT",
    patient="JANSEN, Piet van der · 14 Mar 1970 · M",
    date="24 Nov 2026 · today",
    hospital="Here",
    description="CT thorax/abdomen trauma",
    series="series 3",
    image_number=12,
    image_count=133,
    received=133,
    expected=133,
)
LEFT, RIGHT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton


def numbers(rows: int = 256, columns: int = 256) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 4096, (rows, columns), dtype=np.uint16)


@pytest.fixture
def empty(qtbot: QtBot) -> Pane:
    pane = Pane()
    qtbot.addWidget(pane)
    pane.resize(600, 700)
    pane.show()
    return pane


@pytest.fixture
def pane(empty: Pane) -> Pane:
    empty.set_content(CONTENT)
    assert empty.set_frame(numbers(), CT, HEADER)
    return empty


def grabbed(pane: Pane) -> np.ndarray:
    """The pane's pixels, (height, width, 3), red, green, blue."""
    return pixels_of(pane.grab().toImage())


def pixels_of(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    flat = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return flat[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()


def middle(pixels: np.ndarray) -> np.ndarray:
    """A part in which no word and no mark is."""
    return pixels[250:340, 200:330]


def drag(qtbot: QtBot, pane: Pane, button: Qt.MouseButton, by: tuple[int, int], shift: bool = False) -> None:
    keys = Qt.KeyboardModifier.ShiftModifier if shift else Qt.KeyboardModifier.NoModifier
    start = QPoint(300, 380)
    qtbot.mousePress(pane, button, keys, start)
    qtbot.mouseMove(pane, start + QPoint(*by))
    qtbot.mouseRelease(pane, button, keys, start + QPoint(*by))


def wheel(pane: Pane, delta: int, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    at = QPointF(200, 300)
    event = QWheelEvent(
        at, at, QPoint(), QPoint(0, delta), Qt.MouseButton.NoButton, keys, Qt.ScrollPhase.NoScrollPhase, False
    )
    QApplication.sendEvent(pane, event)


def collected(signal: object) -> list[object]:
    values: list[object] = []
    signal.connect(values.append)  # type: ignore[attr-defined]
    return values


# What is painted


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("invert", [False, True])
def test_at_one_to_one_the_screen_shows_exactly_the_display_levels(
    qtbot: QtBot, empty: Pane, inverted: bool, invert: bool
) -> None:
    array, mapping = numbers(), replace(CT, inverted=inverted)
    empty.set_content(CONTENT)
    empty.set_frame(array, mapping, HEADER)
    empty.obey(Command.FIT_OR_ONE_TO_ONE)
    if invert:
        empty.obey(Command.INVERT)
    area = empty.image_area()
    left, top = round(area.x + area.width / 2 - 128), round(area.y + area.height / 2 - 128)
    seen = grabbed(empty)[top + 40 : top + 216, left + 40 : left + 216]
    due = windowing.apply(array, windowing.display_table(mapping, SOFT, None, invert))[40:216, 40:216]
    assert np.array_equal(seen, np.repeat(due[..., None], 3, axis=2))


def test_monochrome1_is_bright_where_the_numbers_are_low(empty: Pane) -> None:
    empty.set_content(CONTENT)
    empty.set_frame(np.zeros((64, 64), np.uint16), replace(CT, inverted=True), HEADER)
    assert middle(grabbed(empty)).min() == 255


def test_colour_stays_colour(empty: Pane) -> None:
    array = np.zeros((64, 64, 3), np.uint8)
    array[...] = (200, 30, 90)
    empty.set_content(CONTENT)
    empty.set_frame(array, ValueMapping(photometric="rgb"), HEADER)
    assert np.unique(middle(grabbed(empty)).reshape(-1, 3), axis=0).tolist() == [[200, 30, 90]]


def test_a_shrunk_line_does_not_vanish(empty: Pane) -> None:
    array = np.zeros((3000, 3000), np.uint16)
    array[:, 1501] = 4095
    empty.set_content(CONTENT)
    empty.set_frame(array, replace(CT, windows=()), HEADER)
    assert middle(grabbed(empty))[..., 0].max() > 30


def box_averaged(line: np.ndarray, size: int) -> np.ndarray:
    """The mean of a line over `size` equal parts, from its integral; knows nothing of Qt."""
    integral = np.concatenate([[0.0], np.cumsum(line, dtype=np.float64)])
    edges = np.interp(np.linspace(0, line.size, size + 1), np.arange(line.size + 1), integral)
    return np.diff(edges) * size / line.size


@pytest.mark.parametrize("columns", [750, 900, 1100])
@pytest.mark.parametrize("offset", [0, 1, 2])
@pytest.mark.parametrize("colour", [False, True])
def test_a_shrunk_image_is_averaged_over_areas(empty: Pane, columns: int, offset: int, colour: bool) -> None:
    array = np.zeros((columns, columns), np.uint8)
    array[:, offset::3] = 255
    mapping = ValueMapping(photometric="rgb") if colour else ValueMapping(windows=(Window(128, 256),))
    empty.set_content(CONTENT)
    empty.set_frame(np.repeat(array[..., None], 3, axis=2) if colour else array, mapping, HEADER)
    seen = grabbed(empty)[260, 100:450, 0].astype(float)
    due = box_averaged(array[0], 600)[100:450]
    assert np.abs(seen - due).max() <= 4


def test_pixels_twice_as_high_as_wide_are_painted_so(empty: Pane) -> None:
    tall = replace(HEADER, spacing=(2.0, 1.0))
    empty.set_content(CONTENT)
    empty.set_frame(np.full((100, 100), 4095, np.uint16), CT, tall)
    column = grabbed(empty)[250, :, 0]
    white = int((column == 255).sum())
    assert white == pytest.approx(empty.image_area().height / 2, abs=8)


def test_the_image_is_not_mirrored(empty: Pane) -> None:
    array = np.zeros((100, 100), np.uint16)
    array[:50, :50] = 4095
    empty.set_content(CONTENT)
    empty.set_frame(array, CT, HEADER)
    seen = grabbed(empty)
    assert seen[250, 200, 0] == 255
    assert seen[250, 400, 0] == 0
    assert seen[500, 200, 0] == 0


def test_letters_stand_where_the_patient_is(monkeypatch: pytest.MonkeyPatch, qtbot: QtBot, empty: Pane) -> None:
    words = painted_words(monkeypatch)
    empty.set_content(CONTENT)
    empty.set_frame(numbers(), CT, HEADER)
    empty.grab()
    where = {text: place for text, place in words if text in {"R", "L", "A", "P"}}
    assert where["R"][0] < 50
    assert where["L"][0] > 550
    assert where["A"][1] < 100
    assert where["P"][1] > 650


def test_no_letters_where_the_orientation_is_unknown(monkeypatch: pytest.MonkeyPatch, empty: Pane) -> None:
    words = painted_words(monkeypatch)
    empty.set_content(CONTENT)
    empty.set_frame(numbers(), CT, replace(HEADER, orientation=()))
    empty.grab()
    assert not {text for text, _ in words} & set("RLAPHF")


def painted_words(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[float, float]]]:
    """Collects every text with a halo and where it is painted; it is still painted."""
    from priorline.desk.viewer import corners, lettering, marks, strip

    words: list[tuple[str, tuple[float, float]]] = []
    real = lettering.halo_text

    def listening(painter: object, x: float, baseline: float, text: str, ink: object) -> None:
        words.append((text, (x, baseline)))
        real(painter, x, baseline, text, ink)  # type: ignore[arg-type]

    for module in (corners, lettering, marks, strip):
        monkeypatch.setattr(module, "halo_text", listening)
    return words


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"received": 214, "expected": 612}, "214 of 612 images"),
        ({"received": 214, "expected": None}, "214 images so far, total not known"),
        ({"progress": ("3 of 133 images", "about 20 s")}, "3 of 133 images · about 20 s"),
        ({"derived": True}, "DERIVED · NOT FOR DIAGNOSIS"),
        ({"lossy": True}, "LOSSY"),
        ({}, "series 3 · image 12/133"),
        ({}, "JANSEN, Piet van der · 14 Mar 1970 · M"),
        ({}, "W 400  L 40 · soft"),
        ({}, "zoom 2.3 · interpolated"),
    ],
)
def test_the_picture_says(monkeypatch: pytest.MonkeyPatch, pane: Pane, change: dict[str, object], said: str) -> None:
    words = painted_words(monkeypatch)
    pane.set_content(replace(CONTENT, **change))
    pane.grab()
    assert said in [text for text, _ in words]


@pytest.mark.parametrize(("kind", "said"), [("patient", "100 mm"), ("detector", "100 mm*"), ("", None)])
def test_the_ruler_says_what_it_measures(
    monkeypatch: pytest.MonkeyPatch, empty: Pane, kind: str, said: str | None
) -> None:
    words = painted_words(monkeypatch)
    empty.set_content(CONTENT)
    empty.set_frame(numbers(), CT, replace(HEADER, spacing_kind=kind, spacing=(1.4, 1.4) if kind else ()))
    empty.grab()
    assert [text for text, _ in words if " mm" in text] == ([said] if said else [])


@pytest.mark.parametrize("size", [(600, 700), (300, 300), (220, 500)])
@pytest.mark.parametrize(
    "progress", [(), ("3 of 133 images", "about 20 s", "12 MB/s", "84 MB")], ids=["", "fetching"]
)
def test_no_two_texts_touch(
    monkeypatch: pytest.MonkeyPatch, pane: Pane, size: tuple[int, int], progress: tuple[str, ...]
) -> None:
    from priorline.desk.viewer.lettering import PLAIN

    words = painted_words(monkeypatch)
    pane.set_content(replace(CONTENT, derived=True, lossy=True, received=3, progress=progress))
    pane.resize(*size)
    pane.grab()
    boxes = [(x, y, x + PLAIN.width(text) - 2) for text, (x, y) in words if text]
    touching = [
        (one, two)
        for number, one in enumerate(boxes)
        for two in boxes[:number]
        if abs(one[1] - two[1]) < 12 and one[0] < two[2] and two[0] < one[2]
    ]
    assert touching == []


def test_a_part_is_marked_only_when_nothing_more_is_coming() -> None:
    part = replace(CONTENT, received=3, whole=False)
    assert layout_header(part, 600).mark == "PARTIAL"
    assert layout_header(replace(part, progress=("3 of 133 images",)), 600).mark == ""
    assert layout_header(CONTENT, 600).mark == ""
    assert layout_header(replace(part, state=PaneState.OTHER_PATIENT), 600).mark == ""


def test_a_narrow_pane_says_of_progress_what_it_has_room_for() -> None:
    fetching = replace(CONTENT, received=3, progress=("3 of 133 images", "about 20 s", "12 MB/s"))
    assert layout_header(fetching, 900).progress == "3 of 133 images · about 20 s · 12 MB/s"
    assert layout_header(fetching, 420).progress == "3 of 133 images"
    narrow = layout_header(replace(fetching, progress=("about 20 s", "3 of 133 images")), 360)
    assert narrow.progress == "about 20 s"
    assert layout_header(fetching, 300).progress == ""


def test_narrow_panes_wrap_who_the_patient_is_and_cut_nothing() -> None:
    header = layout_header(CONTENT, 200)
    said = " · ".join(text for text, _ in header.lines)
    assert "JANSEN, Piet van der" in said
    assert "14 Mar 1970" in said
    assert "today" in header.date or "today" in said


def test_a_long_name_is_broken_not_cut() -> None:
    name = "VAN OLDENBARNEVELT-DE LA FONTAINE, Wilhelmina Johanna"
    header = layout_header(replace(CONTENT, patient=f"{name} · 14 Mar 1970"), 300)
    said = " ".join(text for text, _ in header.lines)
    assert name in said
    assert "14 Mar 1970" in said


def test_a_saved_picture_says_all_even_from_a_narrow_pane(monkeypatch: pytest.MonkeyPatch, pane: Pane) -> None:
    pane.resize(240, 300)
    pane.set_active(True)
    words = painted_words(monkeypatch)
    picture = pane.save_picture()
    said = " ".join(text for text, _ in words)
    assert picture.width() >= full_width(CONTENT)
    assert all(part in said for part in (CONTENT.patient, CONTENT.date, CONTENT.place, "complete"))
    assert QColor("#56b4e9") != picture.pixelColor(0, picture.height() // 2)


def test_the_active_pane_has_a_blue_border(pane: Pane) -> None:
    pane.set_active(True)
    assert grabbed(pane)[350, 0].tolist() == [0x56, 0xB4, 0xE9]
    assert grabbed(pane)[350, 1].tolist() == [0x56, 0xB4, 0xE9]


# States


def test_every_state_looks_different(pane: Pane) -> None:
    seen = []
    for state in PaneState:
        pane.set_content(replace(CONTENT, state=state))
        seen.append(grabbed(pane).tobytes())
    pane.set_content(replace(CONTENT, state=PaneState.CANNOT_SHOW, message="The decoder stopped."))
    seen.append(grabbed(pane).tobytes())
    # Words of an image without its pixels wait for them.
    assert len(set(seen)) == len(PaneState)


@pytest.mark.parametrize("state", [state for state in PaneState if state is not PaneState.IMAGE])
def test_without_an_image_no_pixel_of_it_is_left(pane: Pane, empty: Pane, state: PaneState) -> None:
    pane.set_frame(np.full((64, 64), 4095, np.uint16), CT, HEADER)
    assert middle(grabbed(pane)).max() == 255
    pane.set_content(replace(CONTENT, state=state))
    assert pane.frame is None
    assert np.array_equal(grabbed(pane)[450:600], np.zeros((150, 600, 3), np.uint8))


@pytest.mark.parametrize("state", [PaneState.QUARANTINED, PaneState.OTHER_PATIENT])
def test_of_a_withheld_study_neither_pixels_nor_person_are_shown(
    monkeypatch: pytest.MonkeyPatch, pane: Pane, state: PaneState
) -> None:
    pane.set_content(replace(CONTENT, state=state))
    assert not pane.set_frame(numbers(), CT, HEADER)
    words = painted_words(monkeypatch)
    pane.grab()
    pane.save_picture()
    said = " ".join(text for text, _ in words) + pane.accessibleName()
    assert "Here" in said
    assert not any(part in said for part in ("JANSEN", "1970", "2026", "thorax", "133"))


def test_pixels_of_another_series_are_refused(pane: Pane) -> None:
    before = grabbed(pane)
    assert not pane.set_frame(np.zeros((9, 9), np.uint16), CT, replace(HEADER, series_uid="2.25.6"))
    assert np.array_equal(grabbed(pane), before)


def test_pixels_do_not_stay_under_the_words_of_another_series(pane: Pane) -> None:
    pane.set_content(replace(CONTENT, series_uid="2.25.6", patient="ANDERS, Iemand"))
    assert pane.frame is None
    assert middle(grabbed(pane)).max() < 255


def test_the_number_changes_only_with_the_pixels(pane: Pane) -> None:
    pane.set_content(replace(CONTENT, image_number=13))
    assert pane.content.image_number == 12
    pane.set_frame(numbers(), CT, HEADER, 13)
    assert pane.content.image_number == 13


# What hands do


def test_scrolling_within_a_stack_keeps_the_window(pane: Pane) -> None:
    pane.set_frame(numbers(), replace(CT, windows=(LUNG,)), replace(HEADER, position=(0.0, 0.0, 3.0)), 13)
    assert pane.view.window == SOFT
    assert pane.content.image_number == 13


def test_each_film_opens_with_its_own_window_until_one_is_chosen(empty: Pane) -> None:
    film = replace(HEADER, modality="DX", position=(), orientation=())
    empty.set_content(CONTENT)
    empty.set_frame(numbers(), CT, film)
    empty.set_frame(numbers(), replace(CT, windows=(LUNG,)), film)
    assert empty.view.window == LUNG
    empty.set_window(Window(0, 100))
    empty.set_frame(numbers(), CT, film)
    assert empty.view.window == Window(0, 100)


def test_another_series_opens_whole_with_its_own_window(qtbot: QtBot, pane: Pane) -> None:
    drag(qtbot, pane, LEFT, (30, 30))
    drag(qtbot, pane, MIDDLE, (30, 30))
    pane.set_content(replace(CONTENT, series_uid="2.25.6"))
    pane.set_frame(numbers(), CT, replace(HEADER, series_uid="2.25.6"))
    assert pane.view.window == SOFT
    assert pane.view.fitted


def test_left_drag_right_widens_and_down_brightens(qtbot: QtBot, pane: Pane) -> None:
    told = collected(pane.window_changed)
    before = middle(grabbed(pane)).mean()
    drag(qtbot, pane, LEFT, (60, 0))
    wider = pane.view.window
    assert wider is not None
    assert wider.width > SOFT.width
    assert wider.center == SOFT.center
    drag(qtbot, pane, LEFT, (0, 40))
    assert pane.view.window is not None
    assert pane.view.window.center < SOFT.center
    assert middle(grabbed(pane)).mean() > before
    assert told[-1] == pane.view.window


@pytest.mark.parametrize(("inverted", "invert"), [(True, False), (False, True), (True, True)])
def test_down_brightens_whatever_the_polarity(qtbot: QtBot, empty: Pane, inverted: bool, invert: bool) -> None:
    empty.set_content(CONTENT)
    empty.set_frame(numbers(), replace(CT, inverted=inverted), HEADER)
    empty.set_view(replace(empty.view, invert=invert))
    before = middle(grabbed(empty)).mean()
    drag(qtbot, empty, LEFT, (0, 60))
    assert middle(grabbed(empty)).mean() > before


def test_no_drag_makes_a_window_that_the_standard_forbids(qtbot: QtBot, pane: Pane) -> None:
    drag(qtbot, pane, LEFT, (-5000, 0))
    assert pane.view.window is not None
    assert pane.view.window.width == 1.0


def test_a_click_changes_nothing(qtbot: QtBot, pane: Pane) -> None:
    before = pane.view
    active: list[bool] = []
    pane.activated.connect(lambda: active.append(True))
    drag(qtbot, pane, LEFT, (1, 1))
    assert pane.view == before
    assert active


@pytest.mark.parametrize(("button", "shift"), [(MIDDLE, False), (LEFT, True)])
def test_pan_moves_the_image_with_the_pointer(qtbot: QtBot, pane: Pane, button: Qt.MouseButton, shift: bool) -> None:
    before = grabbed(pane)
    drag(qtbot, pane, button, (20, 30), shift)
    assert pane.view.window == SOFT
    assert np.array_equal(grabbed(pane)[330:400, 220:300], before[300:370, 200:280])


def test_right_drag_up_enlarges_and_a_right_click_asks_for_the_menu(qtbot: QtBot, pane: Pane) -> None:
    menus = collected(pane.menu_requested)
    pane.obey(Command.FIT_OR_ONE_TO_ONE)
    before = pane.view.scale
    drag(qtbot, pane, RIGHT, (0, -50))
    assert pane.view.scale > before
    assert menus == []
    drag(qtbot, pane, RIGHT, (0, 0))
    assert len(menus) == 1


def test_double_click_asks_to_be_maximised(qtbot: QtBot, pane: Pane) -> None:
    with qtbot.waitSignal(pane.maximise_requested):
        qtbot.mouseDClick(pane, LEFT, pos=QPoint(300, 380))


def test_one_notch_is_one_image_and_small_movements_add_up(pane: Pane) -> None:
    told = collected(pane.scroll_requested)
    wheel(pane, -120)
    for _ in range(8):
        wheel(pane, -30)
    wheel(pane, 240)
    wheel(pane, -120, Qt.KeyboardModifier.ShiftModifier)
    assert told == [1, 1, 1, -2, 10]


def test_ctrl_wheel_zooms_and_does_not_scroll(pane: Pane) -> None:
    told = collected(pane.scroll_requested)
    wheel(pane, 120, Qt.KeyboardModifier.ControlModifier)
    assert told == []
    assert not pane.view.fitted


@pytest.mark.parametrize(
    ("key", "signal", "value"),
    [
        (Qt.Key.Key_Down, "scroll_requested", 1),
        (Qt.Key.Key_Up, "scroll_requested", -1),
        (Qt.Key.Key_PageDown, "series_step_requested", 1),
        (Qt.Key.Key_PageUp, "series_step_requested", -1),
        (Qt.Key.Key_Right, "series_step_requested", 1),
        (Qt.Key.Key_Left, "series_step_requested", -1),
        (Qt.Key.Key_Home, "image_requested", 1),
        (Qt.Key.Key_End, "image_requested", 133),
    ],
)
def test_keys_ask_for_images_and_series(qtbot: QtBot, pane: Pane, key: Qt.Key, signal: str, value: int) -> None:
    told = collected(getattr(pane, signal))
    qtbot.keyClick(pane, key)
    assert told == [value]


@pytest.mark.parametrize(
    ("key", "window"),
    [
        (Qt.Key.Key_0, windowing.full_window(CT)),
        (Qt.Key.Key_1, SOFT),
        (Qt.Key.Key_2, LUNG),
        (Qt.Key.Key_3, windowing.PRESETS[0][1]),
        (Qt.Key.Key_8, windowing.PRESETS[5][1]),
    ],
)
def test_digits_choose_a_window(qtbot: QtBot, pane: Pane, key: Qt.Key, window: Window) -> None:
    pane.set_window(Window(1, 2))
    qtbot.keyClick(pane, key)
    assert pane.view.window == window


@pytest.mark.parametrize("header", [replace(HEADER, modality="MR"), replace(HEADER, modality="CR")])
def test_presets_are_for_ct_only(qtbot: QtBot, empty: Pane, header: InstanceHeader) -> None:
    empty.set_content(CONTENT)
    empty.set_frame(numbers(), CT, header)
    before = empty.view
    qtbot.keyClick(empty, Qt.Key.Key_5)
    assert empty.view == before


def test_the_files_voi_lut_comes_after_its_windows(qtbot: QtBot, empty: Pane) -> None:
    table = LookupTable(0.0, np.arange(256, dtype="<u2").tobytes(), 8, "bone")
    empty.set_content(CONTENT)
    empty.set_frame(numbers(), replace(CT, windows=(SOFT,), voi_luts=(table,)), HEADER)
    assert (empty.view.window, empty.view.voi_lut) == (None, 0)
    qtbot.keyClick(empty, Qt.Key.Key_1)
    assert (empty.view.window, empty.view.voi_lut) == (SOFT, None)
    qtbot.keyClick(empty, Qt.Key.Key_2)
    assert (empty.view.window, empty.view.voi_lut) == (None, 0)


def test_escape_first_undoes_the_drag_then_resets_and_keeps_the_image(qtbot: QtBot, pane: Pane) -> None:
    opening = pane.view
    pane.set_window(LUNG)
    pane.obey(Command.INVERT)
    before, frame = pane.view, pane.frame
    qtbot.mousePress(pane, LEFT, pos=QPoint(300, 380))
    qtbot.mouseMove(pane, QPoint(350, 300))
    assert pane.view != before
    qtbot.keyClick(pane, Qt.Key.Key_Escape)
    assert pane.view == before
    qtbot.mouseRelease(pane, LEFT, pos=QPoint(350, 300))
    qtbot.keyClick(pane, Qt.Key.Key_Escape)
    assert pane.view == opening
    assert pane.frame is frame


def test_z_goes_to_one_to_one_and_back_to_the_whole_image(qtbot: QtBot, pane: Pane) -> None:
    qtbot.keyClick(pane, Qt.Key.Key_Z)
    assert pane.view.scale * 0.7 == pytest.approx(1.0 / pane.devicePixelRatioF())
    qtbot.keyClick(pane, Qt.Key.Key_Z)
    assert pane.view.fitted


def test_ctrl_i_inverts_every_level(qtbot: QtBot, pane: Pane) -> None:
    pane.obey(Command.FIT_OR_ONE_TO_ONE)
    before = grabbed(pane)[300:400, 260:340]
    qtbot.keyClick(pane, Qt.Key.Key_I, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(255 - before, grabbed(pane)[300:400, 260:340])


@pytest.mark.parametrize("hand", [lambda q, p: drag(q, p, LEFT, (30, 30)), lambda q, p: wheel(p, 120)])
def test_an_empty_pane_takes_hands_calmly(qtbot: QtBot, empty: Pane, hand: Callable[[QtBot, Pane], None]) -> None:
    hand(qtbot, empty)
    for wanted in KEYS.values():
        empty.obey(wanted)
    assert empty.frame is None
    assert empty.view.window is None
