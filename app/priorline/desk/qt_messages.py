"""What Qt has to say goes to the log like everything else, and is one line."""

import logging

from PySide6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler

LEVELS = {
    QtMsgType.QtDebugMsg: logging.DEBUG,
    QtMsgType.QtInfoMsg: logging.INFO,
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}
# The platform without a screen says this of every window.
EXPECTED = "This plugin does not support propagateSizeHints()"
_log = logging.getLogger("priorline.qt")


def install() -> None:
    """Take over Qt's messages for this process."""
    qInstallMessageHandler(_take)


def _take(kind: QtMsgType, _context: QMessageLogContext, text: str) -> None:
    if text != EXPECTED:
        _log.log(LEVELS.get(kind, logging.WARNING), "%s", text.replace("\n", " "))
