"""Every error that Priorline raises on purpose.

    PriorlineError
    ├── UsageError                wrong use: command line, launch (exit code 2)
    │   └── ConfigError           a file, a key and what is allowed there
    └── EnvironmentFault          the world outside is not as wished; a person can mend it
        ├── ArchiveError          an archive and what it did
        │   ├── ArchiveUnreachable    no connection
        │   ├── ArchiveNotTrusted     not provably who it should be, or not safely encrypted
        │   ├── ArchiveTimedOut       connected, then silent
        │   ├── ArchiveRefused        said no (association or status)
        │   └── ArchiveBroken         answered what the protocol does not allow
        ├── CacheError            the store cannot be read or written
        │   ├── CacheFull             no room left on the disk
        │   └── CacheDamaged          an object is not what was written
        ├── ImageError            an object that cannot be shown
        │   ├── NotDicom              not a DICOM object, or cut off
        │   └── CannotDecode          pixel data that no decoder here reads
        ├── AuditError            the trail cannot be written, so the act must not happen
        └── WorkerLost            a helper process ended before it answered

Anything else that is raised is a bug and is reported as one.
Messages are one clear sentence for the user; they carry no name, number or UID of a patient.
"""


class PriorlineError(Exception):
    """Base of all errors that are raised on purpose."""


class UsageError(PriorlineError):
    """The program was asked in a way that it does not understand."""


class ConfigError(UsageError):
    """A configuration file has a key or value that is not allowed; the message names file, key and choice."""


class EnvironmentFault(PriorlineError):
    """Something outside the program is not as wished."""


class ArchiveError(EnvironmentFault):
    """An archive could not do what it was asked."""


class ArchiveUnreachable(ArchiveError):
    """No connection to the archive."""


class ArchiveNotTrusted(ArchiveError):
    """The archive is not provably the right one, or offers no safe encryption; it was told nothing."""


class ArchiveTimedOut(ArchiveError):
    """The archive stopped answering."""


class ArchiveRefused(ArchiveError):
    """The archive said no."""


class ArchiveBroken(ArchiveError):
    """The archive answered something that the protocol does not allow."""


class CacheError(EnvironmentFault):
    """The cache cannot be read or written."""


class CacheFull(CacheError):
    """There is no room left on the disk of the cache."""


class CacheDamaged(CacheError):
    """A cached object is not what was written."""


class ImageError(EnvironmentFault):
    """An object cannot be shown."""


class NotDicom(ImageError):
    """The bytes are not a DICOM object, or they end too early."""


class CannotDecode(ImageError):
    """No decoder here reads this pixel data."""


class AuditError(EnvironmentFault):
    """The audit trail cannot be written."""


class WorkerLost(EnvironmentFault):
    """A helper process ended before it answered."""
