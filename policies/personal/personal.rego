# METADATA
# title: Personal data
# description: |
#   Data about people in arguments is masked in the log: e-mail addresses, telephone and card numbers, IBANs and dates of
#   birth, by their form or by the name of the argument. A call of a tool that lets values out asks a person, or is denied,
#   if it carries a kind for which that is said. From results the kinds that are said are cut before a model sees them. Names
#   and addresses of streets have no form: name their arguments and members.
# custom:
#   owasp: [ASI02]
#   ai_act: [Article 12]
#   settings:
#     outside: "tools that let values out: {tools: [name], tags: [tag]}; absent: every tool"
#     ask: "kinds for which a person is asked before they leave; absent: [card, iban]"
#     deny: "kinds that do not leave; absent: none"
#     cut: "kinds that are cut from results; absent: [card, iban]"
#     names: "names of arguments and members of each kind, besides the usual ones: {kind: [name]}"
package openclaw.policies.personal

import rego.v1

shape := {"outside": "object", "ask": "array", "deny": "array", "cut": "array", "names": "object"}

kinds := {"email", "phone", "card", "iban", "birth", "other"}

default settings := {}

settings := data.personal if is_object(data.personal)

usual := {
	"email": ["email", "e_mail", "mail_address", "email_address", "user_email"],
	"phone": ["phone", "telephone", "mobile", "phone_number", "fax"],
	"card": ["card", "card_number", "credit_card"],
	"iban": ["iban", "account_number", "bank_account"],
	"birth": ["birthday", "birth_date", "date_of_birth", "dob"],
	"other": ["ssn", "social_security_number", "tax_id", "passport", "passport_number", "street", "home_address"],
}

# Names and the kinds that they stand for.
known contains [lower(name), kind] if {
	some kind, entries in usual
	some name in listed(entries)
	is_string(name)
}

known contains [lower(name), kind] if {
	some kind, entries in mapped(settings.names)
	some name in listed(entries)
	is_string(name)
}

oblige contains {"kind": "mask", "fields": [field(arg)]} if some [arg, _] in holding

ask contains sprintf("the argument %v holds personal data (%v), which would get out", [arg, kind]) if {
	leaves
	some [arg, kind] in holding
	kind in object.get(settings, "ask", ["card", "iban"])
}

deny contains sprintf("the argument %v holds personal data (%v), which must not get out", [arg, kind]) if {
	leaves
	some [arg, kind] in holding
	kind in object.get(settings, "deny", [])
}

leaves if {
	input.kind == "tool"
	not settings.outside
}

leaves if {
	input.kind == "tool"
	input.tool.name in settings.outside.tools
}

leaves if {
	input.kind == "tool"
	some tag in listed(input.tool.tags)
	tag in settings.outside.tags
}

holding contains [arg, "email"] if {
	some [arg, text] in texts
	regex.match("[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\\.[A-Za-z0-9]", text)
}

holding contains [arg, "iban"] if {
	some [arg, text] in texts
	regex.match("\\b[A-Za-z]{2}[0-9]{2}([ -]?[A-Za-z0-9]{4}){3,7}[ -]?[A-Za-z0-9]{0,3}\\b", text)
}

holding contains [arg, "card"] if {
	some [arg, text] in texts
	regex.match("\\b[2-6]([ -]?[0-9]){12,18}\\b", text)
}

holding contains [arg, "phone"] if {
	some [arg, text] in texts
	regex.match("(\\+|\\b00)[1-9]([ ()/-]*[0-9]){7,13}\\b", text)
}

holding contains [arg, kind] if {
	some arg, value in mapped(input.tool.args)
	given(value)
	some [name, kind] in known
	name == lower(arg)
}

holding contains [arg, kind] if {
	some arg, value in mapped(input.tool.args)
	walk(value, [path, member])
	given(member)
	some step in path
	is_string(step)
	some [name, kind] in known
	name == lower(step)
}

# A card number may come as a number.
texts contains [arg, text] if {
	some arg, value in mapped(input.tool.args)
	walk(value, [_, text])
	is_string(text)
}

texts contains [arg, text] if {
	some arg, value in mapped(input.tool.args)
	walk(value, [_, number])
	is_number(number)
	text := format_int(number, 10)
}

# Results -------------------------------------------------------------------------------------------------------------

cut := object.get(settings, "cut", ["card", "iban"])

oblige contains {"kind": "redact", "texts": [found], "replacement": concat("", ["[", kind, "]"])} if {
	some [kind, found] in returned
	kind in cut
}

oblige contains {"kind": "redact", "fields": [place_of(path)]} if {
	some [kind, path] in kept
	kind in cut
}

# What is not cut is not stored either.
oblige contains {"kind": "mask", "fields": [place_of(path)]} if some [_, path] in kept

oblige contains {"kind": "mask", "fields": [place_of(path)]} if {
	some [path, text] in result_texts
	some [_, found] in returned
	contains(text, found)
}

result_texts contains [path, text] if {
	input.kind == "result"
	walk(input.result, [path, text])
	is_string(text)
}

returned contains ["email", found] if {
	some [_, text] in result_texts
	some found in regex.find_n("[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\\.[A-Za-z0-9.-]*[A-Za-z0-9]", text, -1)
}

returned contains ["iban", found] if {
	some [_, text] in result_texts
	some found in regex.find_n("\\b[A-Za-z]{2}[0-9]{2}([ -]?[A-Za-z0-9]{4}){3,7}[ -]?[A-Za-z0-9]{0,3}\\b", text, -1)
}

returned contains ["card", found] if {
	some [_, text] in result_texts
	some found in regex.find_n("\\b[2-6]([ -]?[0-9]){12,18}\\b", text, -1)
}

returned contains ["phone", found] if {
	some [_, text] in result_texts
	some found in regex.find_n("(\\+|\\b00)[1-9]([ ()/-]*[0-9]){7,13}\\b", text, -1)
}

# Members of the result by their names, and numbers that have the form of a card number.
kept contains [kind, path] if {
	input.kind == "result"
	walk(input.result, [path, member])
	given(member)
	some step in array.slice(path, count(path) - 1, count(path))
	is_string(step)
	some [name, kind] in known
	name == lower(step)
}

kept contains ["card", path] if {
	input.kind == "result"
	walk(input.result, [path, number])
	is_number(number)
	regex.match("^[2-6][0-9]{12,18}$", format_int(number, 10))
}

# A step that is no step of a path stands for all of the result.
place_of(path) := "result" if {
	odd(path)
} else := concat(".", array.concat(["result"], steps(path)))

odd(path) if {
	some step in path
	is_string(step)
	not is_step(step)
}

is_step(step) if {
	not contains(step, ".")
	step != ""
	step != "*"
}

steps(path) := [text |
	some step in path
	text := step_text(step)
]

step_text(step) := step if is_string(step)

step_text(step) := format_int(step, 10) if is_number(step)

given(value) if not value in [null, "", false]

field(arg) := concat(".", ["args", arg]) if {
	not contains(arg, ".")
	arg != ""
	arg != "*"
} else := "args"

# What is no list, or no object, has no members.
listed(value) := value if is_array(value)

mapped(value) := value if is_object(value)

# Settings ------------------------------------------------------------------------------------------------------------

deny contains "the settings data.personal are not an object" if {
	value := data.personal
	not is_object(value)
}

deny contains sprintf("the setting data.personal.%v is unknown or of the wrong type", [key]) if {
	some key, value in settings
	not type_name(value) == shape[key]
}

deny contains sprintf("the setting data.personal.%v names a kind that does not exist", [key]) if {
	some key in ["ask", "deny", "cut"]
	some kind in listed(settings[key])
	not kind in kinds
}

deny contains "the setting data.personal.names names a kind that does not exist" if {
	some kind, _ in mapped(settings.names)
	not kind in kinds
}

deny contains sprintf("the setting data.personal.%v.%v is not a list of texts", [key, name]) if {
	some key in ["outside", "names"]
	some name, members in mapped(settings[key])
	not is_array(members)
}

deny contains sprintf("the setting data.personal.%v.%v is not a list of texts", [key, name]) if {
	some key in ["outside", "names"]
	some name, members in mapped(settings[key])
	some member in listed(members)
	not is_string(member)
}

deny contains sprintf("the setting data.personal.outside.%v is unknown", [key]) if {
	some key, _ in mapped(settings.outside)
	not key in {"tools", "tags"}
}
