# METADATA
# title: Approval
# description: |
#   Some tools are used only after a person has agreed, or several, and each of them is another one than who asked for it,
#   and, if approvers are named, one of them. Who asked is the principal's `on_behalf_of`; without it nobody can be told
#   apart from the requester, so the call is denied unless the requester is said to be optional. How many must agree, of
#   which roles and with what proof, is demanded of the gate, which knows who is enrolled for which role.
# custom:
#   owasp: [ASI03, ASI09]
#   ai_act: [Article 14]
#   settings:
#     tools: "tools that need a person; absent together with tags: every tool"
#     tags: "tags of tools that need a person"
#     approvers: "who may agree; absent: everybody but the requester and the agents"
#     requester: "required or optional; absent: required"
#     quorum: "how many people must agree; absent: 1"
#     roles: "the roles of which they must be; absent: anybody"
#     distinct: "whether each stands for another of the roles; absent: no"
#     authenticated: "whether each must prove who they are; absent: no"
#     amend: "the arguments that they may change; absent: none"
package openclaw.policies.approval

import rego.v1

shape := {
	"tools": "array", "tags": "array", "approvers": "array", "requester": "string",
	"quorum": "number", "roles": "array", "distinct": "boolean", "authenticated": "boolean", "amend": "array",
}

default settings := {}

settings := data.approval if is_object(data.approval)

bound if {
	input.kind == "tool"
	not settings.tools
	not settings.tags
}

bound if {
	input.kind == "tool"
	input.tool.name in settings.tools
}

bound if {
	input.kind == "tool"
	some tag in listed(input.tool.tags)
	tag in settings.tags
}

requester_known if {
	is_string(input.principal.on_behalf_of)
	input.principal.on_behalf_of != ""
}

answered if {
	value := input.approval
	value != null
}

ask contains "this tool needs the agreement of a person" if bound

deny contains "it is not known for whom this is done, so nobody can agree as another person" if {
	bound
	not requester_known
	not object.get(settings, "requester", "required") == "optional"
}

deny contains "it is not known who agreed" if {
	bound
	answered
	not by_known
}

by_known if is_string(input.approval.by)

deny contains "who asked for it cannot agree to it" if {
	bound
	answered
	some by in agreed
	is_requester(by)
}

deny contains "an agent cannot agree" if {
	bound
	answered
	some by in agreed
	is_agent(by)
}

deny contains "who agreed is none of the approvers" if {
	bound
	answered
	is_array(settings.approvers)
	some by in agreed
	not by in settings.approvers
}

# Everybody who agreed: who was last, and each whose answer is listed.
agreed contains input.approval.by

agreed contains answer.by if some answer in listed(input.approval.answers)

oblige contains object.union({"kind": "approve"}, demanded) if bound

demanded := {key: settings[key] |
	some key in ["quorum", "roles", "distinct", "authenticated"]
	settings[key]
}

oblige contains {"kind": "amend", "args": settings.amend} if {
	bound
	count(listed(settings.amend)) > 0
}

# `user:eva` and `eva` are one person.
is_requester(by) if by == input.principal.on_behalf_of

is_requester(by) if {
	is_string(by)
	concat(":", ["user", by]) == input.principal.on_behalf_of
}

is_requester(by) if {
	requester_known
	by == concat(":", ["user", input.principal.on_behalf_of])
}

is_agent(by) if by == input.principal.agent

is_agent(by) if by in input.principal.chain

# What is no list, or no object, has no members.
listed(value) := value if is_array(value)

# Settings ------------------------------------------------------------------------------------------------------------

deny contains "the settings data.approval are not an object" if {
	value := data.approval
	not is_object(value)
}

deny contains sprintf("the setting data.approval.%v is unknown or of the wrong type", [key]) if {
	some key, value in settings
	not type_name(value) == shape[key]
}

deny contains sprintf("the setting data.approval.%v is not a list of texts", [key]) if {
	some key in ["tools", "tags", "approvers", "roles", "amend"]
	some member in listed(settings[key])
	not is_string(member)
}

deny contains "the setting data.approval.requester is neither required nor optional" if {
	value := settings.requester
	not value in ["required", "optional"]
}
