"""From settings to archives, and from a patient to the number that each hospital is asked for."""

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from priorline.archives.base import Archive, DicomPeer, SecurityAlert, Timeouts
from priorline.archives.dicom import DicomArchive
from priorline.archives.dicom_store import DicomStorage
from priorline.archives.dicomweb import DicomWebArchive
from priorline.archives.dicomweb_peer import DicomWebPeer
from priorline.archives.folder import Folder, FolderArchive
from priorline.archives.storage_scp import StorageScp
from priorline.archives.tls import client_context
from priorline.audit.trail import AuditEvent, AuditTrail
from priorline.config import HospitalSettings, Settings, Workstation
from priorline.domain.patient import Identifier, Patient
from priorline.errors import ConfigError


class NumberLookup(Protocol):
    """Says under which number a hospital knows a patient, such as the configuration, or a service like IHE PIXm."""

    def number_at(self, hospital: HospitalSettings, patient: Patient) -> Identifier | None:
        """The hospital's own number with its issuer, or None where the lookup does not know it."""


class ConfiguredNumbers:
    """The `patient_id` table of a hospital: our number, best with its issuer ("12345^^^ISSUER"), to its number."""

    def number_at(self, hospital: HospitalSettings, patient: Patient) -> Identifier | None:
        """As `NumberLookup`; an entry with the issuer goes before one of the bare number."""
        ours, known = patient.identifier, hospital.patient_id
        local = known.get(f"{ours.value}^^^{ours.issuer}", known.get(ours.value))
        return None if local is None else Identifier(local, hospital.patient_id_issuer)


CONFIGURED = ConfiguredNumbers()


@dataclass(frozen=True, slots=True)
class Hospital:
    """One hospital: its settings, and its archive where this version can talk to it; else `why_not` says why.

    `storage` writes into it: there is one for an archive of our own department and for no other, so that nothing can
    be written into a hospital's. Such an archive keeps what the `others` sent, under their numbers.
    """

    settings: HospitalSettings
    archive: Archive | None
    why_not: str = ""
    numbers: NumberLookup = CONFIGURED
    storage: DicomStorage | None = None
    others: tuple["Hospital", ...] = ()

    @property
    def name(self) -> str:
        """What the user sees."""
        return self.settings.name

    @property
    def encrypted(self) -> bool:
        """Whether nothing passes between us in clear; a folder, to which nothing passes, is not encrypted."""
        return self.settings.encrypted

    def asked_as(self, patient: Patient) -> Patient | None:
        """`patient` under the number that this hospital knows, or None where no such number is known.

        A number that the lookup knows wins; otherwise ours is asked only where the hospital uses the same issuer,
        because an equal number of another issuer is another person. A number without an issuer is asked as it is;
        what comes back under an issuer then needs name and birth date too.
        """
        local = self.numbers.number_at(self.settings, patient)
        issuer = self.settings.patient_id_issuer
        if local is not None:
            return replace(patient, identifier=local)
        if issuer and patient.identifier.issuer and issuer != patient.identifier.issuer:
            return None
        return patient

    def asked_under(self, patient: Patient) -> tuple[Patient, ...]:
        """`patient` under every number to ask for here, each once: one, or those of all who sent here."""
        asked = (hospital.asked_as(patient) for hospital in (self, *self.others))
        return tuple({one.identifier.value: one for one in asked if one is not None}.values())

    @property
    def is_department(self) -> bool:
        """Whether it is our own department's archive."""
        return self.settings.role == "department"


def build_hospitals(settings: Settings, trail: AuditTrail | None = None) -> tuple[Hospital, ...]:
    """All configured hospitals, in the order of the file; what is refused while they send to us goes to the `trail`.

    Without a trail they cannot send to us.
    """
    scp = None if trail is None else _storage_scp(settings.workstation, trail)
    built = tuple(_hospital(hospital, settings.workstation.ae_title, scp) for hospital in settings.hospital)
    origins = tuple(one for one in built if not one.is_department)
    return tuple(replace(one, others=origins) if one.is_department else one for one in built)


def local_numbers(hospitals: tuple[Hospital, ...], patient: Patient) -> dict[str, Identifier]:
    """The identifier under which each hospital is asked for `patient`."""
    asked = {hospital.name: hospital.asked_as(patient) for hospital in hospitals}
    return {name: local.identifier for name, local in asked.items() if local is not None}


def _storage_scp(ours: Workstation, trail: AuditTrail) -> StorageScp:
    def on_alert(alert: SecurityAlert) -> None:
        facts = asdict(alert)
        trail.record(AuditEvent.SECURITY_ALERT, study=facts.pop("study_uid"), **facts)

    return StorageScp(ours.ae_title, ours.port, start_thread, on_alert, ours.address)


def start_thread(run: Callable[[], None]) -> Callable[[float], None]:
    """Run in a thread of its own; what comes back waits for its end, for so many seconds at most.

    It dies with the process: an archive that hangs must not keep it.
    """
    thread = threading.Thread(target=run, name="archive", daemon=True)
    thread.start()
    return thread.join


def _hospital(settings: HospitalSettings, own_title: str, scp: StorageScp | None) -> Hospital:
    if settings.protocol == "folder":
        return Hospital(settings, _folder_archive(settings))
    try:
        if settings.protocol == "dicomweb":
            return Hospital(settings, _web_archive(settings))
        peer = _peer(settings, own_title)
        storage = DicomStorage(peer) if settings.role == "department" else None
        return Hospital(settings, DicomArchive(peer, scp), storage=storage)
    except ConfigError as problem:
        # Never in clear what was meant to be encrypted.
        return Hospital(settings, None, str(problem))


def _folder_archive(settings: HospitalSettings) -> Archive:
    return FolderArchive(
        Folder(
            name=settings.name,
            directory=Path(settings.directory).expanduser(),
            patient_id_issuer=settings.patient_id_issuer,
            timeouts=_timeouts(settings),
        ),
        start_thread,
    )


def _web_archive(settings: HospitalSettings) -> Archive:
    """Raises ConfigError as `_peer`; without `tls`, the authorities that the computer trusts count."""
    return DicomWebArchive(
        DicomWebPeer(
            name=settings.name,
            url=settings.url,
            timeouts=_timeouts(settings),
            patient_id_issuer=_issuer(settings),
            token_file=Path(settings.token_file).expanduser() if settings.token_file else None,
            tls=client_context(settings.tls, public=True) if settings.encrypted else None,
        )
    )


def _peer(settings: HospitalSettings, own_title: str) -> DicomPeer:
    """Raises ConfigError where TLS is configured by what cannot be used."""
    return DicomPeer(
        name=settings.name,
        ae_title=settings.ae_title,
        host=settings.host,
        port=settings.port,
        calling_ae_title=own_title,
        associations=settings.associations,
        timeouts=_timeouts(settings),
        patient_id_issuer=_issuer(settings),
        retrieve=settings.retrieve,
        tls=client_context(settings.tls) if settings.tls.wanted else None,
        sends_as=settings.sends_as,
        sends_from=settings.sends_from,
    )


def _issuer(settings: HospitalSettings) -> str:
    """Who issued numbers that come without saying so: a department's archive has those of many, so nobody knows."""
    return "" if settings.role == "department" else settings.patient_id_issuer


def _timeouts(settings: HospitalSettings) -> Timeouts:
    """The configured deadlines; those that are not follow from the one timeout."""
    seconds, chosen = settings.timeout, settings.deadlines
    return Timeouts(
        connect=chosen.connect or min(5.0, seconds),
        acse=chosen.association or seconds,
        progress=chosen.progress or seconds,
        query=chosen.query or max(30.0, 3 * seconds),
    )
