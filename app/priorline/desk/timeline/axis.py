"""The time axis: days since year 1 along x, labelled by years, months or days as the span asks."""

from datetime import date

import pyqtgraph as pg
from PySide6.QtGui import QColor

from priorline.desk import theme
from priorline.desk.wording import MONTHS

DAYS_A_YEAR = 365.25
YEAR_STEPS = (1, 2, 5, 10, 20, 50)
MONTH_STEPS = (1, 3, 6)
PIXELS_A_LABEL = 62


class TimeAxis(pg.AxisItem):  # type: ignore[misc]
    """A bottom axis whose ticks lie on calendar years, months or days."""

    def __init__(self) -> None:
        super().__init__("bottom")
        self.setStyle(tickFont=theme.font(theme.SMALL), tickTextOffset=6, tickLength=0)
        self.setTextPen(QColor(theme.QUIET))
        self.setPen(QColor(theme.LINE))

    def tickValues(self, first: float, last: float, pixels: float) -> list[tuple[float, list[float]]]:
        """As pyqtgraph defines it: one level of ticks."""
        labels = max(2.0, pixels / PIXELS_A_LABEL)
        years = (last - first) / DAYS_A_YEAR
        step = next((step for step in YEAR_STEPS if years / step <= labels), YEAR_STEPS[-1])
        if step > 1 or years > 0.75 * labels:
            return [(step * DAYS_A_YEAR, _year_ticks(first, last, step))]
        month_step = next((step for step in MONTH_STEPS if years * 12 / step <= labels), 12)
        if month_step > 1 or years * 12 > 0.5 * labels:
            return [(month_step * 30.4, _month_ticks(first, last, month_step))]
        step_days = max(1, round((last - first) / labels))
        return [(float(step_days), [float(day) for day in range(int(first) + 1, int(last) + 1, step_days)])]

    def tickStrings(self, values: list[float], _scale: float, spacing: float) -> list[str]:
        """As pyqtgraph defines it."""
        return [_label(date.fromordinal(max(1, round(value))), spacing) for value in values]


def _year_ticks(first: float, last: float, step: int) -> list[float]:
    begin, end = _day(first).year // step * step, _day(last).year
    return [float(date(year, 1, 1).toordinal()) for year in range(max(begin, 1), min(end + 1, date.max.year), step)]


def _month_ticks(first: float, last: float, step: int) -> list[float]:
    begin, end = _day(first).year * 12, _day(last).year * 12 + 12
    months = (divmod(month, 12) for month in range(max(begin, 12), min(end, date.max.year * 12), step))
    return [float(date(year, month + 1, 1).toordinal()) for year, month in months]


def _day(value: float) -> date:
    return date.fromordinal(min(max(1, int(value)), date.max.toordinal()))


def _label(day: date, spacing: float) -> str:
    if spacing >= 300 or (spacing >= 25 and day.month == 1):
        return str(day.year)
    return MONTHS[day.month - 1] if spacing >= 25 else f"{day.day} {MONTHS[day.month - 1]}"
