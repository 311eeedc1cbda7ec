"""DCMTK's dcmqrscp on loopback with computed studies in it."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from _orthanc import TITLE, free_port, serving


@contextmanager
def dcmqrscp(folder: Path, files: Sequence[Path], send_to: Mapping[str, int]) -> Iterator[int]:
    """A running dcmqrscp that holds copies of these files; gives its port.

    `send_to` has the AE titles that it knows as destinations of a C-MOVE, each with its port on this machine.
    """
    port, storage = free_port(), folder / "storage"
    storage.mkdir()
    copies = [shutil.copyfile(file, storage / file.name) for file in files]
    subprocess.run(["dcmqridx", str(storage), *map(str, copies)], check=True, capture_output=True)
    hosts = "".join(
        f"peer{number} = ({title}, 127.0.0.1, {at})\n" for number, (title, at) in enumerate(send_to.items())
    )
    file = folder / "dcmqrscp.cfg"
    file.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\n{hosts}HostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{TITLE} {storage} RW (500, 8192mb) ANY\nAETable END\n",
        encoding="utf-8",
    )
    with serving(["dcmqrscp", "-c", str(file)], folder, port):
        yield port
