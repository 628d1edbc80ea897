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

test_fields_are_told_apart if {
	origin.was_field("to", {"read_mail.sender"}) with input as call
	not origin.was_field("to", {"read_mail.body"}) with input as call
}

test_parts_are_told_apart_by_kind_and_place if {
	origin.has_part("to", origin.leads) with input as call
	not origin.has_part("to", {"number"}) with input as call
	not origin.has_part("sum", origin.leads) with input as call
	origin.has_part_read_outside("to", origin.leads, {"read_inbox"}) with input as call
	not origin.has_part_read_outside("to", origin.leads, {"read_inbox", "read_mail"}) with input as call
	not origin.has_part_read_outside("to", {"token"}, {"read_inbox"}) with input as call
}

test_two_values_stood_together_where_one_tool_gave_both if {
	origin.stood_together("to", "sum", {"read_mail"}) with input as call
	not origin.stood_together("to", "sum", {"prompt"}) with input as call
	not origin.stood_together("to", "note", {"read_mail"}) with input as call
}
