"""Our storage SCP in tests, and what is listening."""

import threading
from collections.abc import Callable
from dataclasses import replace

import psutil

from peers import CALLING
from priorline.archives.base import DicomPeer, SecurityAlert
from priorline.archives.dicom import DicomArchive
from priorline.archives.storage_scp import StorageScp


def start_thread(run: Callable[[], None]) -> Callable[[float], None]:
    thread = threading.Thread(target=run)
    thread.start()
    return thread.join


def scp(port: int, on_alert: Callable[[SecurityAlert], None] = lambda _alert: None, address: str = "") -> StorageScp:
    return StorageScp(CALLING, port, start_thread, on_alert, address)


def archive(peer: DicomPeer, port: int, retrieve: str = "auto") -> DicomArchive:
    return DicomArchive(replace(peer, retrieve=retrieve), scp(port))


def listening_ports() -> set[int]:
    """The ports at which this process listens."""
    connections = psutil.Process().net_connections(kind="inet")
    return {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}
