# METADATA
# title: Budget reserve
# description: |
#   Asks a person before the last of a budget is used, while there is still something to decide about. What is left is read
#   from `input.budget.remaining`, the least along the accounts; the budget itself stops the call that it cannot carry.
#   If a unit must be limited and no account limits it, the call is denied.
# custom:
#   owasp: []
#   ai_act: [Article 14]
#   settings:
#     keep: "how much is kept of each unit: {tokens, input_tokens, output_tokens, calls, microusd, milliseconds, mwh}; absent: none"
#     required: "units that some account must limit; absent: none"
#     kinds: "kinds of actions that ask; absent: [tool, handoff]"
package openclaw.policies.reserve

import rego.v1

shape := {"keep": "object", "required": "array", "kinds": "array"}

units := {"tokens", "input_tokens", "output_tokens", "calls", "microusd", "milliseconds", "mwh"}

default settings := {}

settings := data.reserve if is_object(data.reserve)

bound if input.kind in object.get(settings, "kinds", ["tool", "handoff"])

ask contains sprintf("less than %v %v of the budget are left", [least, unit]) if {
	bound
	some unit, least in mapped(settings.keep)
	is_number(input.budget.remaining[unit])
	input.budget.remaining[unit] < least
}

deny contains sprintf("what is left of the %v in the budget is not a number", [unit]) if {
	some unit, left in mapped(input.budget.remaining)
	not is_number(left)
}

deny contains sprintf("no budget limits %v", [unit]) if {
	some unit in listed(settings.required)
	not unit in limited
}

limited contains unit if {
	some unit, left in mapped(input.budget.remaining)
	is_number(left)
}

# What is no list, or no object, has no members.
listed(value) := value if is_array(value)

mapped(value) := value if is_object(value)

# Settings ------------------------------------------------------------------------------------------------------------

deny contains "the settings data.reserve are not an object" if {
	value := data.reserve
	not is_object(value)
}

deny contains sprintf("the setting data.reserve.%v is unknown or of the wrong type", [key]) if {
	some key, value in settings
	not type_name(value) == shape[key]
}

deny contains sprintf("the setting data.reserve.keep.%v is no unit or not a number", [unit]) if {
	some unit, least in mapped(settings.keep)
	not usable(unit, least)
}

deny contains "the setting data.reserve.required names what is no unit" if {
	some unit in listed(settings.required)
	not unit in units
}

deny contains "the setting data.reserve.kinds names what is no kind of action" if {
	some kind in listed(settings.kinds)
	not kind in {"tool", "model", "handoff", "memory"}
}

usable(unit, least) if {
	unit in units
	is_number(least)
}
