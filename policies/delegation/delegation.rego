# METADATA
# title: Delegation
# description: |
#   How far work is handed on, and to whom. Hand-offs go along the edges that are named; a chain of agents has a greatest
#   length; and work does not go back to an agent that is in the chain, unless that is allowed. It allows the hand-offs
#   that fit, and denies every action of an agent at the end of a chain that is too long or not known. Where rights must
#   shrink, it denies every action of an agent that acts for others without being asked for on their behalf.
# custom:
#   owasp: [ASI03, ASI08]
#   ai_act: [Article 14]
#   settings:
#     depth_max: "agents in a chain, at most; absent: 3"
#     edges: "who hands on to whom: {agent: [agent]}; absent: nobody to anybody"
#     back: "true: work may go back to an agent in the chain; absent: false"
#     shrinking: "true: whoever acts for others is asked for with each of them (rights=\"shrinking\"); absent: false"
package openclaw.policies.delegation

import rego.v1

shape := {"depth_max": "number", "edges": "object", "back": "boolean", "shrinking": "boolean"}

default settings := {}

settings := data.delegation if is_object(data.delegation)

depth_max := object.get(settings, "depth_max", 3)

chain_known if is_array(input.principal.chain)

# An agent that nobody has handed work to may have an empty chain.
chain := input.principal.chain if {
	some _ in listed(input.principal.chain)
} else := [input.principal.agent]

too_long if {
	some at, _ in chain
	at >= depth_max
}

would_be_too_long if {
	some at, _ in chain
	at + 1 >= depth_max
}

along_an_edge if input.tool.args.agent in settings.edges[input.principal.agent]

returns if {
	input.tool.args.agent in chain
	not settings.back == true
}

asked_for contains input.principal.agent

asked_for contains delegator.agent if some delegator in listed(input.principal.delegators)

allow if {
	input.kind == "handoff"
	chain_known
	along_an_edge
	not would_be_too_long
	not returns
}

deny contains "the chain of agents is not known" if not chain_known

deny contains sprintf("the chain of agents is longer than %v", [depth_max]) if {
	chain_known
	too_long
}

deny contains sprintf("the hand-off would make the chain of agents longer than %v", [depth_max]) if {
	input.kind == "handoff"
	chain_known
	would_be_too_long
}

deny contains "the hand-off goes to an agent that is not named for it" if {
	input.kind == "handoff"
	not along_an_edge
}

deny contains "the hand-off goes back to an agent in the chain" if {
	input.kind == "handoff"
	chain_known
	returns
}

deny contains sprintf("this is done for %v, on whose behalf nobody is asked", [agent]) if {
	settings.shrinking == true
	some agent in chain
	not agent in asked_for
}

# What is no list, or no object, has no members.
listed(value) := value if is_array(value)

mapped(value) := value if is_object(value)

# Settings ------------------------------------------------------------------------------------------------------------

deny contains "the settings data.delegation are not an object" if {
	value := data.delegation
	not is_object(value)
}

deny contains sprintf("the setting data.delegation.%v is unknown or of the wrong type", [key]) if {
	some key, value in settings
	not type_name(value) == shape[key]
}

deny contains sprintf("the setting data.delegation.edges.%v is not a list", [agent]) if {
	some agent, members in mapped(settings.edges)
	not is_array(members)
}
