package openclaw.policies.untrusted_test

import rego.v1

import data.openclaw.policies.untrusted

settings := {"targets": ["payee"], "careful": {"tags": ["money"], "tools": ["wipe"]}}

said := {"trust": "trusted", "seen_in": ["prompt"], "whole": true, "fields": [], "parts": [], "trivial": false}

made_up := {"trust": "unknown", "seen_in": [], "whole": false, "fields": [], "parts": [], "trivial": false}

read := {"trust": "untrusted", "seen_in": ["read_mail"], "whole": true, "fields": [], "parts": [], "trivial": false}

linked := object.union(read, {"parts": [{"kind": "url", "seen_in": ["read_mail"]}]})

call(name, tags, origins) := {
	"kind": "tool",
	"tool": {"name": name, "args": {arg: "a value" | some arg, _ in origins}, "tags": tags},
	"flow": {"untrusted": true, "complete": true, "sources": [], "args": origins},
}

denied(request) := reasons if {
	reasons := untrusted.deny with input as request with data.untrusted as settings
}

asked(request) := reasons if {
	reasons := untrusted.ask with input as request with data.untrusted as settings
}

misset(value) := reasons if {
	reasons := untrusted.deny with input as {"kind": "model"} with data.untrusted as value
}

test_what_the_user_said_is_done if {
	denied(call("send", [], {"to": said, "body": made_up})) == set()
	asked(call("send", [], {"to": said, "body": made_up})) == set()
}

test_outsiders_name_no_target if {
	denied(call("send", [], {"to": read})) == {"only outsiders named the to"}
	denied(call("pay", [], {"payee": read})) == {"only outsiders named the payee"}
	denied(call("send", [], {"to": said, "body": read})) == set()
}

test_a_target_that_nobody_named_asks if {
	asked(call("send", [], {"to": made_up})) == {"nobody named the to, and outsiders were read"}
	asked(object.union(call("send", [], {"to": made_up}), {"flow": {"untrusted": false}})) == set()
}

test_an_address_from_outsiders_asks if {
	asked(call("send", [], {"to": said, "body": linked})) == {"the argument body holds an address (url) from outsiders"}
}

test_careful_tools_ask_once_anything_untrusted_was_read if {
	reason := {"this is to be done after something untrusted was read"}
	asked(call("pay", ["money"], {"payee": said})) == reason
	asked(object.union(call("pay", ["money"], {"payee": said}), {"flow": {"untrusted": false}})) == set()
	asked(call("wipe", [], {})) == {"this is to be done after something untrusted was read"}
}

test_reading_is_free if {
	denied(call("get", ["read"], {"url": read})) == set()
	denied(call("get", ["read", "write"], {"url": read})) == {"only outsiders named the url"}
}

test_what_is_not_known_is_denied if {
	unknown := {"nothing is known of what was read before this"}
	denied(object.remove(call("send", [], {"to": said}), ["flow"])) == unknown
	denied(object.union(call("send", [], {"to": said}), {"flow": {"untrusted": "no"}})) == unknown
	denied(object.union(call("send", [], {"to": said}), {"tool": {"args": {"cc": "x"}}})) == {"the origin of the argument cc is not known"}
}

test_what_was_not_compared_asks if {
	asked(object.union(call("send", [], {"to": said}), {"flow": {"complete": false}})) == {"not all that was read could be compared"}
}

test_misspelt_settings_deny if {
	misset([]) == {"the settings data.untrusted are not an object"}
	misset({"target": []}) == {"the setting data.untrusted.target is unknown or of the wrong type"}
	misset({"targets": [1]}) == {"the setting data.untrusted.targets is not a list of texts"}
	misset({"careful": {"tag": []}}) == {"the setting data.untrusted.careful.tag is unknown or no list"}
	misset({"reading": {"tags": "read"}}) == {"the setting data.untrusted.reading.tags is unknown or no list"}
}
