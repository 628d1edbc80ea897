# METADATA
# title: Roles
# description: |
#   Who may use what: grants to roles and to single agents, by the names of tools or by their tags. It only allows, so
#   what nobody is granted stays denied, and every guard may still say no.
#
#   A grant by tags holds for a tool all of whose tags are granted: a tool that is tagged read and money is no mere reader.
# custom:
#   owasp: [ASI02, ASI03]
#   ai_act: [Article 15]
#   settings:
#     roles: "grants of each role: {role: {tools: […], tags: […], models: […], handoffs: […], memory: […]}}; \"*\" is any name"
#     agents: "grants of single agents, in the same form: {agent: {tools: […]}}"
package openclaw.policies.roles

import rego.v1

allow if {
	some grant in grants
	covers(grant)
}

grants contains grant if {
	is_array(input.principal.roles)
	some role in listed(input.principal.roles)
	grant := data.roles.roles[role]
}

grants contains data.roles.agents[input.principal.agent]

covers(grant) if {
	input.kind == "tool"
	named(grant.tools, input.tool.name)
}

covers(grant) if {
	input.kind == "tool"
	is_array(input.tool.tags)
	is_array(grant.tags)
	some _ in listed(input.tool.tags)
	not tagged_beyond(grant)
}

covers(grant) if {
	input.kind == "model"
	named(grant.models, input.model.name)
}

covers(grant) if {
	input.kind == "handoff"
	named(grant.handoffs, input.tool.args.agent)
}

covers(grant) if {
	input.kind == "memory"
	named(grant.memory, input.tool.name)
}

tagged_beyond(grant) if {
	some tag in listed(input.tool.tags)
	not tag in grant.tags
}

named(names, name) if {
	is_array(names)
	is_string(name)
	name in names
}

named(names, name) if {
	is_array(names)
	is_string(name)
	"*" in names
}

# What is no list, or no object, has no members.
listed(value) := value if is_array(value)
