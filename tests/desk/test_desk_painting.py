"""What painting keeps between images changes nothing of what is painted, and no word outlives its patient."""

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor, QImage, QPainter
from pytestqt.qtbot import QtBot

from priorline.config import Settings
from priorline.desk import theme
from priorline.desk.viewer import lettering
from priorline.desk.viewer.lettering import AMBER, LETTER, PLAIN, STRONG, Ink, halo_text
from priorline.desk.viewer.painting import FramePainter, Shades, picture_of
from priorline.desk.viewer.view_state import Area, PixelGrid, ViewState, matrix
from priorline.desk.window import Window
from priorline.domain.patient import Identifier, Patient
from priorline.imaging.frame import DecodedFrame, LookupTable, ValueMapping
from priorline.imaging.instance import InstanceHeader
from priorline.imaging.instance import Window as GreyWindow
from priorline.regions import load_region_table
from scripted_bridge import ScriptedBridge

HEADER = InstanceHeader("1.1", "1.2", "1.3", "1.4", "1.5", Patient(Identifier("1", "A")))
AREA = Area(0, 0, 64, 64)
SLICE = np.linspace(0, 4095, 64 * 64).astype(np.uint16).reshape(64, 64)
CT = ValueMapping(bits=16, slope=1.0, intercept=-1024.0, unit="HU", minimum=0, maximum=4095)
IDENTITY = np.arange(256, dtype=np.uint8)
OTHERS = {
    "slope": replace(CT, slope=0.5),
    "intercept": replace(CT, intercept=-500.0),
    "inverted": replace(CT, inverted=True),
    "padding": replace(CT, padding=(2000, 4095)),
    "range": replace(CT, minimum=1000, maximum=1500),
    "windows": replace(CT, windows=(GreyWindow(0, 100),)),
    "modality": replace(CT, modality_lut=LookupTable(0.0, bytes(range(200)), 16)),
    "voi": replace(CT, voi_luts=(LookupTable(0.0, bytes(range(256)), 16),)),
}


def values(picture: QImage) -> np.ndarray:
    copy = picture.convertToFormat(QImage.Format.Format_RGB32)
    shape = copy.height(), copy.width(), 4
    return np.frombuffer(copy.constBits(), np.uint8).reshape(shape)[:, :, :3].astype(int)


def canvas(ratio: float) -> QImage:
    picture = QImage(round(300 * ratio), round(60 * ratio), QImage.Format.Format_RGB32)
    picture.setDevicePixelRatio(ratio)
    picture.fill(QColor(200, 180, 160))
    return picture


def drawn_at_once(picture: QImage, x: float, baseline: float, text: str, ink: Ink) -> None:
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
    painter.setFont(ink.font)
    for colour, shifts in ((theme.HALO, lettering._FAR + lettering._NEAR), (ink.colour, ((0, 0),))):
        painter.setPen(QColor(colour))
        for across, down in shifts:
            painter.drawText(QPointF(round(x) + across, round(baseline) + down), text)
    painter.end()


@pytest.mark.parametrize("ratio", [1.0, 2.0])
@pytest.mark.parametrize("ink", [PLAIN, STRONG, AMBER, LETTER])
@pytest.mark.parametrize("text", ["JANSEN, Ångström · 1960", "f(j)gy|W", "L"])
def test_kept_words_look_as_if_drawn_anew(qapp: object, text: str, ink: Ink, ratio: float) -> None:
    kept, anew = canvas(ratio), canvas(ratio)
    drawn_at_once(anew, 20.4, 34.7, text, ink)
    for _ in range(2):  # made, and then the kept one
        painter = QPainter(kept)
        halo_text(painter, 20.4, 34.7, text, ink)
        painter.end()
        assert np.abs(values(kept) - values(anew)).max() <= 2
        kept = canvas(ratio)
    assert np.abs(values(canvas(ratio)) - values(anew)).max() > 100


def test_words_stay_sharp_where_a_pixel_is_no_whole_number_of_pixels(qapp: object) -> None:
    picture = canvas(1.5)
    painter = QPainter(picture)
    halo_text(painter, 21, 35, "|", PLAIN)
    painter.end()
    kept = lettering._haloed("|", PLAIN, 1.5)
    found = values(picture)
    where = np.argwhere(np.abs(found - found[0, 0]).max(axis=2) > 0)
    (top, left), (bottom, right) = where.min(axis=0), where.max(axis=0)
    alone = canvas(1.5)
    painter = QPainter(alone)
    painter.drawImage(QPointF(0, 0), kept)
    painter.end()
    first = np.argwhere(np.abs(values(alone) - found[0, 0]).max(axis=2) > 0).min(axis=0)
    size = bottom - top + 1, right - left + 1
    same = values(alone)[first[0] : first[0] + size[0], first[1] : first[1] + size[1]]
    assert (found[top : bottom + 1, left : right + 1] == same).all()


def painted(painter: FramePainter, mapping: ValueMapping, state: ViewState) -> np.ndarray:
    picture = QImage(64, 64, QImage.Format.Format_RGB32)
    picture.fill(QColor(1, 2, 3))
    hand = QPainter(picture)
    frame = DecodedFrame(SLICE, mapping, HEADER)
    painter.paint(hand, frame, state, matrix(state, PixelGrid(64, 64), AREA), AREA)
    hand.end()
    return values(picture)


@pytest.mark.parametrize("state", [ViewState(), ViewState(window=GreyWindow(40, 400)), ViewState(voi_lut=0)])
@pytest.mark.parametrize("change", OTHERS)
def test_a_slice_that_means_something_else_is_not_shown_by_the_table_of_the_last_one(
    qapp: object, change: str, state: ViewState
) -> None:
    other = OTHERS[change]
    if state.voi_lut is not None:
        other = replace(other, voi_luts=(LookupTable(0.0, bytes(range(255, -1, -1)), 16),))
    painter = FramePainter()
    first = replace(CT, voi_luts=OTHERS["voi"].voi_luts) if state.voi_lut is not None else CT
    for mapping in (first, other, first):
        assert (painted(painter, mapping, state) == painted(FramePainter(), mapping, state)).all()


def test_grey_levels_are_the_same_in_all_three_colours(qapp: object) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = values(picture_of(levels, Shades.of(IDENTITY), QImage()))
    assert (found == levels[:, :, None]).all()


@pytest.mark.parametrize("shape", [(16, 16), (16, 12), (12, 16, 3)])
def test_what_is_written_into_the_last_picture_is_the_new_one_and_nothing_of_the_last(
    qapp: object, shape: tuple[int, ...]
) -> None:
    last = picture_of(np.full((16, 16), 77, np.uint8), Shades.of(IDENTITY), QImage())
    shared = QImage(last)
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    made = values(picture_of(pixels, Shades.of(IDENTITY), last))
    assert (made == values(picture_of(pixels, Shades.of(IDENTITY), QImage()))).all()
    assert (values(shared) == 77).all()


def test_no_word_about_a_patient_stays_once_the_window_shows_nobody(qtbot: QtBot, bridge: ScriptedBridge) -> None:
    window = Window(Settings(), bridge, load_region_table())  # type: ignore[arg-type]
    qtbot.addWidget(window)
    picture = canvas(1.0)
    painter = QPainter(picture)
    halo_text(painter, 20, 30, "JANSEN, Piet", PLAIN)
    painter.end()
    before = lettering._haloed.cache_info()
    window.comparison.clear()
    halo = lettering._haloed.cache_info()
    assert before.currsize
    assert halo.currsize < before.currsize
    lettering._haloed("JANSEN, Piet", PLAIN, 1.0)
    assert lettering._haloed.cache_info().misses == halo.misses + 1
    window.close()
