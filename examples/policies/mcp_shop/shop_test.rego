package openclaw.policies.shop_test

import rego.v1

import data.openclaw.policies.shop

call(name, args) := {"kind": "tool", "principal": {"roles": ["buyer"]}, "tool": {"name": name, "args": args}}

test_buyers_look_and_order if {
	shop.allow with input as call("stock", {})
	shop.allow with input as call("order", {"amount": 1})
	not shop.allow with input as call("drop_item", {})
}

test_larger_orders_are_confirmed if {
	shop.ask == {"orders of more than three are confirmed"} with input as call("order", {"amount": 4})
	shop.ask == set() with input as call("order", {"amount": 3})
}
