package openclaw.policies.delegation_test

import rego.v1

import data.openclaw.policies.delegation

settings := {"depth_max": 3, "edges": {"triage": ["refunds"], "refunds": ["till", "triage"], "till": ["vault"]}}

handoff(chain, agent, to) := {
	"kind": "handoff",
	"principal": {"agent": agent, "chain": chain},
	"tool": {"name": "transfer", "args": {"agent": to}},
}

denied_by(set_to, asked) := reasons if {
	reasons := delegation.deny with input as asked with data.delegation as set_to
}

may_by(set_to, asked) if {
	delegation.allow with input as asked with data.delegation as set_to
	denied_by(set_to, asked) == set()
}

test_work_goes_along_the_edges if {
	may_by(settings, handoff([], "triage", "refunds"))
	may_by(settings, handoff(["triage", "refunds"], "refunds", "till"))
}

test_work_goes_nowhere_else if {
	reason := {"the hand-off goes to an agent that is not named for it"}
	denied_by(settings, handoff([], "triage", "vault")) == reason
	denied_by(settings, handoff([], "triage", {"refunds": true})) == reason
	denied_by(settings, handoff([], "stranger", "refunds")) == reason
	not may_by(settings, handoff([], "triage", "vault"))
}

test_a_chain_has_a_greatest_length if {
	long := handoff(["triage", "refunds", "till"], "till", "vault")
	denied_by(settings, long) == {"the hand-off would make the chain of agents longer than 3"}
	tool := {"kind": "tool", "principal": {"agent": "vault", "chain": ["a", "b", "c", "vault"]}}
	denied_by(settings, tool) == {"the chain of agents is longer than 3"}
	denied_by(settings, {"kind": "tool", "principal": {"agent": "c", "chain": ["a", "b", "c"]}}) == set()
}

test_work_does_not_go_back_unless_that_is_allowed if {
	back := handoff(["triage", "refunds"], "refunds", "triage")
	denied_by(settings, back) == {"the hand-off goes back to an agent in the chain"}
	not may_by(settings, back)
	may_by(object.union(settings, {"back": true}), back)
	alone := handoff([], "triage", "triage")
	denied_by({"edges": {"triage": ["triage"]}}, alone) == {"the hand-off goes back to an agent in the chain"}
}

test_where_rights_must_shrink_everybody_in_the_chain_is_asked_for if {
	demanded := {"shrinking": true}
	acts := {"kind": "tool", "principal": {"agent": "c", "chain": ["a", "b", "c"]}}
	denied_by(demanded, acts) == {
		"this is done for a, on whose behalf nobody is asked",
		"this is done for b, on whose behalf nobody is asked",
	}
	both := object.union(acts, {"principal": {"delegators": [{"agent": "a"}, {"agent": "b"}]}})
	denied_by(demanded, both) == set()
	one := object.union(acts, {"principal": {"delegators": [{"agent": "b"}]}})
	denied_by(demanded, one) == {"this is done for a, on whose behalf nobody is asked"}
	denied_by({"shrinking": false}, acts) == set()
	denied_by(demanded, {"kind": "tool", "principal": {"agent": "a", "chain": []}}) == set()
}

test_a_chain_that_is_not_known_is_denied if {
	unknown := {"the chain of agents is not known"}
	denied_by(settings, {"kind": "tool", "principal": {"agent": "a"}}) == unknown
	denied_by(settings, {"kind": "tool", "principal": {"agent": "a", "chain": "a"}}) == unknown
	denied_by(settings, {"kind": "model"}) == unknown
}

test_without_settings_nothing_is_handed_on if {
	denied_by({}, handoff([], "triage", "refunds")) == {"the hand-off goes to an agent that is not named for it"}
	denied_by({}, {"kind": "tool", "principal": {"agent": "d", "chain": ["a", "b", "c", "d"]}}) == {"the chain of agents is longer than 3"}
}

test_misspelt_settings_deny if {
	tool := {"kind": "tool", "principal": {"agent": "a", "chain": []}}
	denied_by([], tool) == {"the settings data.delegation are not an object"}
	denied_by({"depth": 3}, tool) == {"the setting data.delegation.depth is unknown or of the wrong type"}
	"the setting data.delegation.depth_max is unknown or of the wrong type" in denied_by({"depth_max": "3"}, tool)
	denied_by({"edges": {"a": "b"}}, tool) == {"the setting data.delegation.edges.a is not a list"}
}
