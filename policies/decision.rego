# METADATA
# title: Decision
# description: |
#   Combines every package `openclaw.policies.<name>` into one decision. Any deny denies; else any ask asks; else any
#   allow allows; else nothing is allowed. Obligations are collected whatever the effect, since a refused call is
#   recorded too.
#
#   A package may define `allow if …`, `deny contains reason if …`, `ask contains reason if …` and
#   `oblige contains obligation if …`. Only `allow` that is exactly `true` allows. A `deny` or `ask` of any other shape
#   (`deny if …`, `deny[reason] if …`, `deny := {…}`, a reason that is not text) still holds: it is never dropped for
#   being written unusually.
package openclaw

import rego.v1

default decision := {"effect": "deny", "reasons": ["no policy allows this"], "rules": [], "obligations": []}

decision := {
	"effect": "deny",
	"reasons": sort({reason | some [_, reason] in _denials}),
	"rules": sort({concat("", ["policies.", name, ".deny"]) | some [name, _] in _denials}),
	"obligations": sort(_obligations),
} if {
	count(_denials) > 0
} else := {
	"effect": "ask",
	"reasons": sort({reason | some [_, reason] in _questions}),
	"rules": sort({concat("", ["policies.", name, ".ask"]) | some [name, _] in _questions}),
	"obligations": sort(_obligations),
} if {
	count(_questions) > 0
} else := {
	"effect": "allow",
	"reasons": [],
	"rules": sort({concat("", ["policies.", name, ".allow"]) | some name in _permissions}),
	"obligations": sort(_obligations),
} if {
	count(_permissions) > 0
} else := {
	"effect": "deny",
	"reasons": ["no policy allows this"],
	"rules": [],
	"obligations": sort(_obligations),
}

_permissions contains name if {
	some name
	data.openclaw.policies[name].allow == true
}

_denials contains [name, reason] if {
	some name
	verdict := data.openclaw.policies[name].deny
	verdict != set()
	some reason in _reasons(concat("", ["policies.", name, ".deny"]), verdict)
}

_questions contains [name, reason] if {
	some name
	verdict := data.openclaw.policies[name].ask
	verdict != set()
	some reason in _reasons(concat("", ["policies.", name, ".ask"]), verdict)
}

_obligations contains obligation if {
	some name
	value := data.openclaw.policies[name].oblige
	value != set()
	some obligation in _members(value)
}

# Every reason in a verdict, as text. Empty only for `false`, an empty set, array or object.
# Comprehensions name one variable before the bar: rego-cpp loses the parameters of a function there.
_reasons(rule, verdict) := {text | some reason in verdict; text := _text(rule, reason)} if {
	_listed(verdict)
} else := {text | some key in object.keys(verdict); text := _entry(rule, key, verdict[key])} if {
	is_object(verdict)
} else := set() if {
	verdict == false
} else := {_text(rule, verdict)}

_text(rule, reason) := reason if {
	is_string(reason)
	reason != ""
} else := concat("", [rule, " gives no reason in text"])

# `deny[reason] if …` makes an object from reason to true.
_entry(rule, key, value) := _text(rule, key) if {
	value == true
} else := _text(rule, null)

# Every obligation in a value. What is not an obligation stays in, and fails the decision where it is read.
_members(value) := {obligation | some obligation in value} if {
	_listed(value)
} else := set() if {
	value == {}
} else := {value}

_listed(value) if is_set(value)

_listed(value) if is_array(value)
