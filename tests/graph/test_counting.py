"""What is held for an input: as the model's own tokenizer counts it, else an estimate and a quarter more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from openclaw.graph.counting import approximate, input_of
from openclaw.testing import ScriptedModel


def said(given: int, produced: int, text: str = "") -> AIMessage:
    usage = {"input_tokens": given, "output_tokens": produced, "total_tokens": given + produced}
    return AIMessage(text, usage_metadata=usage)  # type: ignore[arg-type]


def test_an_estimate_holds_a_quarter_more_and_the_frame_of_a_message() -> None:
    found = input_of(ScriptedModel(), [HumanMessage("x" * 4_000)], None)
    assert found.tokens >= 1_000
    assert found.held == -(-found.tokens * 5 // 4) + 8


def test_what_the_models_own_tokenizer_counts_is_held_as_counted() -> None:
    model = ScriptedModel(custom_get_token_ids=lambda text: list(range(len(text.split()))))
    found = input_of(model, [HumanMessage("one two three")], None)
    assert found.tokens == found.held == 4 + 4  # `Human:`, three words, and what a message costs by itself


def test_other_scripts_than_latin_count_a_token_each_character() -> None:
    assert approximate([HumanMessage("漢" * 400)]) >= 400


def test_what_the_provider_counted_the_last_time_is_believed() -> None:
    asked: list[BaseMessage] = [HumanMessage("x" * 400), said(300, 20), HumanMessage("y" * 40)]
    assert 320 + 10 <= input_of(ScriptedModel(), asked, None).tokens <= 340


def test_what_was_counted_of_a_longer_transcript_is_not_held_of_a_short_one() -> None:
    short: list[BaseMessage] = [HumanMessage("x" * 400), said(90_000, 20)]
    assert input_of(ScriptedModel(), short, None).tokens <= 4 * approximate(short)


@given(st.lists(st.text(max_size=80), min_size=1, max_size=5))
def test_the_hold_is_never_below_the_estimate(texts: list[str]) -> None:
    found = input_of(ScriptedModel(), [HumanMessage(text) for text in texts], None)
    assert found.held >= found.tokens >= sum(map(len, texts)) // 4
