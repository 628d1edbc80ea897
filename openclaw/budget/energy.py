"""What model calls take of energy, and what they give off, estimated by ``ecologits``: ranges, with their source; offline.

An extra: ``pip install 'openclaw-governance[energy]'`` (MPL-2.0, used as it is, and never a part of this package). Its method
(https://ecologits.ai/latest/methodology/llm_inference/) goes by the size of the model, the tokens that it wrote and the time
that it took, at the data centre of the provider; for models whose size nobody has told, from the smallest to the largest that
it can be. Reading the input is not in it. A model or a provider that it does not know has no estimate: unknown is not 0.
"""

from __future__ import annotations

import importlib.metadata
import logging
import math
from typing import Any, cast

from pydantic import JsonValue

from openclaw.errors import ConfigurationError

MICRO = 1_000_000
"""Milliwatt-hours in a kilowatt-hour, and milligrams in a kilogram."""

FOREVER_SECONDS = 1e9
"""Longer than any call: the method takes the shorter one of the time that a call took and of that which its tokens need."""

PROVIDERS = {
    "google_vertexai": "google_genai",
    "huggingface": "huggingface_hub",
    "mistral": "mistralai",
}
"""Names that LangChain has for providers, where ``ecologits`` has others."""


class Energy:
    """Estimates energy and CO2e of model calls.

    Args:
        zone: where the electricity comes from, as ISO 3166-1 alpha-3 (``"DEU"``), or ``"WOR"`` for the world's mean. None: where
            the provider's data centres are, as far as ``ecologits`` knows.

    Raises:
        ConfigurationError: the extra is not installed, or there is no such zone.
    """

    def __init__(self, *, zone: str | None = None) -> None:
        loggers = logging.getLoggerClass()
        try:
            from ecologits.electricity_mix_repository import electricity_mixes
            from ecologits.tracers import utils
        except ImportError as error:
            raise ConfigurationError(
                "energy is estimated by `ecologits`, which is not installed",
                hint="pip install 'openclaw-governance[energy]'",
            ) from error
        finally:
            logging.setLoggerClass(loggers)  # it makes a class of its own that of every logger in the process
        if zone is not None and electricity_mixes.find_electricity_mix(zone=zone) is None:
            raise ConfigurationError(
                f"there is no electricity mix of `{zone}`", hint='name a country as ISO 3166-1 alpha-3, "DEU", or "WOR"'
            )
        # It warns of every model once, on stderr; the same stands in each record, as notes.
        logging.getLogger("ecologits").setLevel(logging.ERROR)
        self._utils = cast("Any", utils)
        self._zone = zone
        self.source = f"ecologits {importlib.metadata.version('ecologits')}"

    def most_mwh(self, model: str, provider: str, output_tokens: int) -> int | None:
        """The most milliwatt-hours that a call which writes so much may take, however long; None where that is unknown."""
        match self.estimate(model, provider, output_tokens, FOREVER_SECONDS):
            case {"mwh": [int(), int(most)]}:
                return most
            case _:
                return None

    def estimate(self, model: str, provider: str, output_tokens: int, seconds: float) -> dict[str, JsonValue]:
        """The estimate of one call, for the record.

        Args:
            model: its name.
            provider: whose it is, as LangChain or ``ecologits`` names it.
            output_tokens: what it wrote.
            seconds: how long it took.

        Returns:
            ``source``, and either ``unknown`` (why there is no estimate) or ``mwh`` (milliwatt-hours) and ``co2e_mg``
            (milligrams of CO2 equivalents, making the hardware included), each as the least and the most in whole numbers, with
            the ``zone`` of the electricity and the ``notes`` on how good an estimate it is.
        """
        provider = PROVIDERS.get(provider, provider)
        config = self._utils.PROVIDER_CONFIG_MAP.get(provider)
        if config is None:
            return {"source": self.source, "unknown": "provider-not-registered"}
        found = self._utils.llm_impacts(
            provider=provider,
            model_name=model,
            output_token_count=output_tokens,
            request_latency=seconds,
            electricity_mix_zone=self._zone,
        )
        if found.errors:
            return {"source": self.source, "unknown": str(found.errors[0].code)}
        return {
            "source": self.source,
            "zone": self._zone or str(config.datacenter_location or "WOR"),
            "mwh": _range(found.energy.value),
            "co2e_mg": _range(found.gwp.value),
            "notes": [str(note.code) for note in found.warnings or ()],
        }


def _range(value: Any) -> list[JsonValue]:
    """The least and the most, rounded outwards: an estimate is not made better by rounding."""
    least, most = (value.min, value.max) if hasattr(value, "min") else (value, value)
    return [math.floor(least * MICRO), math.ceil(most * MICRO)]


__all__ = ["Energy"]
