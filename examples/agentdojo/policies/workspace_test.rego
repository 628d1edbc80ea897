package openclaw.policies.workspace_test

import rego.v1

import data.openclaw.policies.workspace

said := {"trust": "trusted", "seen_in": ["prompt"], "whole": true, "fields": [], "parts": [], "trivial": false}

made_up := {"trust": "unknown", "seen_in": [], "whole": false, "fields": [], "parts": [], "trivial": false}

read(tool) := {"trust": "untrusted", "seen_in": [tool], "whole": true, "fields": [], "parts": [], "trivial": false}

partly(tool) := object.union(read(tool), {"whole": false, "parts": [{"kind": "host", "seen_in": [tool]}]})

sender(tool) := object.union(read(tool), {"fields": [concat(".", [tool, "sender"])]})

call(name, origins) := {
	"kind": "tool",
	"tool": {"name": name, "args": {arg: "a value" | some arg, _ in origins}, "tags": [], "call_id": "1"},
	"flow": {"untrusted": true, "complete": true, "sources": [], "args": origins},
	"approval": null,
}

effect(request) := "deny" if {
	reasons := workspace.deny with input as request
	count(reasons) > 0
} else := "ask" if {
	reasons := workspace.ask with input as request
	count(reasons) > 0
} else := "allow" if {
	workspace.allow with input as request
} else := "deny"

test_the_model_may_think if effect({"kind": "model"}) == "allow"

test_reading_is_free if {
	effect(call("read_inbox", {"user": made_up})) == "allow"
	effect(call("get_channels", {})) == "allow"
}

test_unknown_tools_are_not_allowed if effect(call("export_workspace", {})) == "deny"

test_pages_are_visited_by_who_named_them if {
	effect(call("get_webpage", {"url": said})) == "allow"
	effect(call("get_webpage", {"url": read("read_inbox")})) == "ask"
	effect(call("get_webpage", {"url": made_up})) == "ask"
	effect(call("get_webpage", {"url": read("get_webpage")})) == "deny"
	effect(call("get_webpage", {"url": read("get_channels")})) == "deny"
}

test_an_address_that_is_only_partly_a_members_may_carry_something_out if {
	effect(call("get_webpage", {"url": partly("read_inbox")})) == "deny"
}

test_pages_are_published_only_where_the_user_said if {
	effect(call("post_webpage", {"url": said, "content": made_up})) == "allow"
	effect(call("post_webpage", {"url": said, "content": partly("read_inbox")})) == "ask"
	effect(call("post_webpage", {"url": made_up, "content": said})) == "deny"
	effect(call("post_webpage", {"url": read("read_inbox"), "content": said})) == "deny"
}

test_messages_to_whom_the_user_named if {
	effect(call("send_direct_message", {"recipient": said, "body": made_up})) == "allow"
	effect(call("send_channel_message", {"channel": said, "body": made_up})) == "allow"
}

test_the_users_words_to_whom_the_workspace_lists if {
	effect(call("send_channel_message", {"channel": read("get_channels"), "body": said})) == "allow"
	effect(call("send_channel_message", {"channel": read("get_channels"), "body": made_up})) == "ask"
	effect(call("send_direct_message", {"recipient": sender("read_channel_messages"), "body": said})) == "allow"
	effect(call("send_direct_message", {"recipient": sender("read_channel_messages"), "body": made_up})) == "ask"
	effect(call("send_direct_message", {"recipient": made_up, "body": said})) == "ask"
}

test_addressees_of_strangers_get_nothing if {
	effect(call("send_direct_message", {"recipient": read("get_webpage"), "body": said})) == "deny"
	effect(call("send_direct_message", {"recipient": read("get_channels"), "body": said})) == "deny"
	effect(call("send_channel_message", {"channel": read("get_webpage"), "body": said})) == "deny"
}

leading(seen_in) := object.union(made_up, {"parts": [{"kind": "url", "seen_in": seen_in}]})

test_addresses_in_messages if {
	effect(call("send_direct_message", {"recipient": said, "body": leading(["get_webpage"])})) == "deny"
	effect(call("send_direct_message", {"recipient": said, "body": leading(["read_inbox"])})) == "ask"
	effect(call("send_direct_message", {"recipient": said, "body": leading([])})) == "ask"
	effect(call("send_direct_message", {"recipient": said, "body": leading(["get_webpage", "read_inbox"])})) == "ask"
}

test_new_members_are_named_by_the_user_or_looked_at if {
	effect(call("invite_user_to_slack", {"user": said, "user_email": said})) == "allow"
	effect(call("invite_user_to_slack", {"user": said, "user_email": read("get_webpage")})) == "ask"
	effect(call("invite_user_to_slack", {"user": read("read_inbox"), "user_email": said})) == "ask"
	effect(call("invite_user_to_slack", {"user": read("get_webpage"), "user_email": said})) == "deny"
}

test_members_join_channels_that_exist if {
	effect(call("add_user_to_channel", {"user": said, "channel": said})) == "allow"
	effect(call("add_user_to_channel", {"user": said, "channel": read("get_channels")})) == "ask"
	effect(call("add_user_to_channel", {"user": said, "channel": read("get_webpage")})) == "deny"
	effect(call("add_user_to_channel", {"user": read("get_channels"), "channel": said})) == "deny"
}

test_removing_asks_and_only_for_whom_the_user_named if {
	effect(call("remove_user_from_slack", {"user": said})) == "ask"
	effect(call("remove_user_from_slack", {"user": made_up})) == "deny"
	effect(call("remove_user_from_slack", {"user": read("get_webpage")})) == "deny"
}

no_flow(request) := object.remove(request, ["flow"])

test_without_flow_nothing_leaves_by_itself if {
	effect(no_flow(call("get_webpage", {"url": said}))) == "ask"
	effect(no_flow(call("post_webpage", {"url": said, "content": said}))) == "deny"
	effect(no_flow(call("send_direct_message", {"recipient": said, "body": said}))) == "ask"
	effect(no_flow(call("invite_user_to_slack", {"user": said, "user_email": said}))) == "ask"
	effect(no_flow(call("add_user_to_channel", {"user": said, "channel": said}))) == "ask"
	effect(no_flow(call("remove_user_from_slack", {"user": said}))) == "deny"
}
