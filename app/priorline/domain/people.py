"""Whether the rows that match one number describe one person or several."""

from datetime import date

from priorline.domain.identity import known_sex
from priorline.domain.patient import Patient, names_agree

NAMES_MAX = 16
"""More names than this under one number are several people, whoever they are."""


class People:
    """What the rows that match say about the person: more than one answer means more than one person.

    A context that is a bare number matches everybody who has it; the rows themselves then tell people apart.
    """

    def __init__(self) -> None:
        self.several = False
        self._birth_dates: set[date] = set()
        self._sexes: set[str] = set()
        self._names: set[str] = set()

    def add(self, patient: Patient) -> None:
        """Take one more description."""
        if patient.birth_date is not None:
            self._birth_dates.add(patient.birth_date)
        self._sexes.update(known_sex(patient))
        if not self.several and patient.name not in self._names:
            self.several = any(names_agree(patient.name, name) is False for name in self._names)
            self._names.add(patient.name)
        crowded = len(self._names) > NAMES_MAX
        self.several = self.several or crowded or len(self._birth_dates) > 1 or len(self._sexes) > 1
