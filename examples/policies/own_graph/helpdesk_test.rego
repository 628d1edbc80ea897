package openclaw.policies.helpdesk_test

import rego.v1

import data.openclaw.policies.helpdesk

call(name) := {"kind": "tool", "principal": {}, "tool": {"name": name, "args": {}}}

test_tickets_are_read_and_closed_with_a_person if {
	helpdesk.allow with input as call("read_ticket")
	helpdesk.ask == set() with input as call("read_ticket")
	count(helpdesk.ask) == 1 with input as call("close_ticket")
}

test_nobody_is_woken if {
	count(helpdesk.deny) == 1 with input as call("page_engineer")
	not helpdesk.allow with input as call("page_engineer")
}
