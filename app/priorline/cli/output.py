"""What commands print: one JSON document for scripts, tables and sentences for people."""

import sys
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

OK, NOTHING, WRONG_USE, PARTLY = 0, 1, 2, 3


def print_json(document: Any) -> None:
    """One document on standard output."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
    sys.stdout.flush()


def say(sentence: str) -> None:
    """A message for people, on standard error."""
    print(plain_line(sentence), file=sys.stderr)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on standard output; foreign text in it is printed as it is, never as markup."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(plain_line(str(cell)) for cell in row))
    Console(markup=False, highlight=False, emoji=False, soft_wrap=not sys.stdout.isatty()).print(table)


def plain_line(text: str) -> str:
    """Foreign text on one line, without control characters that move a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
