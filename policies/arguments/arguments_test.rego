package openclaw.policies.arguments_test

import rego.v1

import data.openclaw.policies.arguments

settings := {
	"tools": {"refund": {
		"amount": {"min": 0, "max": 500, "ask_above": 50},
		"currency": {"one_of": ["EUR"], "optional": true},
		"to": {"none_of": ["ACME"], "type": "string", "optional": true},
		"tags": {"one_of": ["a", "b"], "optional": true},
	}},
	"closed": ["refund"],
}

refund(args) := {"kind": "tool", "tool": {"name": "refund", "args": args}}

denied(args) := reasons if {
	reasons := arguments.deny with input as refund(args) with data.arguments as settings
}

asked(args) := reasons if {
	reasons := arguments.ask with input as refund(args) with data.arguments as settings
}

misset(value) := reasons if {
	reasons := arguments.deny with input as {"kind": "model"} with data.arguments as value
}

test_within_limits_nothing_is_said if {
	denied({"amount": 50, "currency": "EUR"}) == set()
	asked({"amount": 50}) == set()
}

test_limits_are_inclusive if {
	denied({"amount": 0}) == set()
	denied({"amount": 500}) == set()
	denied({"amount": 500.01}) == {"the argument amount is above 500"}
	denied({"amount": -1}) == {"the argument amount is below 0"}
}

test_a_large_amount_asks if asked({"amount": 51}) == {"the argument amount is above 50"}

test_what_is_no_number_is_denied_and_not_compared if {
	reason := {"the argument amount is not a number"}
	denied({"amount": "1,000,000"}) == reason
	denied({"amount": "1"}) == reason
	denied({"amount": [1]}) == reason
	denied({"amount": {"$int": "9007199254740993"}}) == reason
	denied({"amount": true}) == reason
}

test_an_argument_with_a_limit_must_be_given if {
	denied({}) == {"the argument amount is missing"}
	denied({"amount": null}) == {"the argument amount is missing"}
	denied({"amount": 1, "currency": null}) == set()
}

test_values_come_from_the_list if {
	reason := {"the argument currency has a value that is not on its list"}
	denied({"amount": 1, "currency": "eur"}) == reason
	denied({"amount": 1, "currency": {"EUR": "EUR"}}) == reason
	denied({"amount": 1, "currency": ["EUR", "USD"]}) == reason
	denied({"amount": 1, "tags": ["a", "b"]}) == set()
}

test_forbidden_values_and_types if {
	denied({"amount": 1, "to": "ACME"}) == {"the argument to has a value that is forbidden"}
	denied({"amount": 1, "to": 7}) == {"the argument to is not of the type string"}
}

test_a_closed_tool_takes_no_other_argument if {
	denied({"amount": 1, "force": true}) == {"this tool takes no argument but those with limits"}
}

test_other_tools_and_kinds_are_not_its_business if {
	reasons := arguments.deny with input as {"kind": "tool", "tool": {"name": "x", "args": {"amount": 9999}}}
		with data.arguments as settings
	reasons == set()
	misset(settings) == set()
}

test_misspelt_settings_deny if {
	misset([]) == {"the settings data.arguments are missing or not an object"}
	misset({"tool": {}}) == {"the setting data.arguments.tool is unknown or of the wrong type"}
	misset({"tools": {"t": {"a": {"maximum": 1}}}}) == {"maximum of a of t in data.arguments.tools is unknown or of the wrong type"}
	misset({"tools": {"t": {"a": {"max": "1"}}}}) == {"max of a of t in data.arguments.tools is unknown or of the wrong type"}
	misset({"tools": {"t": {"a": 5}}}) == {"the limit of a of t in data.arguments.tools is not an object"}
	misset({"tools": {"t": []}}) == {"the limits of t in data.arguments.tools are not objects"}
	misset({"tools": {"t": {"a": {"type": "int"}}}}) == {"type of a of t in data.arguments.tools is none of Rego's"}
}
