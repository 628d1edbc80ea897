package openclaw.policies.hours_test

import rego.v1

import data.openclaw.policies.hours

settings := {
	"tools": ["deploy"],
	"tags": ["write"],
	"from": "08:00",
	"until": "18:00",
	"freezes": [{"from": "2026-12-20T00:00:00Z", "until": "2027-01-04T00:00:00Z", "why": "the year is being closed"}],
}

request(name, tags, now) := {"kind": "tool", "tool": {"name": name, "tags": tags, "args": {}}, "now": now}

denied(now) := reasons if {
	reasons := hours.deny with input as request("deploy", [], now) with data.hours as settings
}

misset(value) := reasons if {
	reasons := hours.deny with input as {"kind": "model"} with data.hours as value
}

day_of(now) := day if {
	day := hours.day with input as {"now": now}
}

late := {"this tool may not be used at this hour"}

test_in_hours_it_is_used if {
	denied("2026-11-23T08:00:00.000000Z") == set()
	denied("2026-11-23T17:59:59.999999Z") == set()
}

test_outside_of_hours_it_is_not if {
	denied("2026-11-23T07:59:59.999999Z") == late
	denied("2026-11-23T18:00:00Z") == late
	denied("2026-11-22T12:00:00Z") == late
	denied("2026-11-21T12:00:00Z") == late
}

test_outside_of_hours_can_ask if {
	asking := object.union(settings, {"outside": "ask"})
	at_night := request("x", ["write"], "2026-11-23T03:00:00Z")
	asked := hours.ask with input as at_night with data.hours as asking
	asked == {"this tool is to be used outside of hours"}
	reasons := hours.deny with input as at_night with data.hours as asking
	reasons == set()
}

test_a_freeze_denies_from_its_first_moment_to_before_its_last if {
	frozen := {"no changes now: the year is being closed"}
	denied("2026-12-18T12:00:00Z") == set()
	denied("2026-12-20T00:00:00.000000Z") == frozen | late
	denied("2026-12-22T12:00:00.5Z") == frozen
	denied("2027-01-04T12:00:00.000000Z") == set()
}

test_days_of_the_week if {
	day_of("2000-01-01T00:00:00Z") == "sat"
	day_of("2024-02-29T00:00:00Z") == "thu"
	day_of("2024-03-01T00:00:00Z") == "fri"
	day_of("2026-11-23T00:00:00Z") == "mon"
	day_of("2027-01-01T00:00:00Z") == "fri"
	day_of("2099-12-31T00:00:00Z") == "thu"
}

test_other_tools_are_not_bound if {
	reasons := hours.deny with input as request("read", ["read"], "2026-11-23T03:00:00Z") with data.hours as settings
	reasons == set()
}

test_without_a_time_it_is_denied if {
	unknown := {"it is not known what time it is"}
	denied(null) == unknown
	denied(1795428000) == unknown
	denied("2026-11-23 12:00:00") == unknown
	denied("2026-11-23T12:00:00+02:00") == unknown
	denied("2026-11-23T12:00:00Z\n") == unknown
}

test_without_settings_every_tool_is_bound_to_working_days if {
	sunday := hours.deny with input as request("x", [], "2026-11-22T12:00:00Z") with data.hours as {}
	sunday == {"this tool may not be used at this hour"}
	monday := hours.deny with input as request("x", [], "2026-11-23T03:00:00Z") with data.hours as {}
	monday == set()
}

test_misspelt_settings_deny if {
	misset([]) == {"the settings data.hours are not an object"}
	misset({"to": "18:00"}) == {"the setting data.hours.to is unknown or of the wrong type"}
	misset({"tags": [1]}) == {"the setting data.hours.tags is not a list of texts"}
	misset({"days": ["monday"]}) == {"the setting data.hours.days names a day that is none of mon, tue, wed, thu, fri, sat, sun"}
	misset({"from": "8:00"}) == {"the setting data.hours.from is not a time such as 08:00"}
	misset({"outside": "allow"}) == {"the setting data.hours.outside is neither deny nor ask"}
	freeze := {"a freeze in data.hours.freezes has no from, until and why, or a time that is not such as 2026-12-20T00:00:00Z"}
	misset({"freezes": [{"from": "2026-12-20", "until": "2027-01-04T00:00:00Z", "why": "x"}]}) == freeze
	misset({"freezes": [{"from": "2026-12-20T00:00:00Z", "until": "2027-01-04T00:00:00Z"}]}) == freeze
	misset({"freezes": ["x"]}) == freeze
}
