package openclaw.policies.rates_test

import rego.v1

import data.openclaw.policies.rates

settings := {"limits": [
	{"name": "mail", "tools": ["send_mail"], "calls": 3, "per": "minute", "each": ["agent", "person"]},
	{"name": "money", "tags": ["money"], "calls": 5, "per": 90, "each": []},
	{"name": "models", "kinds": ["model"], "calls": 100, "per": "hour"},
]}

principal := {"agent": "desk", "org": "default", "on_behalf_of": "user:eva"}

request(name, tags) := {
	"kind": "tool",
	"principal": principal,
	"tool": {"name": name, "tags": tags, "args": {}},
	"run": {"id": "run-1"},
}

demanded(asked) := duties if {
	duties := rates.oblige with input as asked with data.rates as settings
}

misset(value) := reasons if {
	reasons := rates.deny with input as {"kind": "tool"} with data.rates as value
}

misset_limit(limit) := misset({"limits": [object.union({"name": "x", "calls": 1, "per": "minute"}, limit)]})

test_a_named_tool_is_counted_for_each_agent_and_person if {
	duty := {"kind": "limit", "key": "rates/mail/agent=desk/person=user:eva", "calls": 3, "per": "minute"}
	demanded(request("send_mail", [])) == {duty}
}

test_a_tag_is_counted_once_for_everybody if {
	demanded(request("refund", ["write", "money"])) == {{"kind": "limit", "key": "rates/money", "calls": 5, "per": 90}}
}

test_what_is_not_named_is_not_counted if {
	demanded(request("look", ["read"])) == set()
}

test_models_are_counted_where_that_is_said if {
	duty := {"kind": "limit", "key": "rates/models/agent=desk", "calls": 100, "per": "hour"}
	demanded({"kind": "model", "principal": principal, "model": {"name": "m"}}) == {duty}
}

test_what_is_not_known_is_counted_together if {
	duty := {"kind": "limit", "key": "rates/mail/agent=desk/person=", "calls": 3, "per": "minute"}
	demanded({"kind": "tool", "principal": {"agent": "desk"}, "tool": {"name": "send_mail"}}) == {duty}
}

test_without_settings_every_tool_is_counted_for_each_agent if {
	duties := rates.oblige with input as request("look", []) with data.rates as {}
	duties == {{"kind": "limit", "key": "rates/tools/agent=desk", "calls": 60, "per": "minute"}}
}

test_misspelt_settings_deny if {
	misset([]) == {"the settings data.rates are not an object"}
	misset({"limit": []}) == {"the setting data.rates.limit is unknown or of the wrong type"}
	misset({"limits": [5]}) & {"the setting data.rates.limits.0 is not an object"} != set()
	misset_limit({"tool": []}) == {"the setting data.rates.limits.0.tool is unknown or of the wrong type"}
	misset_limit({"tools": [1]}) == {"the setting data.rates.limits.0.tools is not a list of texts"}
	misset_limit({"per": "month"}) == {"the setting data.rates.limits.0 does not say per what"}
	misset_limit({"per": 0}) == {"the setting data.rates.limits.0 does not say per what"}
	misset_limit({"name": ""}) == {"the setting data.rates.limits.0 has no name of its own"}
	misset_limit({"each": ["colour"]}) == {"the setting data.rates.limits.0.each names what is not counted"}
	misset({"limits": [{"name": "x", "per": "day"}]}) == {"the setting data.rates.limits.0 does not say how many calls"}
	twice := [{"name": "x", "calls": 1, "per": 1}, {"name": "x", "calls": 2, "per": 1}]
	misset({"limits": twice}) == {"the setting data.rates.limits.1 has the name of another"}
}
