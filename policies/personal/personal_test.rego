package openclaw.policies.personal_test

import rego.v1

import data.openclaw.policies.personal

settings := {
	"outside": {"tools": ["post"], "tags": ["send"]},
	"ask": ["iban"],
	"deny": ["card"],
	"names": {"other": ["Nickname"]},
}

request(tool, tags, args) := {"kind": "tool", "tool": {"name": tool, "tags": tags, "args": args}}

denied(tags, args) := reasons if {
	reasons := personal.deny with input as request("mail", tags, args) with data.personal as settings
}

asked(tags, args) := reasons if {
	reasons := personal.ask with input as request("mail", tags, args) with data.personal as settings
}

masked(args) := fields if {
	duties := personal.oblige with input as request("mail", [], args) with data.personal as settings
	fields := {field | some duty in duties; duty.kind == "mask"; some field in duty.fields}
}

misset(value) := reasons if {
	reasons := personal.deny with input as {"kind": "model"} with data.personal as value
}

test_forms_are_masked if {
	every text in [
		"write to eva@example.com, please", "DE89 3704 0044 0532 0130 00", "de89370400440532013000",
		"4111 1111 1111 1111", "4111-1111-1111-1111", "+49 (30) 1234567", "0049 30 1234567",
	] {
		masked({"body": text, "n": 5}) == {"args.body"}
		masked({"body": {"parts": [text]}}) == {"args.body"}
	}
	masked({"body": 4111111111111111}) == {"args.body"}
}

test_names_are_masked if {
	masked({"Birthday": "1990-01-01", "nickname": "Ev", "x": 1}) == {"args.Birthday", "args.nickname"}
	masked({"to": {"phone": 5}, "a.b": {"street": "x"}}) == {"args.to", "args"}
	masked({"email": null, "phone": ""}) == set()
}

test_plain_values_are_not_masked if {
	masked({"a": "order 12345", "b": 1200.5, "c": true, "d": "2026-11-23T10:00:00Z", "e": "x@y"}) == set()
}

test_what_leaves_asks_or_is_denied if {
	asked(["send"], {"body": "DE89 3704 0044 0532 0130 00"}) == {"the argument body holds personal data (iban), which would get out"}
	denied(["send"], {"card": 1}) == {"the argument card holds personal data (card), which must not get out"}
	asked(["send"], {"body": "eva@example.com"}) == set()
	asked([], {"iban": "x"}) == set()
	denied([], {"card": "x"}) == set()
}

test_a_named_tool_lets_values_out if {
	reasons := personal.deny with input as request("post", [], {"card": "x"}) with data.personal as settings
	reasons == {"the argument card holds personal data (card), which must not get out"}
}

test_without_settings_every_tool_lets_values_out_and_asks if {
	reasons := personal.ask with input as request("mail", [], {"iban": "x"}) with data.personal as {}
	reasons == {"the argument iban holds personal data (iban), which would get out"}
}

returned(result) := duties if {
	duties := personal.oblige with input as {"kind": "result", "result": result} with data.personal as settings
}

test_kinds_that_are_said_are_cut_from_results_and_all_are_masked if {
	returned({"a": "pay DE89 3704 0044 0532 0130 00 now", "b": ["eva@example.com"]}) == {
		{"kind": "redact", "texts": ["3704 0044 0532 0130 00"], "replacement": "[card]"},
		{"kind": "redact", "texts": ["DE89 3704 0044 0532 0130 00"], "replacement": "[iban]"},
		{"kind": "mask", "fields": ["result.a"]},
		{"kind": "mask", "fields": ["result.b.0"]},
	}
	returned({"people": [{"Phone": 5, "iban": "x"}]}) == {
		{"kind": "redact", "fields": ["result.people.0.iban"]},
		{"kind": "mask", "fields": ["result.people.0.Phone"]},
		{"kind": "mask", "fields": ["result.people.0.iban"]},
	}
	returned({"number": 4111111111111111}) == {
		{"kind": "redact", "fields": ["result.number"]},
		{"kind": "mask", "fields": ["result.number"]},
	}
	returned({"a.b": {"iban": "x"}}) == {{"kind": "redact", "fields": ["result"]}, {"kind": "mask", "fields": ["result"]}}
	returned("order 12345 of 2026-11-23") == set()
}

test_other_kinds_are_cut_where_that_is_said if {
	asked := {"kind": "result", "result": "eva@mail.example.com."}
	duties := personal.oblige with input as asked with data.personal as {"cut": ["email"]}
	duties == {
		{"kind": "redact", "texts": ["eva@mail.example.com"], "replacement": "[email]"},
		{"kind": "mask", "fields": ["result"]},
	}
}

test_misspelt_settings_deny if {
	misset([]) == {"the settings data.personal are not an object"}
	misset({"asks": []}) == {"the setting data.personal.asks is unknown or of the wrong type"}
	misset({"ask": ["cards"]}) == {"the setting data.personal.ask names a kind that does not exist"}
	misset({"names": {"mail": []}}) == {"the setting data.personal.names names a kind that does not exist"}
	misset({"names": {"other": "x"}}) == {"the setting data.personal.names.other is not a list of texts"}
	misset({"outside": {"tools": [1]}}) == {"the setting data.personal.outside.tools is not a list of texts"}
	misset({"outside": {"tool": []}}) == {"the setting data.personal.outside.tool is unknown"}
}
