package origin_test

import rego.v1

import data.origin

call := {
	"kind": "tool",
	"tool": {"name": "send", "args": {"to": "ann@example.org", "cc": "", "bcc": null, "sum": 5}},
	"flow": {"args": {
		"to": {
			"trust": "untrusted",
			"seen_in": ["read_mail"],
			"whole": true,
			"fields": ["read_mail.sender"],
			"parts": [{"kind": "email", "seen_in": ["read_mail"]}, {"kind": "token", "seen_in": []}],
		},
		"sum": {"trust": "trusted", "seen_in": ["prompt", "read_mail"], "whole": true, "fields": [], "parts": []},
		"note": {"trust": "untrusted", "seen_in": ["read_mail"], "whole": false, "fields": [], "parts": []},
	}},
}

test_only_values_that_are_there_are_given if {
	origin.given("to") with input as call
	not origin.given("cc") with input as call
	not origin.given("bcc") with input as call
	not origin.given("absent") with input as call
}

test_trust_is_read_from_the_flow if {
	origin.vouched("sum") with input as call
	not origin.vouched("to") with input as call
	origin.tainted("to") with input as call
	not origin.tainted("sum") with input as call
}

test_without_flow_nothing_is_vouched_for if {
	not origin.vouched("to") with input as object.remove(call, ["flow"])
	not origin.stood_in("to", {"read_mail"}) with input as object.remove(call, ["flow"])
}

test_a_value_stood_in_a_tool_only_as_a_whole if {
	origin.stood_in("to", {"read_mail"}) with input as call
	not origin.stood_in("to", {"read_file"}) with input as call
	not origin.stood_in("note", {"read_mail"}) with input as call
}

test_fields_and_parts_are_told_apart if {
	origin.was_field("to", {"read_mail.sender"}) with input as call
	not origin.was_field("to", {"read_mail.body"}) with input as call
	parts := origin.foreign_parts("to", origin.leads) with input as call
	parts == {{"kind": "email", "seen_in": ["read_mail"]}}
}

test_two_values_are_together_where_one_tool_gave_both if {
	tools := origin.together("to", "sum") with input as call
	tools == {"read_mail"}
	none := origin.together("to", "note") with input as call
	none == set()
}
