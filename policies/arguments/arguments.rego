# METADATA
# title: Arguments
# description: |
#   Limits on the arguments of tools: numbers with a least, a most and a sum from which a person is asked; values from a
#   list, or not from one. A limit on a number denies what is no number: "1,000,000" is not compared, it is refused.
#
#   An argument with a limit must be given, since what is left out is up to the tool; `optional` allows it to be absent.
# custom:
#   owasp: [ASI02]
#   ai_act: [Article 14, Article 15]
#   settings:
#     tools: "limits: {tool: {argument: {min, max, ask_above, one_of, none_of, type, optional}}}"
#     closed: "tools that take no arguments but those with limits"
package openclaw.policies.arguments

import rego.v1

types := {"string", "number", "boolean", "array", "object"}

shape := {"tools": "object", "closed": "array"}

words := {
	"min": "number",
	"max": "number",
	"ask_above": "number",
	"one_of": "array",
	"none_of": "array",
	"type": "string",
	"optional": "boolean",
}

limits[arg] := limit if some arg, limit in mapped(data.arguments.tools[input.tool.name])

given contains arg if {
	some arg, _ in limits
	value := input.tool.args[arg]
	value != null
}

deny contains sprintf("the argument %v is missing", [arg]) if {
	input.kind == "tool"
	some arg, limit in limits
	not arg in given
	not limit.optional == true
}

deny contains sprintf("the argument %v is not a number", [arg]) if {
	some arg in numeric
	not is_number(input.tool.args[arg])
}

deny contains sprintf("the argument %v is below %v", [arg, limits[arg].min]) if {
	some arg in numeric
	is_number(input.tool.args[arg])
	input.tool.args[arg] < limits[arg].min
}

deny contains sprintf("the argument %v is above %v", [arg, limits[arg].max]) if {
	some arg in numeric
	is_number(input.tool.args[arg])
	input.tool.args[arg] > limits[arg].max
}

ask contains sprintf("the argument %v is above %v", [arg, limits[arg].ask_above]) if {
	some arg in numeric
	is_number(input.tool.args[arg])
	input.tool.args[arg] > limits[arg].ask_above
}

deny contains sprintf("the argument %v is not of the type %v", [arg, limits[arg].type]) if {
	some arg in tool_given
	type_name(input.tool.args[arg]) != limits[arg].type
}

deny contains sprintf("the argument %v has a value that is not on its list", [arg]) if {
	some [arg, value] in values
	is_array(limits[arg].one_of)
	not value in limits[arg].one_of
}

deny contains sprintf("the argument %v has a value that is forbidden", [arg]) if {
	some [arg, value] in values
	is_array(limits[arg].none_of)
	value in limits[arg].none_of
}

deny contains "this tool takes no argument but those with limits" if {
	input.kind == "tool"
	input.tool.name in data.arguments.closed
	some arg, _ in mapped(input.tool.args)
	not arg in object.keys(limits)
}

# Each member of a list, and of lists in it, is a value. An object is one value, which is on no list of texts.
values contains [arg, input.tool.args[arg]] if {
	some arg in tool_given
	not is_array(input.tool.args[arg])
}

values contains [arg, value] if {
	some arg in tool_given
	is_array(input.tool.args[arg])
	some value in listed(input.tool.args[arg])
}

tool_given contains arg if {
	input.kind == "tool"
	some arg in given
}

numeric contains arg if {
	some arg in tool_given
	some word in ["min", "max", "ask_above"]
	_ := limits[arg][word]
}

# What is no list, or no object, has no members.
listed(value) := value if is_array(value)

mapped(value) := value if is_object(value)

# Settings ------------------------------------------------------------------------------------------------------------

deny contains "the settings data.arguments are missing or not an object" if not settings_known

settings_known if is_object(data.arguments)

deny contains sprintf("the setting data.arguments.%v is unknown or of the wrong type", [key]) if {
	some key, value in mapped(data.arguments)
	not type_name(value) == shape[key]
}

deny contains sprintf("the limits of %v in data.arguments.tools are not objects", [tool]) if {
	some tool, arguments in mapped(data.arguments.tools)
	not is_object(arguments)
}

deny contains sprintf("the limit of %v of %v in data.arguments.tools is not an object", [arg, tool]) if {
	some tool, arguments in mapped(data.arguments.tools)
	some arg, limit in mapped(arguments)
	not is_object(limit)
}

deny contains sprintf("%v of %v of %v in data.arguments.tools is unknown or of the wrong type", [word, arg, tool]) if {
	some tool, arguments in mapped(data.arguments.tools)
	some arg, limit in mapped(arguments)
	some word, value in mapped(limit)
	not type_name(value) == words[word]
}

deny contains sprintf("type of %v of %v in data.arguments.tools is none of Rego's", [arg, tool]) if {
	some tool, arguments in mapped(data.arguments.tools)
	some arg, limit in mapped(arguments)
	is_string(limit.type)
	not limit.type in types
}
