"""What an archive lists of a study, for whoever waits for all of it."""

from priorline.archives.base import Archive
from priorline.domain.study import StudyListing


def listing_of(archive: Archive, study_uid: str) -> StudyListing:
    """The whole listing."""
    return archive.list_study(study_uid, lambda _first: None, lambda: False)


def instances_of(archive: Archive, study_uid: str) -> dict[str, list[str]]:
    """SOP Instance UIDs by series; nothing where they are not listed."""
    return dict(listing_of(archive, study_uid).instances or {})
