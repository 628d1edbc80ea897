"""Agents and workflows on LangGraph: sealed tools and models inside a governed run."""

from openclaw.graph.agent import Agent
from openclaw.graph.compile import compile_graph, govern_model, govern_tools
from openclaw.graph.memory import GovernedStore, govern_store
from openclaw.graph.middleware import middleware
from openclaw.graph.spec import read_workflow
from openclaw.graph.workflow import Workflow

__all__ = [
    "Agent",
    "GovernedStore",
    "Workflow",
    "compile_graph",
    "govern_model",
    "govern_store",
    "govern_tools",
    "middleware",
    "read_workflow",
]
