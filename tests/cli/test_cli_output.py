"""What commands print stays on its line, whatever a hospital wrote."""

import json
from decimal import Decimal

import pytest

from priorline.cli.output import plain_line, print_json, say, show_table


@pytest.mark.parametrize("foreign", ["X-thorax\x1b[2J", "X-thorax\r\nDx: none", "X\u202ereversed", "X\x00\x07"])
def test_foreign_text_moves_no_terminal(foreign: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("study",), [(foreign,)])
    say(foreign)
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2
    assert len(printed.err.splitlines()) == 1
    for text in (printed.out, printed.err):
        assert all(char.isprintable() for char in text.replace("\n", ""))
    assert plain_line("Müller, Łukasz 王") == "Müller, Łukasz 王"


def test_markup_in_foreign_text_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("study",), [("[red]X[/red] :smile: [link=file:///etc/passwd]a[/link]",)])
    assert "[red]X[/red] :smile: [link=file:///etc/passwd]a[/link]" in capsys.readouterr().out


def test_json_is_one_document_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "Müller", "share": Decimal("0.5"), "studies": []})
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"name": "Müller", "share": "0.5", "studies": []}
    assert printed.err == ""
