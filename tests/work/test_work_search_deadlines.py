"""How long a hospital may take, from the configuration file to the archive that keeps to it."""

import pytest

from priorline import config
from priorline.archives.base import Timeouts
from priorline.archives.dicom import DicomArchive
from priorline.errors import ConfigError
from priorline.work.hospitals import build_hospitals

HOSPITAL = '[[hospital]]\nname = "A"\nae_title = "X"\nhost = "127.0.0.1"\nport = 104\n'


def timeouts_of(text: str) -> Timeouts:
    (hospital,) = build_hospitals(config.parse(HOSPITAL + text, "file"))
    assert isinstance(hospital.archive, DicomArchive)
    return hospital.archive.peer.timeouts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Timeouts(5, 10, 10, 30)),
        ("timeout = 3", Timeouts(3, 3, 3, 30)),
        ("timeout = 60", Timeouts(5, 60, 60, 180)),
        ("deadlines = { connect = 1, association = 2, progress = 3, query = 4 }", Timeouts(1, 2, 3, 4)),
        ("timeout = 20\ndeadlines = { query = 0.5 }", Timeouts(5, 20, 20, 0.5)),
        ("timeout = 20\ndeadlines = { connect = 0, progress = 40 }", Timeouts(5, 20, 40, 60)),
    ],
)
def test_each_deadline_is_the_configured_one_or_follows_from_the_timeout(text: str, expected: Timeouts) -> None:
    assert timeouts_of(text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("deadlines = 5", 'hospital "A".deadlines: allowed is a table with connect, association, progress, query'),
        ("deadlines = { connect = -1 }", 'hospital "A".deadlines.connect: allowed is a number of seconds from 0 to'),
        ("deadlines = { query = 3601 }", 'hospital "A".deadlines.query: allowed is a number of seconds from 0 to'),
        (
            "deadlines = { progress = '5 s' }",
            'hospital "A".deadlines.progress: allowed is a number of seconds from 0',
        ),
        ("deadlines = { acse = 5 }", 'unknown key "hospital "A".deadlines.acse"; allowed are connect, association,'),
    ],
)
def test_a_wrong_deadline_is_named_by_its_key(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(HOSPITAL + text, "file")
    assert str(caught.value).startswith(f"file: {told}")
