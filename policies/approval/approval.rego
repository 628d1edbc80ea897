# METADATA
# title: Approval
# description: |
#   Some tools are used only after a person has agreed, and that person is another one than who asked for it, and, if
#   approvers are named, one of them. Who asked is the principal's `on_behalf_of`; without it nobody can be told apart from
#   the requester, so the call is denied unless the requester is said to be optional.
# custom:
#   owasp: [ASI03, ASI09]
#   ai_act: [Article 14]
#   settings:
#     tools: "tools that need a person; absent together with tags: every tool"
#     tags: "tags of tools that need a person"
#     approvers: "who may agree; absent: everybody but the requester and the agents"
#     requester: "required or optional; absent: required"
package openclaw.policies.approval

import rego.v1

shape := {"tools": "array", "tags": "array", "approvers": "array", "requester": "string"}

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
	is_requester(input.approval.by)
}

deny contains "an agent cannot agree" if {
	bound
	answered
	is_agent(input.approval.by)
}

deny contains "who agreed is none of the approvers" if {
	bound
	answered
	is_array(settings.approvers)
	not is_approver
}

is_approver if input.approval.by in settings.approvers

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
	some key in ["tools", "tags", "approvers"]
	some member in listed(settings[key])
	not is_string(member)
}

deny contains "the setting data.approval.requester is neither required nor optional" if {
	value := settings.requester
	not value in ["required", "optional"]
}
