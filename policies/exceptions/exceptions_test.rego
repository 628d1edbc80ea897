package openclaw.policies.exceptions_test

import rego.v1

import data.openclaw.policies.exceptions

settings := {"roles": ["on-call"], "authenticated": true, "seconds_max": 3600, "uses_max": 5, "tools": ["restart"], "tags": ["repair"]}

exception := {
	"id": "exc-1", "by": "eva", "reason": "the desk is down", "seconds": 3600, "uses": 5,
	"opened_at": "2026-11-23T10:00:00Z", "expires_at": "2026-11-23T11:00:00Z",
	"scope": {"agent": "refunds"}, "roles": ["on-call"], "authenticated": true,
}

plain := {
	"kind": "tool",
	"principal": {"agent": "refunds", "chain": ["triage", "refunds"], "on_behalf_of": "user:tom"},
	"tool": {"name": "restart", "tags": [], "args": {}},
	"approval": null,
}

request(changes) := object.union(plain, {"exception": object.union(exception, changes)})

objected(set_to, changes) := reasons if {
	reasons := exceptions.deny with input as request(changes) with data.exceptions as set_to
}

misset(value) := reasons if {
	reasons := exceptions.deny with input as {"kind": "model"} with data.exceptions as value
}

test_without_an_exception_nothing_is_lifted_and_nothing_said if {
	not exceptions.lifted with input as plain with data.exceptions as settings
	not exceptions.allow with input as plain with data.exceptions as settings
	silent := exceptions.deny with input as plain with data.exceptions as settings
	silent == set()
}

test_an_exception_of_somebody_who_may_lifts if {
	exceptions.lifted with input as request({}) with data.exceptions as settings
	exceptions.lifted with input as request({"roles": [], "authenticated": false}) with data.exceptions as {}
	objected(settings, {}) == set()
}

test_it_allows_the_tools_and_tags_that_are_named if {
	exceptions.allow with input as request({}) with data.exceptions as settings
	tagged := object.union(request({}), {"tool": {"name": "mend", "tags": ["repair"]}})
	exceptions.allow with input as tagged with data.exceptions as settings
	other := object.union(request({}), {"tool": {"name": "wipe", "tags": ["delete"]}})
	not exceptions.allow with input as other with data.exceptions as settings
	not exceptions.allow with input as request({}) with data.exceptions as {}
	not exceptions.allow with input as request({"roles": []}) with data.exceptions as settings
}

test_whoever_has_none_of_the_roles_opens_nothing if {
	reason := {"whoever opened the exception has none of the roles that may"}
	objected(settings, {"roles": []}) == reason
	objected(settings, {"roles": ["finance"]}) == reason
	objected(settings, {"roles": "on-call"}) == reason
	not exceptions.lifted with input as request({"roles": []}) with data.exceptions as settings
}

test_only_the_people_that_are_named_open_one if {
	named := {"people": ["adam"]}
	objected(named, {}) == {"whoever opened the exception is none of those who may"}
	objected(named, {"by": "adam"}) == set()
}

test_a_name_alone_proves_nothing if {
	reason := {"whoever opened the exception has not proved who they are"}
	objected(settings, {"authenticated": false}) == reason
	objected(settings, {"authenticated": "yes"}) == reason
}

test_an_agent_opens_none if {
	objected({}, {"by": "refunds"}) == {"an agent cannot open an exception"}
	objected({}, {"by": "triage"}) == {"an agent cannot open an exception"}
}

test_the_requester_opens_one_unless_that_is_denied if {
	objected({}, {"by": "tom"}) == set()
	reason := {"the exception was opened by whoever this is done for"}
	objected({"requester": "denied"}, {"by": "tom"}) == reason
	objected({"requester": "denied"}, {"by": "user:tom"}) == reason
	objected({"requester": "denied"}, {"by": "eva"}) == set()
}

test_one_that_is_too_long_or_too_large_lifts_nothing if {
	objected(settings, {"seconds": 3601}) == {"the exception stands for longer than 3600 seconds"}
	objected(settings, {"seconds": "3600"}) == {"the exception stands for longer than 3600 seconds"}
	objected(settings, {"uses": 6}) == {"the exception has more than 5 uses"}
	not exceptions.lifted with input as request({"seconds": 3601}) with data.exceptions as settings
}

test_an_exception_of_nobody_lifts_nothing if {
	nobody := object.union(plain, {"exception": {"id": "exc-1"}})
	not exceptions.lifted with input as nobody with data.exceptions as {}
	not exceptions.lifted with input as object.union(plain, {"exception": "eva"}) with data.exceptions as {}
}

test_misspelt_settings_deny if {
	misset("x") == {"the settings data.exceptions are not an object"}
	misset({"role": []}) == {"the setting data.exceptions.role is unknown or of the wrong type"}
	misset({"tools": [1]}) == {"the setting data.exceptions.tools is not a list of texts"}
	misset({"requester": "perhaps"}) == {"the setting data.exceptions.requester is neither allowed nor denied"}
}
