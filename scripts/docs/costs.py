"""What the question of model size would take: the table of docs/explanation/model-size.md, from the estimate."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from docs.markdown import table
from xstilts.estimate import accelerator, estimate, parse_price
from xstilts.estimate.show import number
from xstilts.plan import plan
from xstilts.spec import load_experiment

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "explanation" / "model-size.md"
ON: Final = "A100"
PRICE: Final = "1.80 EUR"  # of an hour; the page names both
FILES: Final = ("mt5-size-xnli", "mt5-size-xnli-all", "xlmr-size-xnli")
_BEGIN, _END = "<!-- costs: made by scripts/reference.py -->\n", "<!-- end of costs -->\n"


def page() -> str:
    """The page, with its table as it must be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    return f"{before}{_BEGIN}\n{costs()}\n{_END}{rest.partition(_END)[2]}"


def costs() -> str:
    """The table: a file a row, as `xstilts plan` has it without a store."""
    price = parse_price(PRICE)
    titles = ("file", "GPU-hours, low", "likely", "high", f"{price.currency}, likely")
    return table(titles, map(_row, FILES))


def _row(name: str) -> tuple[str, ...]:
    experiment = load_experiment(ROOT / "examples" / f"{name}.yaml")
    found = estimate(plan(experiment), experiment.spec, accelerator(ON), price=parse_price(PRICE))
    hours = found.to_run()
    cost = found.cost(hours)
    if cost is None or found.unknown().keys() - {"unknown disk of wikipedia"}:
        raise ValueError(f"{name} must be estimated whole, lacks {', '.join(found.unknown())}")
    values = (hours.low, hours.likely, hours.high, cost.likely)
    return (f"[{name}.yaml](../../examples/{name}.yaml)", *map(number, values))
