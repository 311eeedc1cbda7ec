"""One window per desktop session: a second launch is handed to the window that is open."""

import getpass
import hashlib

import msgspec
from PySide6.QtCore import QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from priorline.errors import UsageError
from priorline.work.launch import Launch

LARGEST_LAUNCH = 64 * 1024
WAIT_MILLISECONDS = 1000


def _server_name() -> str:
    return "priorline-" + hashlib.sha256(getpass.getuser().encode()).hexdigest()[:16]


def hand_over(launch: Launch) -> bool:
    """Give the launch to an open window; false where there is none. Waits, so only before a window of its own."""
    socket = QLocalSocket()
    socket.connectToServer(_server_name())
    if not socket.waitForConnected(WAIT_MILLISECONDS):
        return False
    socket.write(msgspec.json.encode(launch) + b"\n")
    taken = socket.waitForBytesWritten(WAIT_MILLISECONDS)
    socket.disconnectFromServer()
    return taken


class Reception(QObject):
    """Listens for launches of the same user; local to the machine, never a network socket."""

    launched = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._welcome)
        if not self._server.listen(_server_name()):
            # Left behind by a window that was killed: `hand_over` has found nobody there.
            QLocalServer.removeServer(_server_name())
            self._server.listen(_server_name())

    def close(self) -> None:
        """Stop listening."""
        self._server.close()

    def _welcome(self) -> None:
        guest = Guest(self._server.nextPendingConnection())
        guest.launched.connect(self.launched)


class Guest(QObject):
    """One connection: a line of JSON, read when it is whole."""

    launched = Signal(object)

    def __init__(self, socket: QLocalSocket) -> None:
        super().__init__(socket)
        self._socket = socket
        socket.readyRead.connect(self._read)
        socket.disconnected.connect(socket.deleteLater)

    def _read(self) -> None:
        if not self._socket.canReadLine():
            if self._socket.bytesAvailable() > LARGEST_LAUNCH:
                self._socket.abort()
            return
        line = bytes(self._socket.readLine(LARGEST_LAUNCH).data())
        try:
            launch = msgspec.json.decode(line, type=Launch)
            self.launched.emit(launch.checked() if launch.names_somebody else launch)
        except (msgspec.DecodeError, UsageError):
            self._socket.abort()
