"""The story with images: a CT in one hospital, an old chest film in another, found, fetched and put side by side."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from journey_tools import (
    DX_IMAGE,
    NORTH,
    PATIENT,
    ROOT,
    SOUTH,
    Files,
    Program,
    assert_same_objects,
    hospital,
    relabelled,
    saved,
    write_config,
)
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import FileDataset

import peers

CT, FILM = ROOT + "501", ROOT + "502"
CT_TAGS = {**PATIENT, "StudyInstanceUID": CT, "StudyDate": "20240501", "StudyTime": "203000"}
FILM_TAGS = {**PATIENT, "StudyInstanceUID": FILM, "StudyDate": "20190302", "StudyDescription": "X-thorax"}


@dataclass(frozen=True)
class Story:
    """The program between two archives, and what was stored in them."""

    program: Program
    files: Files

    @property
    def slices(self) -> int:
        return len(self.files[CT])


def small_images() -> list[FileDataset]:
    """A CT of seven slices and a film, from what pydicom ships."""
    slices = []
    for number in range(1, 8):
        made = relabelled("CT_small.dcm", CT, number, StudyDate="20240501", StudyDescription="CT thorax")
        made.ImagePositionPatient = [-158.1, -179.0, -75.7 + 5 * number]
        made.SliceLocation = made.ImagePositionPatient[2]
        slices.append(made)
    film = relabelled("CT_small.dcm", FILM, 1, Modality="DX", SOPClassUID=DX_IMAGE, **FILM_TAGS)
    return [*slices, film]


def labelled(file: Path, tags: dict[str, str]) -> FileDataset:
    dataset = dcmread(file)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def real_ct_and_film(folder: Path) -> list[FileDataset]:
    """A whole CT of the LIDC-IDRI collection and a film of ChestX-ray14, as one patient."""
    with (folder / "inventory.csv").open(newline="") as inventory:
        rows = list(csv.DictReader(inventory))
    slices = [folder / row["path"] for row in rows if row["source"] == "tcia-lidc-idri-0001"]
    film = next(folder / row["path"] for row in rows if row["source"].startswith("nih-cxr-"))
    assert len(slices) == 133
    return [*(labelled(file, CT_TAGS) for file in slices), labelled(film, FILM_TAGS)]


@pytest.fixture
def tell(tmp_path: Path) -> Iterator[Callable[[list[FileDataset]], Story]]:
    """Stores images, the CT in Orthanc and the film in dcmqrscp, and gives the program between them."""
    for name in ("files", "north", "south"):
        (tmp_path / name).mkdir()
    with peers.orthanc(tmp_path / "north") as north, peers.dcmqrscp(tmp_path / "south") as south:

        def store(made: list[FileDataset]) -> Story:
            files = saved(tmp_path / "files", made)
            peers.store(north, list(files[CT].values()))
            peers.store(south, list(files[FILM].values()))
            known = (hospital(NORTH, north), hospital(SOUTH, south))
            return Story(write_config(tmp_path / "priorline.toml", *known), files)

        yield store


def assert_the_film_is_suggested(story: Story) -> None:
    answer = story.program("timeline", "--study", CT, "--json")
    assert answer.code == 0
    studies = {one["study_uid"]: one for one in answer.json["studies"]}
    assert list(studies) == [CT, FILM]
    assert (studies[CT]["current"], studies[CT]["images"]) == (True, story.slices)
    assert studies[FILM]["modalities"] == ["DX"]
    assert studies[FILM]["identity"] == "same"
    assert studies[FILM]["relevance"] > 0.7
    assert "film before the CT" in studies[FILM]["reasons"]


def assert_both_come_whole(story: Story, folder: Path, *, verbatim: bool = True) -> None:
    answer = story.program("fetch", CT, FILM, "--json")
    assert answer.code == 0
    assert [one["received"] for one in answer.json["studies"]] == [story.slices, 1]
    assert {one["state"] for one in answer.json["studies"]} == {"complete"}
    for study, stored in story.files.items():
        assert story.program("cache", "export", study, folder / study).code == 0
        assert_same_objects(folder / study, stored, verbatim=verbatim)


def assert_the_picture_shows_both(story: Story, out: Path) -> None:
    answer = story.program("open", "--study", CT, "--compare", FILM, "--screenshot", out)
    assert answer.code == 0, answer.err
    with Image.open(out) as picture:
        levels = np.asarray(picture.convert("L"), dtype=float)
    height, width = levels.shape
    assert (width, height) == (1920, 1080)
    # Left and right of the middle stand images: many levels, neither black nor flat.
    for half in (levels[height // 3 :, : width // 2], levels[height // 3 :, width // 2 :]):
        assert half.std() > 15
        assert len(np.unique(half)) > 60


def test_an_old_film_is_found_fetched_and_shown_beside_a_ct(
    tell: Callable[[list[FileDataset]], Story], tmp_path: Path
) -> None:
    story = tell(small_images())
    assert_the_film_is_suggested(story)
    assert_both_come_whole(story, tmp_path)
    assert_the_picture_shows_both(story, tmp_path / "pictures" / "out.png")


def test_a_picture_of_a_study_that_nobody_has_is_no_success(
    tell: Callable[[list[FileDataset]], Story], tmp_path: Path
) -> None:
    story = tell(small_images())
    answer = story.program("open", "--study", CT, "--compare", "1.2.3.4", "--screenshot", tmp_path / "out.png")
    assert answer.code == 1


@pytest.mark.real_images
def test_the_story_on_real_images(
    tell: Callable[[list[FileDataset]], Story], tmp_path: Path, real_images: Path
) -> None:
    story = tell(real_ct_and_film(real_images))
    assert_the_film_is_suggested(story)
    assert_both_come_whole(story, tmp_path, verbatim=False)
    assert_the_picture_shows_both(story, tmp_path / "pictures" / "out.png")
