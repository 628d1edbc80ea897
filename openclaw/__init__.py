"""Agent governance for LangGraph."""
