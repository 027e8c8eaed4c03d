"""What an hour of an accelerator costs: said on the command line, or in a table of prices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from pydantic import Field, ValidationError

from xstilts.errors import Problem, UserError
from xstilts.estimate.hardware import Accelerator
from xstilts.model import Model
from xstilts.spec.document import parse_document
from xstilts.spec.reading import read_text

_PRICE = re.compile(r"(?P<number>\d{1,9}(\.\d{1,9})?)( ?(?P<currency>[A-Za-z]{1,8}|[€$£¥]))?")


class PriceTable(Model):
    """A file of prices: `currency: EUR`, `perHour: {A100: "1.80", H100: "2.90"}`. Numbers with a fraction are quoted."""

    currency: str = Field(min_length=1, max_length=8)
    per_hour: dict[str, str | int] = Field(min_length=1)


@dataclass(frozen=True)
class Price:
    """So much an hour of one GPU; on a CPU, of the machine."""

    per_hour: Decimal
    currency: str = ""


def parse_price(text: str) -> Price:
    """A price such as `1.80`, `1.80 EUR` or `2 USD`.

    Raises:
        UserError: it is none.
    """
    match = _PRICE.fullmatch(text.strip())
    if match is None:
        raise UserError(
            Problem("--price", f"must be a number, and a currency if you like (`1.80 EUR`), was {text!r}")
        )
    return Price(Decimal(match["number"]), match["currency"] or "")


def read_price(file: Path, accelerator: Accelerator) -> Price:
    """The price of an accelerator in a table.

    Raises:
        UserError: the file is no table of prices, or has none of this accelerator.
    """
    text = read_text(file)
    try:
        table = PriceTable.model_validate(parse_document(text, str(file)).value)
    except ValidationError as error:
        problems = [
            Problem(f"{file}: {'.'.join(map(str, one['loc']))}", f"{one['msg']}, was {one['input']!r}")
            for one in error.errors()
        ]
        raise UserError(*problems) from None
    prices = {name.upper(): value for name, value in table.per_hour.items()}
    if accelerator.name not in prices:
        known = ", ".join(sorted(prices))
        problem = f"must have a price of {accelerator.name}, has {known}; add it, or use --price"
        raise UserError(Problem(f"{file}: perHour", problem))
    value = str(prices[accelerator.name])
    if _PRICE.fullmatch(value) is None or not value[-1].isdigit():
        raise UserError(
            Problem(f"{file}: perHour.{accelerator.name}", f'must be a number such as "1.80", was {value!r}')
        )
    return Price(Decimal(value), table.currency)
