"""The table of names, dates, sexes, numbers and issuers as hospitals really send them: tests/data/identity.csv."""

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from priorline.domain.identity import Identity
from priorline.domain.patient import Identifier, Patient

TABLE = Path(__file__).parent / "data" / "identity.csv"
BSN = "NLMINBIZA"


def person(name: str, born: str, sex: str, number: str, issuer: str = "NOORD", *others: Identifier) -> Patient:
    return Patient(Identifier(number, issuer), name, date.fromisoformat(born) if born else None, sex, others)


CONTEXTS = {
    "P": person("JANSEN^Piet^^van der", "1970-03-14", "M", "999990007", BSN),
    "Q": person("JANSEN^Piet^^van der", "1970-03-14", "M", "999990007", BSN, Identifier("40030", "NOORD")),
    "F": person("JANSEN^Piet^^^Jr", "1970-03-14", "M", "999990007", BSN),
    "K": person("", "", "", "999990007", BSN),
    "E": person("EIK^Joop", "1939-10-10", "M", "099999900", BSN),
    "D": person("JANSEN^Piet", "1970-03-14", "M", "999999999", BSN),
    "V": person("JANSEN^Piet", "1970-03-14", "M", "000000000", BSN),
    "X": person("JANSEN^Piet", "1970-03-14", "M", "*", BSN),
    "Z": person("JANSEN^Piet", "1970-03-14", "M", "999990007"),
    "A": person("DE VRIES-JANSEN^Anna Maria", "1982-11-05", "F", "40017"),
    "B": person("BRUIJN^Thijs^^de", "1955-07-30", "M", "40018"),
    "M": person("MÜLLER^Jürgen", "1961-01-09", "M", "40019"),
    "O": person("O'NEILL^Seán", "1990-06-21", "M", "40020"),
    "H": person("HOF^Els^^van 't", "1948-12-24", "F", "40021"),
    "J": person("VISSER^Jan-Willem", "1975-08-19", "M", "40022"),
    "Y": person("YILMAZ^Gülşen", "1988-02-29", "F", "40023"),
    "I": person("IJSSELSTEIN^Wim^^van", "1944-04-04", "M", "40024"),
    "T": person("TEN BRINK^Ria", "1960-06-06", "F", "40025"),
    "G": person("'S-GRAVESANDE^Kees", "1951-05-15", "M", "40026"),
    "S": person("SØRENSEN^Søren", "1977-07-07", "M", "40027"),
    "W": person("WAŁĘSA^Łukasz", "1985-05-05", "M", "40028"),
    "C": person("CÉLIE^André", "1966-06-16", "M", "40029"),
    "U": person("GROß^Ute", "1958-08-18", "F", "40031"),
    "N": person("Yamada^Tarou=山田^太郎=やまだ^たろう", "1992-09-09", "M", "40032"),
}


@dataclass(frozen=True)
class Row:
    truth: str
    want: Identity
    context: Patient
    candidate: Patient
    what: str


def read(line: str) -> Row:
    truth, want, letter, name, born, sex, number, issuer, others, what = line.split("|")
    context = CONTEXTS[letter]

    def given(cell: str, known: str) -> str:
        return known if cell == "." else "" if cell == "-" else cell

    known = context.birth_date.isoformat() if context.birth_date else ""
    identifier = Identifier(given(number, context.identifier.value), given(issuer, context.identifier.issuer))
    further = (Identifier(*one.rsplit("@", 1)) for one in others.split())
    candidate = Patient(identifier, given(name, context.name), None, given(sex, context.sex), tuple(further))
    day = given(born, known)
    birth_date = date.fromisoformat(day) if day.replace("-", "").isdecimal() else None
    return Row(truth, Identity(want), context, replace(candidate, birth_date=birth_date), what)


LINES = [line for line in TABLE.read_text("utf-8").splitlines() if line and not line.startswith(("#", "truth|"))]
ROWS = [read(line) for line in LINES]
