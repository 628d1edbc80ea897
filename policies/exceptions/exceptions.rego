# METADATA
# title: Exceptions
# description: |
#   Break-glass. A named person has opened an exception, bounded in scope, uses and time; here it is judged whether it lifts
#   anything. It lifts only what a rule lets it lift, with `not data.openclaw.policies.exceptions.lifted` in its body: a deny
#   that does not say so stands, and so does an ask. Tools that are named here are allowed under an exception, and only then
#   if nothing else allows them. An agent opens none.
# custom:
#   owasp: [ASI03, ASI09]
#   ai_act: [Article 14, Article 12]
#   settings:
#     people: "who may open exceptions; absent: anybody who has one of the roles"
#     roles: "the roles of which they are, as they are enrolled; absent: anybody"
#     authenticated: "whether they must have proved who they are; absent: no"
#     requester: "whether whoever the action is done for may open one for it, allowed or denied; absent: allowed"
#     seconds_max: "how long one may stand, in seconds; absent: as long as any may"
#     uses_max: "how many uses one may have; absent: as many as any may"
#     tools: "tools that a lifting exception allows; absent: none"
#     tags: "tags of tools that a lifting exception allows; absent: none"
package openclaw.policies.exceptions

import rego.v1

shape := {
	"people": "array", "roles": "array", "authenticated": "boolean", "requester": "string",
	"seconds_max": "number", "uses_max": "number", "tools": "array", "tags": "array",
}

default settings := {}

settings := data.exceptions if is_object(data.exceptions)

# Whether an open exception lifts what rules let it lift.
lifted if {
	opened
	count(objections) == 0
}

opened if is_string(input.exception.by)

allow if {
	lifted
	input.kind == "tool"
	input.tool.name in settings.tools
}

allow if {
	lifted
	input.kind == "tool"
	some tag in listed(input.tool.tags)
	tag in settings.tags
}

# An exception that does not count is never silent about why.
deny contains objection if some objection in objections

objections contains "an agent cannot open an exception" if {
	opened
	is_agent(input.exception.by)
}

objections contains "whoever opened the exception is none of those who may" if {
	opened
	is_array(settings.people)
	not input.exception.by in settings.people
}

objections contains "whoever opened the exception has none of the roles that may" if {
	opened
	is_array(settings.roles)
	not has_role
}

objections contains "whoever opened the exception has not proved who they are" if {
	opened
	settings.authenticated
	not input.exception.authenticated == true
}

objections contains "the exception was opened by whoever this is done for" if {
	opened
	settings.requester == "denied"
	is_requester(input.exception.by)
}

objections contains sprintf("the exception stands for longer than %v seconds", [settings.seconds_max]) if {
	opened
	is_number(settings.seconds_max)
	not within(input.exception.seconds, settings.seconds_max)
}

objections contains sprintf("the exception has more than %v uses", [settings.uses_max]) if {
	opened
	is_number(settings.uses_max)
	not within(input.exception.uses, settings.uses_max)
}

has_role if {
	some role in listed(input.exception.roles)
	role in settings.roles
}

within(value, most) if {
	is_number(value)
	value <= most
}

is_agent(by) if by == input.principal.agent

is_agent(by) if by in input.principal.chain

# `user:eva` and `eva` are one person.
is_requester(by) if by == input.principal.on_behalf_of

is_requester(by) if concat(":", ["user", by]) == input.principal.on_behalf_of

is_requester(by) if {
	is_string(input.principal.on_behalf_of)
	by == concat(":", ["user", input.principal.on_behalf_of])
}

# What is no list has no members.
listed(value) := value if is_array(value)

# Settings ------------------------------------------------------------------------------------------------------------

deny contains "the settings data.exceptions are not an object" if {
	value := data.exceptions
	not is_object(value)
}

deny contains sprintf("the setting data.exceptions.%v is unknown or of the wrong type", [key]) if {
	some key, value in settings
	not type_name(value) == shape[key]
}

deny contains sprintf("the setting data.exceptions.%v is not a list of texts", [key]) if {
	some key in ["people", "roles", "tools", "tags"]
	some member in listed(settings[key])
	not is_string(member)
}

deny contains "the setting data.exceptions.requester is neither allowed nor denied" if {
	value := settings.requester
	not value in ["allowed", "denied"]
}
