package openclaw.policies.desk_test

import rego.v1

import data.openclaw.policies.desk

refund(amount, trust, roles) := {
	"kind": "tool",
	"principal": {"roles": roles},
	"tool": {"name": "refund", "args": {"order": "17", "amount": amount}},
	"flow": {"args": {"order": {"trust": trust}}},
}

test_payers_refund if desk.allow with input as refund(30, "trusted", ["payer"])

test_readers_do_not if {
	not desk.allow with input as refund(30, "trusted", ["reader"])
	desk.deny == {"only payers refund"} with input as refund(300, "trusted", ["reader"])
}

test_larger_sums_are_asked_about if {
	desk.ask == {"a refund over 100 needs a person"} with input as refund(101, "trusted", ["payer"])
	desk.ask == set() with input as refund(100, "trusted", ["payer"])
}

test_what_outsiders_name_is_not_refunded if {
	count(desk.deny) == 1 with input as refund(30, "untrusted", ["payer"])
	count(desk.deny) == 0 with input as refund(30, "trusted", ["payer"])
}
