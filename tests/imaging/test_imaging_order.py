"""The order of slices, whatever the order and the numbers they came with."""

import random
from dataclasses import replace

import pytest

from priorline.domain.patient import Identifier, Patient
from priorline.imaging.instance import InstanceHeader
from priorline.imaging.order import stacks

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
SOMEBODY = Patient(Identifier("1", "A"))


def image(name: str, **fields: object) -> InstanceHeader:
    base = InstanceHeader(name, "1.2", "1.2", "study", "series", SOMEBODY, rows=8, columns=8)
    return replace(base, **fields)  # type: ignore[arg-type]


def axial(*heights: float) -> list[InstanceHeader]:
    return [
        image(f"z{z:g}", position=(0.0, 0.0, z), orientation=AXIAL, instance_number=n) for n, z in enumerate(heights)
    ]


def uids(found: object) -> list[str]:
    return [uid for uid, _ in found.items]  # type: ignore[attr-defined]


def test_the_head_comes_first_whatever_the_numbers_say() -> None:
    (stack,) = stacks(axial(0, 10, 5, 15))
    assert uids(stack) == ["z15", "z10", "z5", "z0"]
    assert stack.positions == (-15.0, -10.0, -5.0, 0.0)
    assert (stack.spacing, stack.gaps, stack.duplicates, stack.even) == (5.0, (), (), True)


def test_the_order_of_arrival_does_not_matter() -> None:
    headers = [*axial(0, 3, 6, 9, 9), image("scout", position=(0.0, 0.0, 0.0), orientation=CORONAL)]
    headers += [image(f"dup{n}", position=(0.0, 0.0, 6.0), orientation=AXIAL) for n in range(3)]
    expected = stacks(headers)
    for seed in range(10):
        random.Random(seed).shuffle(headers)
        assert stacks(headers) == expected


@pytest.mark.parametrize(("orientation", "axis", "sign"), [(CORONAL, 1, 1), (SAGITTAL, 0, 1), (AXIAL, 2, -1)])
def test_scrolling_goes_backwards_leftwards_and_downwards(
    orientation: tuple[float, ...], axis: int, sign: int
) -> None:
    places = [tuple(float(step) if n == axis else 0.0 for n in range(3)) for step in range(4)]
    headers = [image(f"s{n}", position=place, orientation=orientation) for n, place in enumerate(places)]
    flipped = (*orientation[:3], *(-part for part in orientation[3:]))
    mirrored = [replace(header, orientation=flipped) for header in headers]
    expected = [f"s{n}" for n in range(4)][::sign]
    assert uids(stacks(headers)[0]) == expected
    assert uids(stacks(mirrored)[0]) == expected


def test_a_missing_slice_is_a_gap_and_a_repeated_place_a_duplicate() -> None:
    twin = image("twin", position=(0.0, 0.0, 0.0), orientation=AXIAL, instance_number=99)
    (stack,) = stacks([*axial(0, 5, 10, 20, 25), twin])
    assert uids(stack) == ["z25", "z20", "z10", "z5", "z0", "twin"]
    assert (stack.spacing, stack.gaps, stack.duplicates) == (5.0, (1,), (4,))


def test_unequal_spacing_is_told() -> None:
    assert not stacks(axial(0, 5, 10, 16))[0].even


def test_gantry_tilt_is_told() -> None:
    headers = [image(f"t{n}", position=(0.0, n * 1.0, n * 5.0), orientation=AXIAL) for n in range(4)]
    assert stacks(headers)[0].tilt == pytest.approx(11.31, abs=0.01)
    assert stacks(axial(0, 5))[0].tilt == 0.0


def test_orientation_size_and_series_split() -> None:
    base = axial(0, 5)
    others = [
        image("o", position=(0.0, 0.0, 0.0), orientation=SAGITTAL),
        image("r", position=(0.0, 0.0, 0.0), orientation=AXIAL, rows=16),
        image("s", position=(0.0, 0.0, 0.0), orientation=AXIAL, series_uid="other"),
    ]
    assert sorted(len(stack.items) for stack in stacks([*base, *others])) == [1, 1, 1, 2]
    slightly = image("n", position=(0.0, 0.0, 10.0), orientation=(1.0, 0.0001, 0.0, 0.0, 1.0, 0.0))
    assert len(stacks([*base, slightly])) == 1


def test_slices_with_frames_of_reference_of_their_own_stay_together() -> None:
    headers = [replace(header, frame_of_reference=header.sop_uid) for header in axial(0, 5)]
    (stack,) = stacks(headers)
    assert stack.frame_of_reference == ""
    (same,) = stacks([replace(header, frame_of_reference="1.9") for header in axial(0, 5)])
    assert same.frame_of_reference == "1.9"


def test_projections_follow_their_numbers() -> None:
    headers = [
        image("lat", instance_number=2, rows=20),
        image("pa", instance_number=1, columns=30),
        image("b"),
        image("a"),
    ]
    assert uids(stacks(headers)[0]) == ["pa", "lat", "a", "b"]


def test_a_multi_frame_object_is_a_stack_of_its_own() -> None:
    places = ((0.0, 0.0, 0.0), (0.0, 0.0, 4.0), (0.0, 0.0, 2.0))
    volume = image("mf", frames=3, frame_positions=places, orientation=AXIAL, position=places[0])
    film = image("cine", frames=3, series_uid="us")
    found = {stack.items[0][0]: stack for stack in stacks([*axial(0, 5), volume, film])}
    assert found["mf"].items == (("mf", 1), ("mf", 2), ("mf", 0))
    assert found["mf"].spacing == 2.0
    assert found["cine"].items == (("cine", 0), ("cine", 1), ("cine", 2))


def test_what_has_no_picture_and_what_comes_twice() -> None:
    headers = axial(0, 5)
    report = image("sr", displayable=False)
    assert stacks([*headers, report, *headers]) == stacks(headers)
