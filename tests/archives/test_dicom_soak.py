"""Many associations, each tenth with a peer that aborts, vanishes or stops in an image: nothing adds up."""

import threading

import psutil

from image_hospital import CT_IMAGE, STUDY, Connection, Hospital, Image, image
from priorline.archives.dicom import DicomArchive
from priorline.archives.incoming import Received, whole
from priorline.errors import ArchiveError

ASSOCIATIONS, FAULTY = 300, 10
ONE = image(1)


def stop_inside(connection: Connection) -> None:
    connection.store(ONE, cut=1)
    connection.reset()


WAYS = (Connection.abort, Connection.reset, stop_inside)


def test_three_hundred_associations_leave_no_thread_and_no_descriptor() -> None:
    count, process = [0], psutil.Process()
    got: list[Received] = []

    def before(connection: Connection, _image: Image) -> None:
        count[0] += 1
        if count[0] % FAULTY == 0:
            WAYS[count[0] // FAULTY % len(WAYS)](connection)

    failed = 0
    with Hospital([ONE], before=before) as hospital:
        threads, descriptors = threading.active_count(), process.num_fds()
        archive = DicomArchive(hospital.peer)
        for _ in range(ASSOCIATIONS):
            try:
                archive.retrieve(STUDY, None, [CT_IMAGE], whole(got.append), lambda: False)
            except ArchiveError:
                failed += 1
    assert failed == ASSOCIATIONS // FAULTY
    assert len(got) == ASSOCIATIONS - failed
    # The hospital's own are gone by now, too.
    assert threading.active_count() <= threads
    assert process.num_fds() <= descriptors + 2
