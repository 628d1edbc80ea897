# METADATA
# title: Personal data
# description: |
#   Data about people in arguments is masked in the log: e-mail addresses, telephone and card numbers, IBANs and dates of
#   birth, by their form or by the name of the argument. A call of a tool that lets values out asks a person, or is denied,
#   if it carries a kind for which that is said. Names and addresses of streets have no form: name their arguments.
# custom:
#   owasp: [ASI02]
#   ai_act: [Article 12]
#   settings:
#     outside: "tools that let values out: {tools: [name], tags: [tag]}; absent: every tool"
#     ask: "kinds for which a person is asked before they leave; absent: [card, iban]"
#     deny: "kinds that do not leave; absent: none"
#     names: "names of arguments and members of each kind, besides the usual ones: {kind: [name]}"
package openclaw.policies.personal

import rego.v1

shape := {"outside": "object", "ask": "array", "deny": "array", "names": "object"}

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
	some key in ["ask", "deny"]
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
