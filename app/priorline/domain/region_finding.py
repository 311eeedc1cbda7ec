"""What part of the body a study shows, from everything that its hospitals write, with how sure that is."""

from dataclasses import dataclass
from enum import StrEnum

from priorline.domain.region import NOTHING, Reading, Region, Regions, RegionTable

CODED = 0.95
AGREED = 0.95
DESCRIBED = 0.9
# Body Part Examined is wrong in about 15 % of images, mostly because the protocol sets it.
PART_ALONE = 0.85
# A word that may mean something else ("MRI cor"), or one with a letter wrong.
DOUBTFUL = 0.78
CODE_CONTRADICTED = 0.7
PART_CONTRADICTED = 0.6
CERTAIN = 0.75
"""From here up a region is taken as it stands; below, the reasons say that it is not certain."""
# Kinds of images that show one part of the body only, or nearly always; they decide where no word does.
MODALITY_REGIONS: dict[str, tuple[Region, float]] = {
    "MG": (Region.BREAST, 0.95),
    "IO": (Region.HEAD_NECK, 0.95),
    "PX": (Region.HEAD_NECK, 0.95),
    "OP": (Region.HEAD_NECK, 0.9),
    "OPT": (Region.HEAD_NECK, 0.9),
    "ECG": (Region.HEART, 0.9),
    "IVUS": (Region.HEART, 0.8),
    "PT": (Region.WHOLE_BODY, 0.6),
}


class RegionSource(StrEnum):
    """What a region was read from."""

    CODE = "procedure code"
    BODY_PART = "body part"
    DESCRIPTION = "description"
    MODALITY = "kind of images"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class RegionFinding:
    """The regions of a study, the main one first; `confidence` from 0 (nothing known) to 1."""

    regions: Regions = NOTHING
    source: RegionSource = RegionSource.NOTHING
    confidence: float = 0.0

    @property
    def certain(self) -> bool:
        """Whether nothing speaks against these regions."""
        return self.confidence >= CERTAIN


@dataclass(frozen=True, slots=True)
class Written:
    """What hospitals write about one study; what the best described copy says comes first.

    `codes` are (scheme, value) of Procedure Code Sequence (0008,1032), `body_parts` Body Part Examined (0018,0015),
    `descriptions` Study Description (0008,1030) and the meanings of codes, `modalities` Modalities in Study.
    """

    codes: tuple[tuple[str, str], ...] = ()
    body_parts: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()


def find_region(table: RegionTable, written: Written) -> RegionFinding:
    """The regions of a study: by its code, else by body part and description, else by the kind of its images."""
    described = table.read(*written.descriptions)
    coded = table.of_codes(written.codes)
    if coded != NOTHING:
        return _by_code(coded, described.regions if described.sure else NOTHING)
    part = table.of_body_parts(written.body_parts)
    if described.sure or part == NOTHING != described.regions:
        return RegionFinding(described.regions, RegionSource.DESCRIPTION, _described(described, part))
    if part != NOTHING:
        return RegionFinding(part, RegionSource.BODY_PART, PART_ALONE)
    return _by_modality(written.modalities)


def _by_code(coded: Regions, described: Regions) -> RegionFinding:
    """Code and description together unless they contradict: one procedure is often done with another."""
    if _apart(coded, described):
        return RegionFinding(coded, RegionSource.CODE, CODE_CONTRADICTED)
    more = described if described != NOTHING else ()
    return RegionFinding(tuple(dict.fromkeys((*coded, *more))), RegionSource.CODE, CODED)


def _described(described: Reading, part: Regions) -> float:
    """How sure the description is: it wins over a body part that contradicts it, which then casts doubt on it."""
    if part == NOTHING:
        return DESCRIBED if described.sure else DOUBTFUL
    return PART_CONTRADICTED if _apart(described.regions, part) else AGREED


def _apart(one: Regions, other: Regions) -> bool:
    """Whether two sets of regions cannot both be right; vessels and the whole body contradict nothing."""
    anywhere = {Region.UNKNOWN, Region.WHOLE_BODY, Region.VESSELS}
    return not set(one) & set(other) and anywhere.isdisjoint((*one, *other))


def _by_modality(modalities: tuple[str, ...]) -> RegionFinding:
    found = [MODALITY_REGIONS[name] for name in modalities if name in MODALITY_REGIONS]
    if not found:
        return RegionFinding()
    regions = tuple(dict.fromkeys(region for region, _ in found))
    return RegionFinding(regions, RegionSource.MODALITY, min(confidence for _, confidence in found))
