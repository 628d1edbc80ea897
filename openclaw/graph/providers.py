"""Models that a description names as ``provider:name``, made by LangChain's ``init_chat_model``."""

from __future__ import annotations

import importlib

from langchain_core.language_models import BaseChatModel

from openclaw.errors import ConfigurationError
from openclaw.graph.agent import Agent
from openclaw.graph.metering import seal_model


def made_model(agent: Agent, model: BaseChatModel | str) -> BaseChatModel:
    """A model of an agent's description, sealed.

    Raises:
        ConfigurationError: it is a name, and no model can be made of it.
    """
    if isinstance(model, BaseChatModel):
        return seal_model(model)
    try:
        init_chat_model = importlib.import_module("langchain.chat_models").init_chat_model
    except ImportError as error:
        raise ConfigurationError(
            f"model `{model}` of agent `{agent.name}` is a name, and the `langchain` package is not installed",
            hint="`pip install langchain`, or give a chat model object",
        ) from error
    try:
        made = init_chat_model(model)
    except Exception as error:  # each provider's package has errors of its own, such as for a missing key
        said = str(error).strip().splitlines()[0]
        raise ConfigurationError(
            f"model `{model}` of agent `{agent.name}` cannot be made: {said}",
            hint="expected `provider:name` of a provider whose package and key are there",
        ) from error
    return seal_model(made)


__all__ = ["made_model"]
