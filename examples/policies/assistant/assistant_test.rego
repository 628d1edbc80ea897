package openclaw.policies.assistant_test

import rego.v1

import data.openclaw.policies.assistant

call(tags) := {"kind": "tool", "principal": {"roles": ["reader"]}, "tool": {"name": "x", "args": {}, "tags": tags}}

test_it_reads if {
	assistant.allow with input as call(["read"])
	assistant.deny == set() with input as call(["read"])
}

test_it_deletes_nothing if assistant.deny == {"an assistant deletes nothing"} with input as call(["read", "delete"])
