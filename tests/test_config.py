"""The configuration: layers, and errors that name file, key and what is allowed there."""

import contextlib
from datetime import time
from pathlib import Path

import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from priorline.config import Settings, load, parse, parse_age, parse_size, site_file, sources, user_file
from priorline.errors import ConfigError

FOLDER = '[[hospital]]\nname = "A"\nprotocol = "folder"\ndirectory = "/cd"\n'
HOSPITAL_KEYS = (
    "allowed are name, protocol, ae_title, host, port, url, directory, retrieve, sends_as, sends_from, "
    "associations, timeout, patient_id_issuer, patient_id, tls, role"
)
WRONG = [
    # Unknown keys, in each section.
    ("colour = 1", 'unknown key "colour"; allowed are workstation, cache, hospital'),
    (
        "[workstation]\naetitle = 'X'",
        'unknown key "workstation.aetitle"; allowed are ae_title, port, address, language',
    ),
    (
        "[cache]\nsize = 1",
        'unknown key "cache.size"; allowed are directory, max_size, max_age, min_free, encrypt, key',
    ),
    (FOLDER + "ip = 1", f'unknown key "hospital "A".ip"; {HOSPITAL_KEYS}'),
    ("[[hospital]]\nip = 1", f'unknown key "hospital number 1.ip"; {HOSPITAL_KEYS}'),
    (
        FOLDER + "tls = { file = '' }",
        'unknown key "hospital "A".tls.file"; allowed are ca, certificate, key, pins, crl',
    ),
    # A choice of words lists them all.
    ("[workstation]\nlanguage = 'fr'", 'workstation.language: allowed are "en", "nl", ""'),
    ("[cache]\nkey = 'x'", 'cache.key: allowed are "auto", "keyring", "file", "session"'),
    ("[cache]\nkey = 1", 'cache.key: allowed are "auto", "keyring", "file", "session"'),
    (
        "[[hospital]]\nname = 'A'\nprotocol = 'ftp'",
        'hospital "A".protocol: allowed are "dicom", "dicomweb", "folder"',
    ),
    (FOLDER + "retrieve = 'get'", 'hospital "A".retrieve: allowed are "auto", "c-get", "c-move"'),
    (FOLDER + "role = 'x'", 'hospital "A".role: allowed are "hospital", "department"'),
    # Wrong types and ranges.
    ("[workstation]\nport = 65536", "workstation.port: allowed is a whole number from 0 to 65535"),
    ("[workstation]\nport = -1", "workstation.port: allowed is a whole number from 0 to 65535"),
    ("[workstation]\nport = '104'", "workstation.port: allowed is a whole number from 0 to 65535"),
    ("[workstation]\nport = true", "workstation.port: allowed is a whole number from 0 to 65535"),
    (FOLDER + "port = 70000", 'hospital "A".port: allowed is a whole number from 0 to 65535'),
    (FOLDER + "associations = 0", 'hospital "A".associations: allowed is a whole number from 1 to 32'),
    (FOLDER + "timeout = 0", 'hospital "A".timeout: allowed is a number of seconds above 0, at most 600'),
    (FOLDER + "timeout = nan", 'hospital "A".timeout: allowed is a number of seconds above 0, at most 600'),
    (FOLDER + "timeout = inf", 'hospital "A".timeout: allowed is a number of seconds above 0, at most 600'),
    ("[workstation]\nae_title = ''", "workstation.ae_title: allowed is 1 to 16 ASCII characters without a backslash"),
    ("[workstation]\nae_title = '   '", "workstation.ae_title: allowed is 1 to 16 ASCII characters"),
    ("[workstation]\nae_title = 'ZIEKENHUIS-WEST-1'", "workstation.ae_title: allowed is 1 to 16 ASCII characters"),
    ("[workstation]\nae_title = 'A\\B'", "workstation.ae_title: allowed is 1 to 16 ASCII characters"),
    (FOLDER + "ae_title = 'É'", 'hospital "A".ae_title: allowed is 1 to 16 ASCII characters'),
    ("[workstation]\naddress = 'pacs'", 'workstation.address: allowed is an IP address like "10.1.2.3"'),
    (FOLDER + "sends_as = 'A'", 'hospital "A".sends_as: allowed is a list of AE titles in quotes'),
    (FOLDER + "sends_as = ['']", 'hospital "A".sends_as[0]: allowed is a list of AE titles in quotes'),
    (
        FOLDER + "sends_from = [1]",
        'hospital "A".sends_from[0]: allowed is a list of host names or IP addresses in quotes',
    ),
    (FOLDER + "prefetch = 1", 'hospital "A".prefetch: allowed is a table with studies, size, hours'),
    (
        FOLDER + "prefetch = { study = 1 }",
        'unknown key "hospital "A".prefetch.study"; allowed are studies, size, hours',
    ),
    (FOLDER + "prefetch = { studies = 21 }", 'hospital "A".prefetch.studies: allowed is a whole number from 0 to 20'),
    (FOLDER + "prefetch = { size = '1 lot' }", 'hospital "A".prefetch.size: "1 lot" is not a size like "20 GB"'),
    (
        FOLDER + "prefetch = { hours = '7-22' }",
        'hospital "A".prefetch.hours: allowed is a span of the day like "07:00-22:00", or "" for always',
    ),
    (FOLDER + "prefetch = { hours = '07:00-24:00' }", 'hospital "A".prefetch.hours: allowed is a span of the day'),
    ("[cache]\nencrypt = 'yes'", "cache.encrypt: allowed is true or false"),
    ("[cache]\ndirectory = 1", "cache.directory: allowed is text in quotes"),
    ("[cache]\nmax_size = 20", "cache.max_size: allowed is text in quotes"),
    ("[cache]\nmax_size = 'much'", 'cache.max_size: "much" is not a size like "20 GB" (B, KB, MB, GB or TB)'),
    ("[cache]\nmin_free = '5 GiB'", 'cache.min_free: "5 GiB" is not a size'),
    (f"[cache]\nmax_size = '{'9' * 400}'", "cache.max_size: "),
    (
        "[cache]\nmax_age = '1 month'",
        'cache.max_age: "1 month" is not an age like "30 d" (s, m, h, d or w; at most 100',
    ),
    ("[cache]\nmax_age = '99999999 d'", 'cache.max_age: "99999999 d" is not an age'),
    ("cache = 1", "cache: allowed is a table with directory, max_size"),
    (FOLDER + "tls = 1", 'hospital "A".tls: allowed is a table with ca, certificate, key'),
    (FOLDER + "tls = { pins = 'x' }", 'hospital "A".tls.pins: allowed is a list, each the SHA-256 of a public key'),
    (FOLDER + "tls = { pins = ['x'] }", 'hospital "A".tls.pins[0]: allowed is the SHA-256 of a public key in base64'),
    (
        "[[hospital]]\nname = 'A'\nprotocol = 'dicomweb'\nurl = 'http://x'\ntls = { ca = 'x' }",
        'hospital "A".url: has to begin with https://, because tls is configured',
    ),
    (FOLDER + "patient_id = 1", 'hospital "A".patient_id: allowed is a table of texts in quotes'),
    (FOLDER + "patient_id = { '999990007' = 1 }", 'hospital "A".patient_id: allowed is a table of texts in quotes'),
    ("hospital = 1", "hospital: allowed is one [[hospital]] table for each hospital"),
    ("[hospital]\nname = 'A'", "hospital: allowed is one [[hospital]] table for each hospital"),
    ("hospital = [1]", "hospital number 1: allowed is a table with name, protocol"),
    # What a hospital needs.
    ("[[hospital]]\nhost = 'x'", "hospital number 1.name: missing; allowed is text that is not empty"),
    ("[[hospital]]\nname = ' '", "hospital number 1.name: allowed is text that is not empty"),
    (FOLDER + "[[hospital]]\nname = 1", "hospital number 2.name: allowed is text that is not empty"),
    ("[[hospital]]\nname = 'A'\nport = 104", 'hospital "A": protocol "dicom" needs ae_title and host'),
    ("[[hospital]]\nname = 'A'\nprotocol = 'dicomweb'", 'hospital "A": protocol "dicomweb" needs url'),
    ("[[hospital]]\nname = 'A'\nprotocol = 'folder'", 'hospital "A": protocol "folder" needs directory'),
    (
        "[[hospital]]\nname = 'A'\nae_title = 'A'\nhost = 'x'\nport = 104\ndirectory = '/cd'",
        'hospital "A".directory: belongs to protocol "folder"',
    ),
    (
        "[[hospital]]\nname = 'A'\nprotocol = 'dicomweb'\nurl = 'https://x'\ndirectory = '/cd'",
        'hospital "A".directory: belongs to protocol "folder"',
    ),
    (
        "[[hospital]]\nname = 'A'\nprotocol = 'dicomweb'\nurl = 'pacs'",
        'hospital "A".url: has to begin with https:// or http://',
    ),
    (FOLDER + FOLDER, 'hospital.name: "A" stands twice; names have to be unique'),
    (FOLDER + FOLDER.replace('"A"', '"a "'), 'hospital.name: "a " stands twice; names have to be unique'),
    # Not TOML at all.
    ("[workstation", "not valid TOML: "),
    ("port = 1\nport = 2", "not valid TOML: "),
]


@pytest.mark.parametrize(("text", "told"), WRONG, ids=[told[:60] for _text, told in WRONG])
def test_an_error_names_file_key_and_what_is_allowed(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "my settings.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: {told}")
    assert "`" not in str(caught.value)
    assert "999990007" not in str(caught.value)


def test_the_configuration_of_the_contract() -> None:
    settings = parse(
        """
        [workstation]
        ae_title = "PRIORLINE"
        port = 0
        language = "nl"
        [cache]
        max_size = "500 MB"
        key = "session"
        [[hospital]]
        name = "St. Elisabeth"
        protocol = "dicom"
        ae_title = "H1"
        host = "127.0.0.1"
        port = 4242
        timeout = 2.5
        patient_id = { "12345" = "A-77" }
        tls = { ca = "ca.pem" }
        role = "department"
        [[hospital]]
        name = "UMC West"
        protocol = "dicomweb"
        url = "https://pacs.example/dicom-web"
        """,
        "contract",
    )
    first, second = settings.hospital
    assert (settings.workstation.port, settings.workstation.language) == (0, "nl")
    assert (settings.cache.max_size, settings.cache.max_age, settings.cache.encrypt) == ("500 MB", "30 d", True)
    assert (first.timeout, first.patient_id, first.tls.ca, first.role) == (
        2.5,
        {"12345": "A-77"},
        "ca.pem",
        "department",
    )
    assert (first.retrieve, first.associations) == ("auto", 4)
    assert (second.protocol, second.url, second.timeout) == ("dicomweb", "https://pacs.example/dicom-web", 10)


@pytest.mark.parametrize(
    ("hours", "open_at", "shut_at"),
    [
        ("", ("00:00", "12:00", "23:59"), ()),
        ("07:00-22:00", ("07:00", "21:59"), ("06:59", "22:00", "00:00")),
        ("22:00-06:00", ("22:00", "23:59", "00:00", "05:59"), ("06:00", "21:59")),
        ("12:00-12:00", (), ("11:59", "12:00", "12:01")),
    ],
)
def test_the_hours_in_which_a_hospital_may_send_ahead(
    hours: str, open_at: tuple[str, ...], shut_at: tuple[str, ...]
) -> None:
    (hospital,) = parse(f"{FOLDER}prefetch = {{ hours = '{hours}' }}", "test").hospital
    assert all(hospital.prefetch.is_open(time.fromisoformat(at)) for at in open_at)
    assert not any(hospital.prefetch.is_open(time.fromisoformat(at)) for at in shut_at)


@pytest.mark.parametrize(
    ("table", "in_clear"),
    [
        ("ae_title = 'A'\nhost = '10.1.2.3'\nport = 104", True),
        ("ae_title = 'A'\nhost = '10.1.2.3'\nport = 104\ntls = { ca = 'x' }", False),
        ("ae_title = 'A'\nhost = '127.0.0.1'\nport = 104", False),
        ("ae_title = 'A'\nhost = 'LOCALHOST'\nport = 104", False),
        ("protocol = 'dicomweb'\nurl = 'http://pacs.example/web'", True),
        ("protocol = 'dicomweb'\nurl = 'https://pacs.example/web'", False),
        ("protocol = 'dicomweb'\nurl = 'http://[::1]:8080/web'", False),
        ("protocol = 'folder'\ndirectory = '/cd'", False),
    ],
)
def test_which_hospitals_are_read_along_on_the_network(table: str, in_clear: bool) -> None:
    (hospital,) = parse(f"[[hospital]]\nname = 'A'\n{table}", "test").hospital
    assert hospital.in_clear is in_clear


def test_nothing_configured_is_a_configuration() -> None:
    assert parse("", "nothing") == load() == Settings()


def test_a_file_from_a_windows_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "priorline.toml"
    path.write_bytes(b"\xef\xbb\xbf" + FOLDER.replace("\n", "\r\n").encode())
    assert load(path).hospital[0].name == "A"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read: No such file"):
        load(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b'[workstation]\nae_title = "\xe9"')
    with pytest.raises(ConfigError, match=r"latin\.toml: cannot be read: it is not UTF-8"):
        load(tmp_path / "latin.toml")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_the_user_s_file_wins_over_the_site_s_key_by_key() -> None:
    write(site_file(), FOLDER + "[workstation]\nae_title = 'SITE'\nport = 1\n[cache]\nmax_age = '7 d'")
    write(user_file(), "[workstation]\nport = 2\n")
    settings = load()
    assert sources() == (site_file(), user_file())
    assert (settings.workstation.ae_title, settings.workstation.port, settings.cache.max_age) == ("SITE", 2, "7 d")
    assert [hospital.name for hospital in settings.hospital] == ["A"]


def test_the_user_s_hospitals_replace_the_site_s() -> None:
    write(site_file(), FOLDER)
    write(user_file(), FOLDER.replace('"A"', '"B"'))
    assert [hospital.name for hospital in load().hospital] == ["B"]


def test_an_error_in_one_layer_names_that_file() -> None:
    write(site_file(), "[workstation]\nport = 1")
    write(user_file(), "[workstation]\nport = 'x'")
    with pytest.raises(ConfigError) as caught:
        load()
    assert str(caught.value).startswith(f"{user_file()}: workstation.port: ")


def test_a_chosen_file_stands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(site_file(), FOLDER)
    write(user_file(), "[workstation]\nport = 2")
    by_variable = write(tmp_path / "variable.toml", "[workstation]\nport = 3")
    by_option = write(tmp_path / "option.toml", "[workstation]\nport = 4")
    monkeypatch.setenv("PRIORLINE_CONFIG", str(by_variable))
    assert (load().workstation.port, load().hospital) == (3, ())
    assert load(by_option).workstation.port == 4
    assert sources(by_option) == (by_option,)


def test_an_empty_variable_chooses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    write(user_file(), "[workstation]\nport = 2")
    monkeypatch.setenv("PRIORLINE_CONFIG", "")
    assert load().workstation.port == 2


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse("", "").cache_directory == Path(platformdirs.user_cache_dir("priorline", False))
    assert parse("[cache]\ndirectory = '~/priors'", "").cache_directory == Path.home() / "priors"
    monkeypatch.setenv("PRIORLINE_CACHE_DIR", str(tmp_path))
    assert parse("[cache]\ndirectory = '~/priors'", "").cache_directory == tmp_path
    assert tmp_path not in parse("", "").state_directory.parents


@pytest.mark.parametrize(
    ("text", "size"), [("20 GB", 20 * 10**9), ("1.5 kb", 1500), ("0", 0), (" 7B ", 7), ("2TB", 2 * 10**12)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "age"), [("30 d", 2592000), ("1.5h", 5400), ("2 W", 1209600), ("90 s", 90), ("5m", 300)]
)
def test_ages(text: str, age: float) -> None:
    assert parse_age(text) == age


@given(st.text(max_size=20) | st.from_regex(r"[0-9٣.]{1,30} ?[a-zA-Z]{0,3}"))
def test_any_other_amount_is_a_value_error(text: str) -> None:
    for amount in (parse_size, parse_age):
        with contextlib.suppress(ValueError):
            assert 0 <= amount(text) <= 10**18
