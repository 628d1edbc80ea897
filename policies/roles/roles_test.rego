package openclaw.policies.roles_test

import rego.v1

import data.openclaw.policies.roles

settings := {
	"roles": {
		"reader": {"tools": ["lookup"], "tags": ["read"], "models": ["small"]},
		"lead": {"tools": ["*"], "handoffs": ["desk"], "memory": ["get"]},
	},
	"agents": {"solo": {"tools": ["archive"]}},
}

may(kind, agent, granted, subject) if {
	request := object.union(
		{"kind": kind, "principal": {"agent": agent, "roles": granted}},
		subject,
	)
	roles.allow with input as request with data.roles as settings
}

tool(name, tags) := {"tool": {"name": name, "args": {}, "tags": tags}}

test_a_role_uses_the_tools_that_it_is_granted_by_name if {
	may("tool", "a", ["reader"], tool("lookup", []))
	not may("tool", "a", ["reader"], tool("lookups", []))
	not may("tool", "a", [], tool("lookup", []))
	not may("tool", "a", ["writer"], tool("lookup", []))
}

test_all_tags_of_a_tool_must_be_granted if {
	may("tool", "a", ["reader"], tool("list", ["read"]))
	not may("tool", "a", ["reader"], tool("list", ["read", "money"]))
	not may("tool", "a", ["reader"], tool("list", []))
	not may("tool", "a", ["reader"], tool("list", "read"))
}

test_a_star_is_any_tool_but_no_other_kind if {
	may("tool", "a", ["lead"], tool("anything", ["money"]))
	not may("model", "a", ["lead"], {"model": {"name": "small"}})
}

test_models_handoffs_and_memory_are_granted_by_name if {
	may("model", "a", ["reader"], {"model": {"name": "small"}})
	not may("model", "a", ["reader"], {"model": {"name": "large"}})
	may("handoff", "a", ["lead"], {"tool": {"name": "transfer_to_desk", "args": {"agent": "desk"}}})
	not may("handoff", "a", ["lead"], {"tool": {"name": "transfer_to_desk", "args": {"agent": "till"}}})
	may("memory", "a", ["lead"], {"tool": {"name": "get", "args": {}}})
	not may("memory", "a", ["lead"], {"tool": {"name": "put", "args": {}}})
}

test_an_agent_is_granted_tools_of_its_own if {
	may("tool", "solo", [], tool("archive", []))
	not may("tool", "a", [], tool("archive", []))
}

test_without_settings_or_with_roles_that_are_no_list_nothing_is_granted if {
	not roles.allow with input as {"kind": "tool", "principal": {"agent": "a", "roles": ["reader"]}, "tool": {"name": "lookup"}}
		with data.roles as {}
	not may("tool", "a", "reader", tool("lookup", []))
	not may("tool", "a", {"x": "reader"}, tool("lookup", []))
}
