"""Where tools of tests find what they hand out, out of reach of what looks through their closures and globals."""

from __future__ import annotations

from typing import Any

things: list[Any] = []
