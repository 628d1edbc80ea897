"""Energy and CO2e are ranges in whole numbers with their source; what is not known has no number."""

from __future__ import annotations

import importlib.metadata
import logging
import sys

import pytest

from openclaw.budget import Energy
from openclaw.errors import ConfigurationError

SOURCE = f"ecologits {importlib.metadata.version('ecologits')}"


def test_an_estimate_is_a_range_with_its_source() -> None:
    found = Energy().estimate("gpt-4o", "openai", 100, 2.0)
    assert (found["source"], found["zone"]) == (SOURCE, "USA")
    for name in ("mwh", "co2e_mg"):
        least, most = found[name]
        assert isinstance(least, int)
        assert isinstance(most, int)
        assert 0 < least < most
    assert "model-arch-not-released" in found["notes"]


def test_more_tokens_take_more_energy_and_another_zone_gives_off_other_amounts() -> None:
    little, much = (Energy(zone="WOR").estimate("gpt-4o", "openai", tokens, 10.0) for tokens in (10, 1_000))
    assert little["mwh"][0] < much["mwh"][0]
    sweden = Energy(zone="SWE").estimate("gpt-4o", "openai", 1_000, 10.0)
    assert sweden["zone"] == "SWE"
    assert sweden["co2e_mg"][1] < much["co2e_mg"][0]


def test_the_names_that_langchain_has_are_known() -> None:
    assert "mwh" in Energy().estimate("mistral-small-latest", "mistral", 10, 1.0)


@pytest.mark.parametrize(
    ("model", "provider", "why"),
    [
        ("no-such-model-9", "openai", "model-not-registered"),
        ("gpt-4o", "some-proxy", "provider-not-registered"),
        ("gpt-4o", "", "provider-not-registered"),
    ],
)
def test_what_is_unknown_stays_unknown(model: str, provider: str, why: str) -> None:
    assert Energy().estimate(model, provider, 100, 2.0) == {"source": SOURCE, "unknown": why}


def test_a_zone_that_there_is_not_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="no electricity mix of `XXX`"):
        Energy(zone="XXX")


def test_without_the_extra_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "ecologits"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ecologits", None)
    with pytest.raises(ConfigurationError, match="not installed") as caught:
        Energy()
    assert caught.value.hint == "pip install 'openclaw-governance[energy]'"


def test_loggers_of_the_process_stay_what_they_were() -> None:
    Energy()
    assert logging.getLoggerClass() is logging.Logger
