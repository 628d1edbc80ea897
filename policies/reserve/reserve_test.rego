package openclaw.policies.reserve_test

import rego.v1

import data.openclaw.policies.reserve

settings := {"keep": {"calls": 2, "tokens": 5000}, "required": ["tokens"]}

request(kind, remaining) := {"kind": kind, "budget": {"remaining": remaining}}

asked(kind, remaining) := reasons if {
	reasons := reserve.ask with input as request(kind, remaining) with data.reserve as settings
}

denied_by(set_to, asking) := reasons if {
	reasons := reserve.deny with input as asking with data.reserve as set_to
}

denied(asking) := denied_by(settings, asking)

misset(value) := denied_by(value, {"kind": "tool"})

test_the_last_of_a_budget_asks if {
	asked("tool", {"tokens": 5000, "calls": 2}) == set()
	asked("tool", {"tokens": 4999, "calls": 2}) == {"less than 5000 tokens of the budget are left"}
	asked("handoff", {"tokens": -1, "calls": 0}) == {
		"less than 5000 tokens of the budget are left",
		"less than 2 calls of the budget are left",
	}
}

test_models_do_not_ask_unless_that_is_said if {
	asked("model", {"tokens": 1}) == set()
	also := reserve.ask with input as request("model", {"tokens": 1})
		with data.reserve as object.union(settings, {"kinds": ["model"]})
	also == {"less than 5000 tokens of the budget are left"}
}

test_a_unit_that_must_be_limited_is if {
	denied(request("tool", {"tokens": 1})) == set()
	denied(request("tool", {"calls": 1})) == {"no budget limits tokens"}
	denied({"kind": "tool"}) == {"no budget limits tokens"}
}

test_what_is_no_number_is_denied if {
	denied(request("tool", {"tokens": 9000, "calls": "5"})) == {"what is left of the calls in the budget is not a number"}
	denied(request("tool", {"tokens": null})) == {
		"no budget limits tokens",
		"what is left of the tokens in the budget is not a number",
	}
}

test_without_settings_nothing_is_said if {
	denied_by({}, request("tool", {"tokens": 0})) == set()
}

test_misspelt_settings_deny if {
	misset([]) == {"the settings data.reserve are not an object"}
	misset({"least": {}}) == {"the setting data.reserve.least is unknown or of the wrong type"}
	misset({"keep": {"token": 5}}) == {"the setting data.reserve.keep.token is no unit or not a number"}
	misset({"keep": {"calls": "5"}}) == {"the setting data.reserve.keep.calls is no unit or not a number"}
	misset({"required": ["token"]}) == {"the setting data.reserve.required names what is no unit", "no budget limits token"}
	misset({"kinds": ["tools"]}) == {"the setting data.reserve.kinds names what is no kind of action"}
}
