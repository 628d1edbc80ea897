# METADATA
# title: Secrets
# description: |
#   Keys and passwords in arguments: never stored, and not let out. An argument in which one is found, or whose name says
#   that it holds one, is masked in the log; the call is denied unless its tool is named as one that keeps values inside.
#   Found are secrets of well-known forms; one that is encoded, split or of no known form is not.
# custom:
#   owasp: [ASI02, ASI03]
#   ai_act: [Article 12, Article 15]
#   settings:
#     inside: "tools that may be given secrets, since they do not let values out; absent: none"
#     names: "names of arguments and members that hold secrets, besides the usual ones, in any case of letters"
package openclaw.policies.secrets

import rego.v1

shape := {"inside": "array", "names": "array"}

default settings := {}

settings := data.secrets if is_object(data.secrets)

usual := {
	"password", "passwd", "passphrase", "secret", "client_secret", "api_key", "apikey", "access_key", "secret_key",
	"private_key", "access_token", "refresh_token", "auth_token", "bearer_token", "authorization", "credentials", "pin", "otp",
}

names := usual | {name | some entry in listed(object.get(settings, "names", [])); is_string(entry); name := lower(entry)}

oblige contains {"kind": "mask", "fields": [field(arg)]} if some arg in holding

deny contains sprintf("the argument %v holds a secret, which may get out", [arg]) if {
	some arg in holding
	not inside
}

inside if input.tool.name in object.get(settings, "inside", [])

# Arguments with a secret somewhere in them, by its form or by its name.
holding contains arg if {
	some [arg, text] in texts
	looks_secret(text)
}

holding contains arg if {
	some arg, value in mapped(input.tool.args)
	lower(arg) in names
	given(value)
}

holding contains arg if {
	some arg, value in mapped(input.tool.args)
	walk(value, [path, member])
	given(member)
	some step in path
	is_string(step)
	lower(step) in names
}

texts contains [arg, text] if {
	some arg, value in mapped(input.tool.args)
	walk(value, [_, text])
	is_string(text)
}

# A key can carry a secret too.
texts contains [arg, step] if {
	some arg, value in mapped(input.tool.args)
	walk(value, [path, _])
	some step in path
	is_string(step)
}

given(value) if not value in [null, "", false]

looks_secret(text) if regex.match("-----BEGIN [A-Z0-9 ]*PRIVATE KEY", text)

looks_secret(text) if regex.match("(AKIA|ASIA)[0-9A-Z]{16}", text)

looks_secret(text) if regex.match("gh[opusr]_[A-Za-z0-9]{36}", text)

looks_secret(text) if regex.match("github_pat_[A-Za-z0-9_]{22}", text)

looks_secret(text) if regex.match("glpat-[A-Za-z0-9_-]{20}", text)

looks_secret(text) if regex.match("xox[abeoprs]-[A-Za-z0-9-]{10}", text)

looks_secret(text) if regex.match("AIza[0-9A-Za-z_-]{35}", text)

looks_secret(text) if regex.match("[rs]k_live_[0-9A-Za-z]{16}", text)

looks_secret(text) if regex.match("(^|[^A-Za-z0-9])sk-[A-Za-z0-9_-]{20}", text)

looks_secret(text) if regex.match("eyJ[A-Za-z0-9_-]{10,}[^A-Za-z0-9_-]eyJ[A-Za-z0-9_-]{10}", text)

looks_secret(text) if regex.match("[A-Za-z0-9+-]://[^/@ :]*:[^/@ ]+@", text)

looks_secret(text) if regex.match("[Bb]earer [A-Za-z0-9._~+/-]{20}", text)

looks_secret(text) if regex.match("[Pp]ass(word|wd|phrase)? ?[:=] ?[^ ]{6}", text)

# A name that is no step of a path masks all arguments.
field(arg) := concat(".", ["args", arg]) if {
	not contains(arg, ".")
	arg != ""
	arg != "*"
} else := "args"

# What is no list, or no object, has no members.
listed(value) := value if is_array(value)

mapped(value) := value if is_object(value)

# Settings ------------------------------------------------------------------------------------------------------------

deny contains "the settings data.secrets are not an object" if {
	value := data.secrets
	not is_object(value)
}

deny contains sprintf("the setting data.secrets.%v is unknown or of the wrong type", [key]) if {
	some key, value in settings
	not type_name(value) == shape[key]
}

deny contains sprintf("the setting data.secrets.%v is not a list of texts", [key]) if {
	some key, value in settings
	some member in listed(value)
	not is_string(member)
}
