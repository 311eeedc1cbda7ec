"""The shipped files: found by name, fit to be loaded, and each kind with its licence."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PySide6.QtCore import QByteArray
from PySide6.QtGui import QFont, QFontDatabase, QFontMetricsF, QRawFont
from PySide6.QtSvg import QSvgRenderer
from pytestqt.qtbot import QtBot

from priorline.resources import resource

ICONS = sorted(resource("icons").glob("*.svg"))
FONTS = sorted(resource("fonts").glob("*.ttf"))


def test_a_missing_resource_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"icons/no-such\.svg"):
        resource("icons/no-such.svg")


@pytest.mark.parametrize("icon", ICONS, ids=lambda path: path.stem)
def test_icons_are_of_one_kind_and_take_the_colour_of_the_theme(icon: Path, qtbot: QtBot) -> None:
    text = icon.read_text("utf-8")
    root = ElementTree.fromstring(text)  # noqa: S314  our own file
    assert root.get("viewBox") == "0 0 24 24"
    assert root.get("stroke-width") == "1.75"
    assert "currentColor" in text
    assert QSvgRenderer(QByteArray(text.replace("currentColor", "#56b4e9").encode())).isValid()


def test_the_typeface_has_three_weights_and_figures_of_equal_width(qtbot: QtBot) -> None:
    assert all(QFontDatabase.addApplicationFont(str(path)) >= 0 for path in FONTS)
    for weight in (400, 500, 600):
        font = QFont("Inter")
        font.setWeight(QFont.Weight(weight))
        font.setFeature(QFont.Tag("tnum"), 1)
        raw = QRawFont.fromFont(font)
        assert (raw.familyName(), raw.weight()) == ("Inter", weight)
        assert raw.supportsCharacter(ord("ł"))
        metrics = QFontMetricsF(font)
        assert len({metrics.horizontalAdvance(figure) for figure in "0123456789"}) == 1


def test_an_installed_wheel_finds_what_it_ships(tmp_path: Path) -> None:
    repo = Path(__file__).resolve().parent.parent
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=repo, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    look = "from priorline.resources import resource; print(resource('icons/app.svg'), resource('fonts'))"
    # -P: the checkout must not answer in place of the wheel.
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", look], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    shipped = tmp_path / "site" / "priorline" / "resources"
    assert done.stdout.split() == [str(shipped / "icons" / "app.svg"), str(shipped / "fonts")], done.stderr


def test_fonts_and_icons_come_with_their_licences() -> None:
    assert "SIL OPEN FONT LICENSE" in resource("fonts/Inter-LICENSE.txt").read_text("utf-8")
    assert "Apache-2.0" in resource("icons/LICENSE.txt").read_text("utf-8")
