"""A process that fetches the study of `image_hospital` and tells what it took; killed, starved or measured by tests.

`python receiving_child.py PORT PLACE ASSOCIATIONS MESSAGE_MAX MOVE_PORT` prints a line of JSON for each image that is
told, and at last one with the report and the memory at its peak, in KiB. Without arguments it does so for each line
that it reads.
"""

import json
import os
import resource
import sys
from pathlib import Path

import move_tools
from image_hospital import row
from priorline.archives import inflow
from priorline.archives.base import DicomPeer
from priorline.archives.dicom import DicomArchive
from priorline.audit.trail import AuditTrail
from priorline.cache.keys import MasterKey
from priorline.cache.store import Store
from priorline.domain.study import FetchReport
from priorline.work.fetch import Arrived, StudyFetch

KEY = MasterKey(b"k" * 32, "file")


def peak() -> int:
    """The most memory that this process held so far, in KiB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def tell(**facts: object) -> None:
    # In one piece, as it may be killed between two.
    os.write(sys.stdout.fileno(), f"{json.dumps(facts)}\n".encode())


def main(port: int, place: Path, associations: int, message_max: int, move_port: int) -> None:
    """Fetch once, by C-MOVE with a port."""
    inflow.MESSAGE_LENGTH_MAX = message_max or inflow.MESSAGE_LENGTH_MAX
    peer = DicomPeer("Hospital North", "ARCHIVE", "127.0.0.1", port, "PRIORLINE", associations)
    archive = move_tools.archive(peer, move_port, "c-move") if move_port else DicomArchive(peer)

    def on_arrived(arrived: Arrived) -> None:
        tell(arrived=arrived.header.sop_uid)

    with Store.open(place / "cache", KEY) as store:
        before = peak()
        tell(ready=before)
        report: FetchReport = StudyFetch(archive, store, row(), on_arrived).run(AuditTrail(place / "audit.jsonl"))
        left = [path.name for path in store.files.root.rglob("*.part")]
        facts = {"state": report.state.value, "received": report.received, "message": report.message}
        tell(**facts, before=before, peak=peak(), left=left, quarantined=report.quarantined)


def serve() -> None:
    """A process for each line with the same arguments, in JSON: it says who it is, and at its end comes `ended`."""
    for line in sys.stdin:
        port, place, *more = json.loads(line)
        pid = os.fork()
        if not pid:
            tell(pid=os.getpid())
            main(port, Path(place), *more)
            os._exit(0)
        os.waitpid(pid, 0)
        tell(ended=True)


if __name__ == "__main__" and len(sys.argv) == 1:
    serve()
elif __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
