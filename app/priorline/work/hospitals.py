"""From settings to archives, and from a patient to the number that each hospital is asked for."""

from dataclasses import dataclass, replace

from priorline.archives.base import Archive, DicomPeer, Timeouts
from priorline.archives.dicom import DicomArchive
from priorline.config import HospitalSettings, Settings
from priorline.domain.patient import Identifier, Patient


@dataclass(frozen=True, slots=True)
class Hospital:
    """One hospital: its settings, and its archive where this version can talk to it; else `why_not` says why."""

    settings: HospitalSettings
    archive: Archive | None
    why_not: str = ""

    @property
    def name(self) -> str:
        """What the user sees."""
        return self.settings.name

    def asked_as(self, patient: Patient) -> Patient | None:
        """`patient` under the number that this hospital knows, or None where no such number is known.

        A configured local number wins; otherwise the number is asked only where the hospital uses the same issuer,
        because an equal number of another issuer is another person. A number without an issuer is asked as it is;
        what comes back under an issuer then needs name and birth date too.
        """
        local = self.settings.patient_id.get(patient.identifier.value)
        issuer = self.settings.patient_id_issuer
        if local is not None:
            return replace(patient, identifier=Identifier(local, issuer))
        if issuer and patient.identifier.issuer and issuer != patient.identifier.issuer:
            return None
        return patient


def build_hospitals(settings: Settings) -> tuple[Hospital, ...]:
    """All configured hospitals, in the order of the file."""
    own_title = settings.workstation.ae_title
    return tuple(_hospital(hospital, own_title) for hospital in settings.hospital)


def local_numbers(hospitals: tuple[Hospital, ...], patient: Patient) -> dict[str, Identifier]:
    """The identifier under which each hospital is asked for `patient`."""
    asked = {hospital.name: hospital.asked_as(patient) for hospital in hospitals}
    return {name: local.identifier for name, local in asked.items() if local is not None}


def _hospital(settings: HospitalSettings, own_title: str) -> Hospital:
    if settings.protocol != "dicom":
        return Hospital(settings, None, f'Protocol "{settings.protocol}" is not spoken by this version.')
    if settings.tls.ca or settings.tls.certificate:
        # Never in clear what was meant to be encrypted.
        return Hospital(settings, None, "TLS is not spoken by this version; nothing was sent.")
    return Hospital(settings, _archive(settings, own_title))


def _archive(settings: HospitalSettings, own_title: str) -> Archive:
    return DicomArchive(
        DicomPeer(
            name=settings.name,
            ae_title=settings.ae_title,
            host=settings.host,
            port=settings.port,
            calling_ae_title=own_title,
            associations=settings.associations,
            timeouts=_timeouts(settings),
            patient_id_issuer=settings.patient_id_issuer,
            retrieve=settings.retrieve,
        )
    )


def _timeouts(settings: HospitalSettings) -> Timeouts:
    """The configured deadlines; those that are not follow from the one timeout."""
    seconds, chosen = settings.timeout, settings.deadlines
    return Timeouts(
        connect=chosen.connect or min(5.0, seconds),
        acse=chosen.association or seconds,
        progress=chosen.progress or seconds,
        query=chosen.query or max(30.0, 3 * seconds),
    )
