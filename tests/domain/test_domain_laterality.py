"""Which side a study shows, in the words of three languages and in tags."""

import pytest

from priorline.domain.laterality import Side, side_of, side_of_tags

L, R, B, NO = Side.LEFT, Side.RIGHT, Side.BOTH, Side.UNKNOWN


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("X-knie links", L),
        ("X-pols li", L),
        ("Linkerknie", L),
        ("linker heup", L),
        ("KNEE LT", L),
        ("Hüfte linke Seite", L),
        ("X-hand re", R),
        ("Rechterschouder", R),
        ("FOOT 2V R", R),
        ("X-voet (L)", L),
        ("XR KNEE R 3V", R),
        ("KNEE L 2VWS", L),
        ("Manus sinistra", L),
        ("Genu dextra", R),
        ("Linksseitige Hüfte", L),
        ("Knie re. a.p.", R),
        ("Mammografie bdz", B),
        ("Mammographie bds.", B),
        ("HANDS BILAT", B),
        ("Knie L/R", B),
        ("Knie links en rechts", B),
        ("Re-evaluatie CT thorax", NO),
        ("re-scan MRI", NO),
        ("L SPINE", NO),
        ("SPINE L 4", NO),
        ("RT planning thorax", NO),
        ("Thorax RT", R),
        ("R/O fracture wrist", NO),
        ("LEFT LATERAL DECUBITUS", NO),
        ("Abdomen in Linksseitenlage", NO),
        ("left ventricle function", NO),
        ("X-thorax", NO),
        ("MRI LWK L4-L5", NO),
        ("", NO),
    ],
)
def test_sides_in_words(text: str, side: Side) -> None:
    assert side_of(text) is side


def test_the_first_text_that_names_a_side_decides() -> None:
    assert side_of("X-knie", "Knie rechts", "Knie links") is R


@pytest.mark.parametrize(
    ("values", "side"),
    [(["L"], L), ([" r "], R), (["B"], B), (["L", "R"], B), (["U"], NO), (["", "L"], L), (["links"], NO), ([], NO)],
)
def test_sides_in_tags(values: list[str], side: Side) -> None:
    assert side_of_tags(values) is side
