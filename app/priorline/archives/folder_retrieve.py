"""The files of a study, read one by one: what is handed over is the dataset as it stands in the file.

Preamble and file meta information stay behind (PS3.10 7.1): a program that hides in a preamble goes no further.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path

from priorline.archives.base import Received, RetrieveSummary
from priorline.archives.folder_files import open_file, probe
from priorline.archives.folder_head import Damaged, file_head
from priorline.archives.folder_index import Instance

# No more comes of one read on some systems.
INSTANCE_MAX = 0x7FFF0000
# In the words of PS3.4 C.4.3.1.4.
SUCCESS, SOME_FAILED, CANCELLED = 0, 0xB000, 0xFE00


class Trouble(StrEnum):
    """Why objects are not handed over, the beginning of a sentence that ends in their number."""

    NO_FILE = "Named by the DICOMDIR, but not there or not inside of the folder"
    UNREADABLE = "Cannot be read; try again, or copy the disc again"
    NOT_DICOM = "Damaged or no DICOM; copy the disc again"
    TOO_LARGE = "Larger than is taken (2 GiB)"


def retrieve(
    name: str,
    root: Path,
    wanted: Iterable[Instance],
    on_instance: Callable[[Received], None],
    cancelled: Callable[[], bool],
) -> RetrieveSummary:
    """Hand over what is `wanted`; what cannot be is counted and told in `message`.

    Raises ArchiveError where the folder is gone.
    """
    received, troubles, is_cancelled = set[str](), dict[str, Trouble](), False
    for instance in wanted:
        is_cancelled = cancelled()
        if is_cancelled:
            break
        found = _read(root, instance)
        if isinstance(found, Received):
            on_instance(found)
            received.add(instance.sop_uid)
            continue
        if found is Trouble.UNREADABLE:
            # A disc that was taken out is said as that.
            probe(name, root)
        troubles[instance.sop_uid] = found
    # Of an object that lies in two files one is enough.
    counts = Counter(trouble for uid, trouble in troubles.items() if uid not in received)
    failed = counts.total()
    status = CANCELLED if is_cancelled else SOME_FAILED if failed else SUCCESS
    message = " ".join(f"{trouble}: {count} images." for trouble, count in counts.items())
    return RetrieveSummary(len(received), failed, 0, 0, status, len(received), is_cancelled, message)


def _read(root: Path, instance: Instance) -> Received | Trouble:
    """The object under the UIDs by which it is listed; that it is another one is found out on arrival."""
    if instance.place is None:
        return Trouble.NO_FILE
    try:
        with open_file(root, instance.place) as stream:
            head = file_head(stream)
            if head is None:
                return Trouble.NOT_DICOM
            size = stream.seek(0, 2)
            if size > INSTANCE_MAX:
                return Trouble.TOO_LARGE
            stream.seek(head.start)
            dataset = stream.read(size - head.start)
    except OSError:
        return Trouble.UNREADABLE
    except Damaged:
        return Trouble.NOT_DICOM
    return Received(instance.sop_class, instance.sop_uid, head.transfer_syntax, dataset)
