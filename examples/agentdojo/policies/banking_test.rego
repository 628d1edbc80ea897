package openclaw.policies.banking_test

import rego.v1

import data.openclaw.policies.banking

limits := {"unattended": 100, "unnamed_account": 500}

said := {"trust": "trusted", "seen_in": ["prompt"], "whole": true, "fields": [], "parts": [], "trivial": false}

made_up := {"trust": "unknown", "seen_in": [], "whole": false, "fields": [], "parts": [], "trivial": false}

read(tool) := {"trust": "untrusted", "seen_in": [tool], "whole": true, "fields": [], "parts": [], "trivial": false}

field(tool, member) := object.union(read(tool), {"fields": [concat(".", [tool, member])]})

call(name, args, origins) := {
	"kind": "tool",
	"tool": {"name": name, "args": args, "tags": ["write"], "call_id": "1"},
	"flow": {"untrusted": true, "complete": true, "sources": [], "args": origins},
	"approval": null,
}

payment(amount, origins) := call("send_money", {"recipient": "an account", "amount": amount}, origins)

effect(request) := "deny" if {
	reasons := banking.deny with input as request with data.limits as limits
	count(reasons) > 0
} else := "ask" if {
	reasons := banking.ask with input as request with data.limits as limits
	count(reasons) > 0
} else := "allow" if {
	banking.allow with input as request with data.limits as limits
} else := "deny"

test_the_model_may_think if effect({"kind": "model"}) == "allow"

test_reading_is_free if effect(call("read_file", {"file_path": "a"}, {"file_path": made_up})) == "allow"

test_unknown_tools_and_other_actions_are_not_allowed if {
	effect(call("close_account", {}, {})) == "deny"
	effect({"kind": "handoff", "tool": {"name": "send_money", "args": {}}}) == "deny"
}

test_what_the_user_said_is_paid if effect(payment(9000, {"recipient": said, "amount": said})) == "allow"

test_a_small_computed_sum_goes_to_a_named_account if {
	effect(payment(100, {"recipient": said, "amount": made_up})) == "allow"
	effect(payment(100.01, {"recipient": said, "amount": made_up})) == "ask"
	effect(payment(-1, {"recipient": said, "amount": made_up})) == "ask"
}

test_somebody_who_was_paid_before_is_known if {
	paid := field("get_most_recent_transactions", "recipient")
	effect(payment(10, {"recipient": paid, "amount": made_up})) == "allow"
	effect(payment(200, {"recipient": paid, "amount": made_up})) == "ask"
}

test_somebody_who_only_paid_in_is_not_known if {
	sender := field("get_most_recent_transactions", "sender")
	effect(payment(10, {"recipient": sender, "amount": made_up})) == "ask"
	effect(payment(501, {"recipient": sender, "amount": said})) == "deny"
}

test_free_text_of_a_sender_names_no_account if {
	text := field("get_most_recent_transactions", "subject")
	effect(payment(1, {"recipient": text, "amount": said})) == "deny"
	effect(payment(1, {"recipient": read("get_most_recent_transactions"), "amount": said})) == "deny"
}

test_an_account_that_nobody_named_is_not_paid if {
	effect(payment(1, {"recipient": made_up, "amount": said})) == "deny"
}

test_a_bill_asks if {
	bill := read("read_file")
	effect(payment(98.7, {"recipient": bill, "amount": bill})) == "ask"
}

test_a_document_that_names_no_sum_is_no_bill if {
	effect(payment(1, {"recipient": read("read_file"), "amount": made_up})) == "deny"
	effect(payment(1, {"recipient": read("read_file"), "amount": read("get_most_recent_transactions")})) == "deny"
}

test_a_document_alone_cannot_ask_for_much if {
	effect(payment(501, {"recipient": read("read_file"), "amount": read("read_file")})) == "deny"
	effect(payment("all", {"recipient": read("read_file"), "amount": read("read_file")})) == "deny"
}

test_a_payment_without_flow_is_denied if {
	effect(object.remove(payment(1, {}), ["flow"])) == "deny"
}

update(args, origins) := call("update_scheduled_transaction", args, origins)

test_a_standing_order_is_redirected_only_by_the_user if {
	effect(update({"id": 1, "recipient": "a", "amount": null}, {"recipient": said})) == "allow"
	effect(update({"id": 1, "recipient": "a"}, {"recipient": read("read_file")})) == "deny"
	effect(update({"id": 1, "recipient": "a"}, {"recipient": made_up})) == "deny"
}

test_a_new_sum_of_a_standing_order_asks_unless_it_was_said_or_is_small if {
	effect(update({"id": 1, "amount": 1200}, {"amount": made_up})) == "ask"
	effect(update({"id": 1, "amount": 1200}, {"amount": said})) == "allow"
	effect(update({"id": 1, "amount": 20}, {"amount": made_up})) == "allow"
}

test_other_details_ask_unless_they_were_said if {
	effect(update({"id": 1, "subject": "rent"}, {"subject": made_up})) == "ask"
	effect(update({"id": 1, "recurring": false}, {"recurring": object.union(made_up, {"trivial": true})})) == "ask"
	effect(call("update_user_info", {"city": "NY"}, {"city": read("read_file")})) == "ask"
	effect(call("update_user_info", {"city": "NY"}, {"city": said})) == "allow"
}

test_a_password_is_only_what_the_user_said if {
	effect(call("update_password", {"password": "p"}, {"password": said})) == "allow"
	effect(call("update_password", {"password": "p"}, {"password": read("read_file")})) == "deny"
	effect(call("update_password", {"password": "p"}, {"password": made_up})) == "deny"
}
