"""The master key of the cache: where it is kept, and what is derived from it."""

import logging
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from priorline.errors import CacheError

KEY_BYTES = 32
SERVICE = "priorline"
ENTRY = "cache key"

log = logging.getLogger(__name__)


def derive(secret: bytes, purpose: bytes, salt: bytes = b"") -> bytes:
    """32 bytes derived from `secret` for one `purpose` (HKDF with SHA-256, RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=b"priorline cache: " + purpose).derive(secret)


@dataclass(frozen=True, slots=True)
class MasterKey:
    """The secret everything in the cache hangs on: 32 bytes, and where they are kept."""

    secret: bytes = field(repr=False)
    kept_in: Literal["keyring", "file", "session"]

    @property
    def lookup_key(self) -> bytes:
        """Key of the authentication codes under which the index finds identifiers: 32 bytes."""
        return derive(self.secret, b"lookup")

    @property
    def wrapping_key(self) -> bytes:
        """Key that wraps the key of each study: 32 bytes."""
        return derive(self.secret, b"wrapping")


def load_master_key(mode: str, key_file: Path, entry: str = ENTRY, *, make: bool = True) -> MasterKey:
    """The master key for `mode`, made on first use unless `make` is False; `entry` is its name in a keyring.

    `mode` is "keyring", "file" (`key_file`, mode 0600, to be placed outside the cache), "session" (new with every
    call, never stored) or "auto": the system's keyring where there is one, else the file. A key file that is already
    there goes before an empty keyring, so that a cache sealed with it stays readable.
    Raises CacheError where the key cannot be read or kept.
    """
    if mode == "session":
        return MasterKey(os.urandom(KEY_BYTES), "session")
    if not make and not _is_kept(mode, key_file, entry):
        raise CacheError("The key of the cache is not here; bring it back, or purge the cache.")
    if mode == "file":
        return _from_file(key_file)
    if mode not in {"auto", "keyring"}:
        raise CacheError(f"The key of the cache cannot be kept in “{mode[:40]}”; choose keyring, file or session.")
    if _has_keyring() and not (mode == "auto" and key_file.exists() and _read_keyring(entry) is None):
        return _from_keyring(entry)
    if mode == "keyring":
        raise CacheError('This system has no keyring; set cache.key to "file" or "session".')
    return _from_file(key_file)


def _has_keyring() -> bool:
    import keyring

    return type(keyring.get_keyring()).__module__ not in {"keyring.backends.fail", "keyring.backends.null"}


def _is_kept(mode: str, key_file: Path, entry: str) -> bool:
    if mode in {"file", "auto"} and os.path.lexists(key_file):
        return True
    return mode in {"keyring", "auto"} and _has_keyring() and _read_keyring(entry) is not None


def destroy_master_key(key_file: Path, entry: str = ENTRY) -> None:
    """Forget the key for good, wherever it is: what was sealed with it is noise from now on; raises CacheError."""
    try:
        key_file.unlink(missing_ok=True)
    except OSError as error:
        raise CacheError(f"The key of the cache cannot be removed ({error.strerror}): {key_file}") from error
    if _has_keyring() and _read_keyring(entry) is not None:
        import keyring
        from keyring.errors import KeyringError

        try:
            keyring.delete_password(SERVICE, entry)
        except KeyringError as error:
            raise CacheError("The keyring did not forget the key of the cache; remove it there.") from error


def _read_keyring(entry: str) -> bytes | None:
    import keyring
    from keyring.errors import KeyringError

    try:
        text = keyring.get_password(SERVICE, entry)
    except KeyringError as error:
        raise CacheError("The keyring did not give the key of the cache; unlock it and try again.") from error
    return None if text is None else _parse(text, "The keyring's entry for the cache")


def _from_keyring(entry: str) -> MasterKey:
    import keyring
    from keyring.errors import KeyringError

    secret = _read_keyring(entry)
    if secret is None:
        try:
            keyring.set_password(SERVICE, entry, os.urandom(KEY_BYTES).hex())
        except KeyringError as error:
            raise CacheError("The keyring did not take the key of the cache; unlock it and try again.") from error
        # Read back: another process may have made its key at the same moment, and the last one counts.
        secret = _read_keyring(entry)
    if secret is None:
        raise CacheError('The keyring forgets what it is given; set cache.key to "file" or "session".')
    return MasterKey(secret, "keyring")


def _parse(text: str, where: str) -> bytes:
    try:
        secret = bytes.fromhex(text.strip())
    except ValueError:
        secret = b""
    if len(secret) != KEY_BYTES:
        raise CacheError(f"{where} is not a key; remove it and purge the cache, which is then fetched anew.")
    return secret


def _from_file(key_file: Path) -> MasterKey:
    try:
        key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.path.lexists(key_file):
            _make_file(key_file)
        text = _read_private(key_file)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise CacheError(f"The key file of the cache cannot be read or made ({reason}): {key_file}") from error
    return MasterKey(_parse(text, "The key file of the cache"), "file")


def _make_file(key_file: Path) -> None:
    aside = key_file.with_name(f".{key_file.name}.{os.urandom(8).hex()}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(os.urandom(KEY_BYTES).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        _publish(aside, key_file)
    finally:
        aside.unlink(missing_ok=True)
    log.info("a new key for the cache was made in a file")


def _publish(aside: Path, key_file: Path) -> None:
    """Give the finished file its name, unless another process was first: a link never replaces."""
    try:
        key_file.hardlink_to(aside)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        if not key_file.exists():
            aside.replace(key_file)


def _read_private(key_file: Path) -> str:
    handle = os.open(key_file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(handle, encoding="ascii") as file:
        mode = os.fstat(file.fileno()).st_mode
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise CacheError(f"Other users can read the key file of the cache; run chmod 600 {key_file}")
        return file.read(1024)
