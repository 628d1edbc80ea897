# METADATA
# title: Untrusted content
# description: |
#   What an agent has read from outsiders does not choose what it does. For tools that act, read from `input.flow`: an
#   argument that says where something goes (a recipient, an account, an address) and that only outsiders named is denied;
#   one that nobody named asks; other arguments that carry addresses from outsiders ask; and tools that are named as
#   careful ask whenever anything untrusted has been read. A call of which nothing is known is denied.
# custom:
#   owasp: [ASI01]
#   ai_act: [Article 14, Article 15]
#   settings:
#     reading: "tools that do not act: {tools: [name], tags: [tag]}; absent: the tag read"
#     targets: "arguments that say where something goes, besides the usual ones"
#     careful: "tools that ask whenever anything untrusted was read: {tools: [name], tags: [tag]}; absent: none"
package openclaw.policies.untrusted

import rego.v1

shape := {"reading": "object", "targets": "array", "careful": "object"}

default settings := {}

settings := data.untrusted if is_object(data.untrusted)

usual := [
	"recipient", "recipients", "to", "cc", "bcc", "account", "iban", "address", "email", "channel", "user", "url", "uri",
	"webhook", "host", "path", "command", "sql",
]

leads := {"url", "host", "email", "iban"}

targets contains arg if some arg in usual

targets contains arg if some arg in listed(settings.targets)

acts if {
	input.kind == "tool"
	not reads
}

reads if input.tool.name in settings.reading.tools

reads if only_tagged(object.get(object.get(settings, "reading", {}), "tags", ["read"]))

careful if input.tool.name in settings.careful.tools

careful if {
	some tag in listed(input.tool.tags)
	tag in settings.careful.tags
}

only_tagged(tags) if {
	is_array(tags)
	is_array(input.tool.tags)
	some _ in listed(input.tool.tags)
	not tagged_beyond(tags)
}

tagged_beyond(tags) if {
	some tag in listed(input.tool.tags)
	not tag in tags
}

flow_known if {
	is_boolean(input.flow.untrusted)
	is_object(input.flow.args)
}

given contains arg if {
	acts
	flow_known
	some arg, value in mapped(input.tool.args)
	not value in [null, ""]
}

deny contains "nothing is known of what was read before this" if {
	acts
	not flow_known
}

deny contains sprintf("the origin of the argument %v is not known", [arg]) if {
	some arg in given
	not arg in origin_known
}

origin_known contains arg if {
	some arg, origin in mapped(input.flow.args)
	origin.trust in {"trusted", "untrusted", "unknown"}
}

deny contains sprintf("only outsiders named the %v", [arg]) if {
	some arg in given
	arg in targets
	input.flow.args[arg].trust == "untrusted"
}

ask contains sprintf("nobody named the %v, and outsiders were read", [arg]) if {
	some arg in given
	arg in targets
	input.flow.untrusted
	input.flow.args[arg].trust == "unknown"
	not input.flow.args[arg].trivial == true
}

ask contains sprintf("the argument %v holds an address (%v) from outsiders", [arg, part.kind]) if {
	some arg in given
	not arg in targets
	some part in listed(input.flow.args[arg].parts)
	part.kind in leads
	some _ in part.seen_in
}

ask contains "this is to be done after something untrusted was read" if {
	acts
	careful
	input.flow.untrusted
}

ask contains "not all that was read could be compared" if {
	acts
	flow_known
	input.flow.untrusted
	not input.flow.complete == true
}

# What is no list, or no object, has no members.
listed(value) := value if is_array(value)

mapped(value) := value if is_object(value)

# Settings ------------------------------------------------------------------------------------------------------------

deny contains "the settings data.untrusted are not an object" if {
	value := data.untrusted
	not is_object(value)
}

deny contains sprintf("the setting data.untrusted.%v is unknown or of the wrong type", [key]) if {
	some key, value in settings
	not type_name(value) == shape[key]
}

deny contains "the setting data.untrusted.targets is not a list of texts" if {
	some member in listed(settings.targets)
	not is_string(member)
}

deny contains sprintf("the setting data.untrusted.%v.%v is unknown or no list", [key, name]) if {
	some key in ["reading", "careful"]
	some name, members in mapped(settings[key])
	not usable(name, members)
}

usable(name, members) if {
	name in {"tools", "tags"}
	is_array(members)
}
