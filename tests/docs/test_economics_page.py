"""The Python of docs/economics.md runs, and its records are what is recorded. Its commands run in tests/cli/test_docs.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from openclaw.budget import Prices

PAGE = (Path(__file__).parents[2] / "docs" / "economics.md").read_text()


def test_the_python_of_the_page_says_what_it_says() -> None:
    known: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)\n```", PAGE, re.DOTALL):
        exec(block, known)
    prices = Prices(known["prices"])
    assert prices.cost_microusd("gpt-4o", "azure", 1_000_000, 0) == 2_750_000
    assert prices.cost_microusd("gpt-4o", "openai", 1_000_000, 0, cached_tokens=1_000_000) == 1_250_000
    assert prices.cost_microusd("llama-on-our-own-machines", "", 1_000_000, 0) == 0
    assert example("energy") == unversioned(known["energy"].estimate("gpt-4o", "openai", 100, 2.0))


def test_the_price_in_the_record_is_the_one_of_the_page() -> None:
    assert example("price") == unversioned(Prices().source("gpt-4o", "openai"))


def example(name: str) -> dict[str, Any]:
    [found] = re.findall(rf'`"{name}": (\{{"source": "[a-z-]+ [^`]*\}})`', PAGE)
    return unversioned(json.loads(found.replace("\n", " ")))


def unversioned(record: Any) -> dict[str, Any]:
    return {**record, "source": record["source"].split()[0]}
