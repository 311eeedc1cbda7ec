"""The images of a series in the order of the body, and what is wrong with that order.

Place decides, never the instance number or the file name: a slice lies where its position, projected on the normal
of its plane, says. Scrolling goes from head to feet (axial), from front to back (coronal) and from the patient's
right to the left (sagittal), whatever way the scanner went.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from priorline.imaging.geometry import Vector, normal
from priorline.imaging.instance import InstanceHeader

_SAME_PLACE = 1e-2  # mm
_SAME_DIRECTION = 0.9999  # cosine of 0.8 degrees
_GAP = 1.5  # times the usual spacing
_UNEVEN = 0.02  # part of the usual spacing
_TILTED = 0.5  # degrees
# Feet, back, left: the ends towards which scrolling goes, for a normal along x, y or z.
_SCROLL = np.array([1.0, 1.0, -1.0])


@dataclass(frozen=True, slots=True)
class SeriesStack:
    """Images of one series that are scrolled through as one.

    `items` are (SOP instance UID, frame from 0) in scroll order. `positions` are millimetres along `normal`, rising
    with the scroll order, one an item; both are empty without geometry. `spacing` is the usual distance in mm, 0.0
    unknown. `gaps` lists n where slices are missing between item n and n + 1; `duplicates` lists n where item n + 1
    lies in the same place as item n. `even` is False where distances differ beside the gaps; `tilt` is the angle in
    degrees between the line of the slices and the normal (gantry tilt), 0.0 below half a degree.
    `frame_of_reference` is empty where the slices differ in it.
    """

    series_uid: str
    items: tuple[tuple[str, int], ...]
    rows: int = 0
    columns: int = 0
    orientation: tuple[float, ...] = ()
    normal: tuple[float, ...] = ()
    frame_of_reference: str = ""
    positions: tuple[float, ...] = ()
    spacing: float = 0.0
    gaps: tuple[int, ...] = ()
    duplicates: tuple[int, ...] = ()
    even: bool = True
    tilt: float = 0.0


@dataclass(frozen=True, slots=True)
class _Slice:
    header: InstanceHeader
    frame: int
    position: tuple[float, ...]
    orientation: tuple[float, ...]

    @property
    def number(self) -> tuple[float, str, int]:
        """The order without geometry: instance number, missing ones last, then UID, then frame."""
        given = self.header.instance_number
        return (math.inf if given is None else given, self.header.sop_uid, self.frame)


def stacks(headers: Iterable[InstanceHeader]) -> tuple[SeriesStack, ...]:
    """The displayable instances as stacks, the same for every order of arrival.

    A stack has one series, matrix size and orientation; a multi-frame instance is a stack of its
    own (one for each orientation in it); images without geometry, such as projections, form one stack a series in
    the order of their instance numbers. An instance that came twice counts once.
    """
    once: dict[str, InstanceHeader] = {}
    for header in headers:
        if header.displayable:
            known = once.setdefault(header.sop_uid, header)
            if known is not header:
                # Different objects with one UID: any rule does, if it is always the same.
                once[header.sop_uid] = max(known, header, key=repr)
    groups: dict[tuple[object, ...], list[_Slice]] = {}
    for header in sorted(once.values(), key=_uids):
        for entry in _slices(header):
            groups.setdefault(_group(entry, groups), []).append(entry)
    made = sorted(groups.values(), key=lambda group: _stack_key(min(group, key=lambda entry: entry.number)))
    return tuple(_stack(group) for group in made)


def _uids(header: InstanceHeader) -> tuple[str, str]:
    return header.series_uid, header.sop_uid


def _slices(header: InstanceHeader) -> list[_Slice]:
    positions = header.frame_positions or (header.position,) * header.frames
    orientations = header.frame_orientations or (header.orientation,) * header.frames
    if header.frames > 1 and not header.frame_positions:
        positions = ((),) * header.frames  # frames in one place are a film in time, not a stack in space
    return [
        _Slice(header, frame, position, orientation)
        for frame, (position, orientation) in enumerate(zip(positions, orientations, strict=False))
    ]


def _group(entry: _Slice, groups: dict[tuple[object, ...], list[_Slice]]) -> tuple[object, ...]:
    """The key of the group that an image belongs to; directions that differ a little are the same one."""
    header = entry.header
    own = header.sop_uid if header.frames > 1 else ""
    direction = normal(entry.orientation)
    if direction is None or len(entry.position) != 3:
        return header.series_uid, own
    # Not the frame of reference: some de-identified series (LIDC-IDRI) have a new one in each slice.
    base = (header.series_uid, own, header.rows, header.columns)
    for key in groups:
        if key[:-1] == base and isinstance(key[-1], tuple) and _parallel(key[-1], entry.orientation):
            return key
    return (*base, entry.orientation)


def _parallel(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether rows and columns both point the same way."""
    if one == other:
        return True
    a, b = np.array(one).reshape(2, 3), np.array(other).reshape(2, 3)
    return bool(np.all((a * b).sum(axis=1) >= _SAME_DIRECTION))


def _stack_key(first: _Slice) -> tuple[float, str, float, str, int]:
    number = first.header.series_number
    return (math.inf if number is None else number, first.header.series_uid, *first.number)


def _stack(group: Sequence[_Slice]) -> SeriesStack:
    header, direction = group[0].header, normal(group[0].orientation)
    if direction is None or len(group[0].position) != 3:
        items = tuple((entry.header.sop_uid, entry.frame) for entry in sorted(group, key=lambda entry: entry.number))
        return SeriesStack(header.series_uid, items, header.rows, header.columns)
    direction = _scroll_direction(direction)
    placed = _placed(group, direction)
    ordered = [entry for _, entry in placed]
    positions = tuple(place for place, _ in placed)
    spacing, gaps, duplicates, even = _distances(positions)
    return SeriesStack(
        series_uid=header.series_uid,
        items=tuple((entry.header.sop_uid, entry.frame) for entry in ordered),
        rows=header.rows,
        columns=header.columns,
        orientation=group[0].orientation,
        normal=tuple(float(part) for part in direction),
        frame_of_reference=_common_frame_of_reference(group),
        positions=positions,
        spacing=spacing,
        gaps=gaps,
        duplicates=duplicates,
        even=even,
        tilt=_tilt(ordered[0].position, ordered[-1].position, direction),
    )


def _common_frame_of_reference(group: Sequence[_Slice]) -> str:
    """The frame of reference of all; "" where they differ, so that nothing is lined up by it."""
    found = {entry.header.frame_of_reference for entry in group}
    return found.pop() if len(found) == 1 else ""


def _scroll_direction(direction: Vector) -> Vector:
    """The normal, turned so that it points where scrolling goes."""
    axis = int(np.argmax(np.round(np.abs(direction), 6)))
    return direction if direction[axis] * _SCROLL[axis] > 0 else -direction


def _placed(group: Sequence[_Slice], direction: Vector) -> list[tuple[float, _Slice]]:
    places = [(float(np.dot(entry.position, direction)), entry) for entry in group]
    # Rounded to a micrometre, so that noise of the arithmetic does not decide between slices in one place.
    return sorted(places, key=lambda pair: (round(pair[0], 3), pair[1].number))


def _distances(positions: tuple[float, ...]) -> tuple[float, tuple[int, ...], tuple[int, ...], bool]:
    """Usual spacing, gaps, duplicates and evenness of rising positions."""
    steps = np.diff(np.array(positions))
    apart = steps[steps > _SAME_PLACE]
    duplicates = tuple(int(n) for n in np.flatnonzero(steps <= _SAME_PLACE))
    if not apart.size:
        return 0.0, (), duplicates, True
    spacing = float(np.median(apart))
    gaps = tuple(int(n) for n in np.flatnonzero(steps > _GAP * spacing))
    regular = apart[apart <= _GAP * spacing]
    even = bool(np.all(np.abs(regular - spacing) <= _UNEVEN * spacing + _SAME_PLACE))
    return spacing, gaps, duplicates, even


def _tilt(first: tuple[float, ...], last: tuple[float, ...], direction: Vector) -> float:
    line = np.array(last) - np.array(first)
    length = float(np.linalg.norm(line))
    if length <= _SAME_PLACE:
        return 0.0
    angle = math.degrees(math.acos(min(1.0, abs(float(line @ direction)) / length)))
    return angle if angle >= _TILTED else 0.0
