# METADATA
# title: Rate limits
# description: |
#   At most so many calls in any span of so much time, of all tools or of those that are named, counted for each agent, each
#   person or whatever else is said. What is counted is what passes, exactly, over all processes that share the database; a
#   call over a limit is denied, and the refusal says when to try again.
# custom:
#   owasp: [ASI02, ASI08]
#   ai_act: [Article 15]
#   settings:
#     limits: "[{name: text, calls: number, per: second, minute, hour, day or seconds, tools: [name], tags: [tag], kinds: [kind], each: [agent, workflow, org, person, tool, run]}]; tools and tags absent: every tool; kinds absent: [tool]; each absent: [agent]; absent: 60 calls a minute for each agent"
package openclaw.policies.rates

import rego.v1

shape := {"limits": "array"}

entry := {
	"name": "string",
	"calls": "number",
	"tools": "array",
	"tags": "array",
	"kinds": "array",
	"each": "array",
}

spans := {"second", "minute", "hour", "day"}

default settings := {}

settings := data.rates if is_object(data.rates)

limits := object.get(settings, "limits", [{"name": "tools", "calls": 60, "per": "minute"}])

oblige contains {"kind": "limit", "key": named_count(limit), "calls": limit.calls, "per": limit.per} if {
	some limit in listed(limits)
	of_kind(limit)
	of_tool(limit)
}

of_kind(limit) if input.kind in object.get(limit, "kinds", ["tool"])

of_tool(limit) if {
	not limit.tools
	not limit.tags
}

of_tool(limit) if input.tool.name in limit.tools

of_tool(limit) if {
	some tag in listed(input.tool.tags)
	tag in limit.tags
}

# `rates/changes/agent=refunds`: one count for each value of what is named in `each`.
named_count(limit) := concat("/", array.concat(["rates", limit.name], counted(object.get(limit, "each", ["agent"]))))

counted(each) := [part |
	some what in each
	part := concat("=", [what, subject[what]])
]

# What is not known is counted together.
subject := {
	"agent": agent,
	"workflow": workflow,
	"org": org,
	"person": person,
	"tool": tool,
	"run": run,
}

default agent := ""

agent := input.principal.agent if is_string(input.principal.agent)

default workflow := ""

workflow := input.principal.workflow if is_string(input.principal.workflow)

default org := ""

org := input.principal.org if is_string(input.principal.org)

default person := ""

person := input.principal.on_behalf_of if is_string(input.principal.on_behalf_of)

default tool := ""

tool := input.tool.name if is_string(input.tool.name)

default run := ""

run := input.run.id if is_string(input.run.id)

# What is no list, or no object, has no members.
listed(value) := value if is_array(value)

mapped(value) := value if is_object(value)

# Settings ------------------------------------------------------------------------------------------------------------

deny contains "the settings data.rates are not an object" if {
	value := data.rates
	not is_object(value)
}

deny contains sprintf("the setting data.rates.%v is unknown or of the wrong type", [key]) if {
	some key, value in settings
	not type_name(value) == shape[key]
}

deny contains sprintf("the setting data.rates.limits.%v is not an object", [at]) if {
	some at, limit in listed(settings.limits)
	not is_object(limit)
}

deny contains sprintf("the setting data.rates.limits.%v.%v is unknown or of the wrong type", [at, key]) if {
	some at, limit in listed(settings.limits)
	some key, value in mapped(limit)
	key != "per"
	not type_name(value) == entry[key]
}

deny contains sprintf("the setting data.rates.limits.%v.%v is not a list of texts", [at, key]) if {
	some at, limit in listed(settings.limits)
	some key in ["tools", "tags", "kinds", "each"]
	some member in listed(limit[key])
	not is_string(member)
}

deny contains sprintf("the setting data.rates.limits.%v has no name of its own", [at]) if {
	some at, limit in listed(settings.limits)
	not named(limit)
}

deny contains sprintf("the setting data.rates.limits.%v has the name of another", [at]) if {
	some at, limit in listed(settings.limits)
	some other, twin in listed(settings.limits)
	other < at
	limit.name == twin.name
}

deny contains sprintf("the setting data.rates.limits.%v does not say how many calls", [at]) if {
	some at, limit in listed(settings.limits)
	not bounded(limit)
}

deny contains sprintf("the setting data.rates.limits.%v does not say per what", [at]) if {
	some at, limit in listed(settings.limits)
	not spanned(limit)
}

deny contains sprintf("the setting data.rates.limits.%v.each names what is not counted", [at]) if {
	some at, limit in listed(settings.limits)
	some what in listed(limit.each)
	not known(what)
}

named(limit) if {
	is_string(limit.name)
	limit.name != ""
}

bounded(limit) if {
	is_number(limit.calls)
	limit.calls >= 0
}

spanned(limit) if limit.per in spans

spanned(limit) if {
	is_number(limit.per)
	limit.per >= 1
}

known(what) if subject[what] == subject[what]
