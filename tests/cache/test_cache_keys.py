import hmac
import stat
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringLocked

from priorline.cache.keys import load_master_key
from priorline.cache.vault import Vault
from priorline.errors import CacheError


class MemoryKeyring(KeyringBackend):
    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("locked")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password


@pytest.fixture
def no_keyring() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]
    yield
    keyring.set_keyring(before)


@pytest.fixture
def memory_keyring() -> Iterator[MemoryKeyring]:
    before, backend = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


@pytest.mark.usefixtures("no_keyring")
def test_auto_without_a_keyring_keeps_one_private_file(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "cache.key"
    first = load_master_key("auto", file)
    assert first.kept_in == "file"
    assert load_master_key("file", file) == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["cache.key"]


def test_auto_takes_the_keyring_where_there_is_one(tmp_path: Path, memory_keyring: MemoryKeyring) -> None:
    first = load_master_key("auto", tmp_path / "key")
    assert first.kept_in == "keyring"
    assert load_master_key("keyring", tmp_path / "key") == first
    assert len(first.secret) == 32
    assert not (tmp_path / "key").exists()
    assert len(memory_keyring.entries) == 1


@pytest.mark.usefixtures("memory_keyring")
def test_auto_stays_with_the_file_a_cache_was_sealed_with(tmp_path: Path) -> None:
    first = load_master_key("file", tmp_path / "key")
    assert load_master_key("auto", tmp_path / "key") == first


def test_a_locked_keyring_is_a_typed_fault_and_makes_no_second_key(
    tmp_path: Path, memory_keyring: MemoryKeyring
) -> None:
    memory_keyring.locked = True
    for mode in ("auto", "keyring"):
        with pytest.raises(CacheError, match="unlock"):
            load_master_key(mode, tmp_path / "key")
    assert not (tmp_path / "key").exists()


@pytest.mark.usefixtures("no_keyring")
def test_mode_keyring_without_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="no keyring"):
        load_master_key("keyring", tmp_path / "key")


def test_every_session_has_its_own_key(tmp_path: Path) -> None:
    one, two = (load_master_key("session", tmp_path / "key") for _ in range(2))
    assert one.secret != two.secret
    assert list(tmp_path.iterdir()) == []


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    load_master_key("file", file)
    file.chmod(0o640)
    with pytest.raises(CacheError, match="chmod 600"):
        load_master_key("file", file)


@pytest.mark.parametrize("content", ["", "00", "no key at all", "ä" * 40])
def test_a_spoilt_key_file_is_a_typed_fault(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key"
    file.write_text(content, encoding="utf-8")
    file.chmod(0o600)
    with pytest.raises(CacheError):
        load_master_key("file", file)


def test_the_key_does_not_show_in_its_representation(tmp_path: Path) -> None:
    key = load_master_key("session", tmp_path)
    assert key.secret.hex() not in repr(key)
    assert repr(key.secret) not in repr(key)
    assert len({key.secret, key.lookup_key, key.wrapping_key}) == 3


@pytest.mark.parametrize("is_encrypted", [True, False])
def test_codes_and_tickets_are_made_as_in_every_cache_before(tmp_path: Path, is_encrypted: bool) -> None:
    key = load_master_key("session", tmp_path / "no.key") if is_encrypted else None
    vault, lookup = Vault(key), key.lookup_key if key else b"not encrypted"
    for _ in range(2):
        for uid in ("1.2", "1.3"):
            code = hmac.digest(lookup, b"instance\0" + uid.encode(), "sha256")
            assert vault.code("instance", uid) == code[:16]
            tag = AESGCM(hmac.digest(lookup, b"hash of contents", "sha256")).encrypt(bytes(12), b"", uid.encode())
            assert vault.digest(uid.encode()) == hmac.digest(lookup, b"content" + tag, "sha256")[:16]
    study_key, study, handle = bytes(range(32)), "01" * 16, "02" * 16
    ticket = hmac.digest(study_key, b"object" + b"\1" * 16 + b"\2" * 16, "sha256")
    assert vault.ticket_key(study_key, study, handle) == (ticket if is_encrypted else b"")
