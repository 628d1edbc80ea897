# METADATA
# title: Hours
# description: |
#   Some tools are used only while people are there, and not in a change freeze. Times are UTC and are read from
#   `input.now`; a span ends before its last moment. Outside of hours a call is denied, or asks if that is said; in a freeze
#   it is denied.
# custom:
#   owasp: []
#   ai_act: [Article 14]
#   settings:
#     tools: "tools that are bound to hours; absent together with tags: every tool"
#     tags: "tags of tools that are bound to hours"
#     days: "days of the week on which there are hours; absent: [mon, tue, wed, thu, fri]"
#     from: "when hours begin, such as 08:00; absent: 00:00"
#     until: "when hours end, such as 18:00; absent: 24:00"
#     outside: "deny or ask; absent: deny"
#     freezes: "spans without changes: [{from: 2026-12-20T00:00:00Z, until: 2027-01-04T00:00:00Z, why: text}]"
package openclaw.policies.hours

import rego.v1

shape := {
	"tools": "array",
	"tags": "array",
	"days": "array",
	"from": "string",
	"until": "string",
	"outside": "string",
	"freezes": "array",
}

default settings := {}

settings := data.hours if is_object(data.hours)

bound if {
	input.kind == "tool"
	not settings.tools
	not settings.tags
}

bound if {
	input.kind == "tool"
	input.tool.name in settings.tools
}

bound if {
	input.kind == "tool"
	some tag in listed(input.tool.tags)
	tag in settings.tags
}

clock_known if is_moment(input.now)

is_moment(text) if {
	is_string(text)
	regex.match("^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]+)?Z$", text)
}

is_time(text) if {
	is_string(text)
	regex.match("^[0-2][0-9]:[0-5][0-9]$", text)
}

deny contains "it is not known what time it is" if {
	bound
	not clock_known
}

deny contains "this tool may not be used at this hour" if {
	bound
	clock_known
	not in_hours
	not object.get(settings, "outside", "deny") == "ask"
}

ask contains "this tool is to be used outside of hours" if {
	bound
	clock_known
	not in_hours
	object.get(settings, "outside", "deny") == "ask"
}

deny contains sprintf("no changes now: %v", [freeze.why]) if {
	bound
	clock_known
	some freeze in listed(settings.freezes)
	second(freeze.from) <= second(input.now)
	second(input.now) < second(freeze.until)
}

in_hours if {
	day in object.get(settings, "days", ["mon", "tue", "wed", "thu", "fri"])
	time := substring(input.now, 11, 5)
	object.get(settings, "from", "00:00") <= time
	time < object.get(settings, "until", "24:00")
}

# Text order is time order, if all have the same length.
second(moment) := substring(moment, 0, 19) if is_string(moment)

# The day of the week, Sunday first, after Sakamoto: the year begins in March, and each month shifts it.
weekdays := ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

shifts := [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4]

digits := {"0": 0, "1": 1, "2": 2, "3": 3, "4": 4, "5": 5, "6": 6, "7": 7, "8": 8, "9": 9}

number(text, at) := (10 * digits[substring(text, at, 1)]) + digits[substring(text, at + 1, 1)]

month := number(input.now, 5) if clock_known

year := 1999 + number(input.now, 2) if {
	clock_known
	month < 3
} else := 2000 + number(input.now, 2) if {
	clock_known
}

leaps := (((year - (year % 4)) / 4) - ((year - (year % 100)) / 100)) + ((year - (year % 400)) / 400)

day := weekdays[(((year + leaps) + shifts[month - 1]) + number(input.now, 8)) % 7] if clock_known

# What is no list, or no object, has no members.
listed(value) := value if is_array(value)

# Settings ------------------------------------------------------------------------------------------------------------

deny contains "the settings data.hours are not an object" if {
	value := data.hours
	not is_object(value)
}

deny contains sprintf("the setting data.hours.%v is unknown or of the wrong type", [key]) if {
	some key, value in settings
	not type_name(value) == shape[key]
}

deny contains sprintf("the setting data.hours.%v is not a list of texts", [key]) if {
	some key in ["tools", "tags"]
	some member in listed(settings[key])
	not is_string(member)
}

deny contains "the setting data.hours.days names a day that is none of mon, tue, wed, thu, fri, sat, sun" if {
	some member in listed(settings.days)
	not member in weekdays
}

deny contains sprintf("the setting data.hours.%v is not a time such as 08:00", [key]) if {
	some key in ["from", "until"]
	value := settings[key]
	not is_time(value)
}

deny contains "the setting data.hours.outside is neither deny nor ask" if {
	value := settings.outside
	not value in ["deny", "ask"]
}

deny contains "a freeze in data.hours.freezes has no from, until and why, or a time that is not such as 2026-12-20T00:00:00Z" if {
	some freeze in listed(settings.freezes)
	not usable(freeze)
}

usable(freeze) if {
	is_moment(freeze.from)
	is_moment(freeze.until)
	is_string(freeze.why)
}
