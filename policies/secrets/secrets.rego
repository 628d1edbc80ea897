# METADATA
# title: Secrets
# description: |
#   Keys and passwords: never stored, not let out, and not let in. An argument in which one is found, or whose name says
#   that it holds one, is masked in the log; the call is denied unless its tool is named as one that keeps values inside.
#   What a tool returns is cut before a model sees it. Found are secrets of well-known forms; one that is encoded, split or
#   of no known form is not.
# custom:
#   owasp: [ASI02, ASI03]
#   ai_act: [Article 12, Article 15]
#   settings:
#     inside: "tools that may be given secrets, since they do not let values out; absent: none"
#     names: "names of arguments and members that hold secrets, besides the usual ones, in any case of letters"
#     results: "what becomes of results with secrets in them: cut, deny or keep; absent: cut"
package openclaw.policies.secrets

import rego.v1

shape := {"inside": "array", "names": "array", "results": "string"}

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

# Results -------------------------------------------------------------------------------------------------------------

results := object.get(settings, "results", "cut")

oblige contains {"kind": "redact", "texts": [secret], "replacement": "[secret]"} if {
	results == "cut"
	some secret in returned
}

oblige contains {"kind": "redact", "fields": [place]} if {
	results == "cut"
	some place in places
}

deny contains "the result holds a secret" if {
	results == "deny"
	some _ in returned
}

deny contains "the result holds a secret" if {
	results == "deny"
	some _ in places
}

result_texts contains text if {
	input.kind == "result"
	walk(input.result, [_, text])
	is_string(text)
}

result_texts contains step if {
	input.kind == "result"
	walk(input.result, [path, _])
	some step in path
	is_string(step)
}

returned contains secret if {
	some text in result_texts
	some secret in regex.find_n("-----BEGIN [A-Z0-9 ]*PRIVATE KEY([\\s\\S]*?-----END [A-Z0-9 ]*PRIVATE KEY-----|[\\s\\S]*)", text, -1)
}

returned contains secret if {
	some text in result_texts
	some secret in regex.find_n("(AKIA|ASIA)[0-9A-Z]{16}", text, -1)
}

returned contains secret if {
	some text in result_texts
	some secret in regex.find_n("gh[opusr]_[A-Za-z0-9]{36,}", text, -1)
}

returned contains secret if {
	some text in result_texts
	some secret in regex.find_n("github_pat_[A-Za-z0-9_]{22,}", text, -1)
}

returned contains secret if {
	some text in result_texts
	some secret in regex.find_n("glpat-[A-Za-z0-9_-]{20,}", text, -1)
}

returned contains secret if {
	some text in result_texts
	some secret in regex.find_n("xox[abeoprs]-[A-Za-z0-9-]{10,}", text, -1)
}

returned contains secret if {
	some text in result_texts
	some secret in regex.find_n("AIza[0-9A-Za-z_-]{35,}", text, -1)
}

returned contains secret if {
	some text in result_texts
	some secret in regex.find_n("[rs]k_live_[0-9A-Za-z]{16,}", text, -1)
}

returned contains secret if {
	some text in result_texts
	some secret in regex.find_n("(^|[^A-Za-z0-9])sk-[A-Za-z0-9_-]{20,}", text, -1)
}

returned contains secret if {
	some text in result_texts
	some secret in regex.find_n("eyJ[A-Za-z0-9_-]{10,}[^A-Za-z0-9_-]eyJ[A-Za-z0-9_-]{10,}[A-Za-z0-9_.-]*", text, -1)
}

returned contains secret if {
	some text in result_texts
	some secret in regex.find_n("[A-Za-z0-9+-]+://[^/@ :]*:[^/@ ]+@", text, -1)
}

returned contains secret if {
	some text in result_texts
	some secret in regex.find_n("[Bb]earer [A-Za-z0-9._~+/-]{20,}", text, -1)
}

returned contains secret if {
	some text in result_texts
	some secret in regex.find_n("[Pp]ass(word|wd|phrase)? ?[:=] ?[^ ]{6,}", text, -1)
}

# Members of the result whose names say that they hold secrets.
places contains place_of(path) if {
	input.kind == "result"
	walk(input.result, [path, member])
	given(member)
	some step in array.slice(path, count(path) - 1, count(path))
	is_string(step)
	lower(step) in names
}

# A step that is no step of a path cuts all of the result.
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

deny contains "the setting data.secrets.results is neither cut, deny nor keep" if {
	value := settings.results
	not value in {"cut", "deny", "keep"}
}

deny contains sprintf("the setting data.secrets.%v is not a list of texts", [key]) if {
	some key, value in settings
	some member in listed(value)
	not is_string(member)
}
