package openclaw.policies.approval_test

import rego.v1

import data.openclaw.policies.approval

settings := {"tools": ["wipe"], "tags": ["money"]}

request(by, requester) := {
	"kind": "tool",
	"principal": {"agent": "refunds", "chain": ["triage", "refunds"], "on_behalf_of": requester},
	"tool": {"name": "refund", "tags": ["money"], "args": {}},
	"approval": by,
}

denied_by(set_to, by, requester) := reasons if {
	reasons := approval.deny with input as request(by, requester) with data.approval as set_to
}

denied(by, requester) := denied_by(settings, by, requester)

misset(value) := reasons if {
	reasons := approval.deny with input as {"kind": "model"} with data.approval as value
}

test_it_asks_for_tools_and_tags_that_are_named if {
	asked := approval.ask with input as request(null, "user:eva") with data.approval as settings
	asked == {"this tool needs the agreement of a person"}
	other := object.union(request(null, "user:eva"), {"tool": {"name": "read", "tags": ["read"]}})
	silent := approval.ask with input as other with data.approval as settings
	silent == set()
	every_tool := approval.ask with input as other with data.approval as {}
	every_tool == {"this tool needs the agreement of a person"}
}

test_another_person_agrees if {
	denied(null, "user:eva") == set()
	denied({"by": "adam", "at": "2026-11-23T10:00:00Z"}, "user:eva") == set()
}

test_the_requester_does_not_agree if {
	reason := {"who asked for it cannot agree to it"}
	denied({"by": "user:eva"}, "user:eva") == reason
	denied({"by": "eva"}, "user:eva") == reason
	denied({"by": "user:eva"}, "eva") == reason
}

test_an_agent_does_not_agree if {
	denied({"by": "refunds"}, "user:eva") == {"an agent cannot agree"}
	denied({"by": "triage"}, "user:eva") == {"an agent cannot agree"}
}

test_only_approvers_agree_if_they_are_named if {
	named := object.union(settings, {"approvers": ["adam"]})
	denied_by(named, {"by": "adam"}, "user:eva") == set()
	denied_by(named, {"by": "mallory"}, "user:eva") == {"who agreed is none of the approvers"}
	denied_by(named, null, "user:eva") == set()
}

test_an_answer_of_nobody_is_denied if {
	denied({}, "user:eva") == {"it is not known who agreed"}
	denied({"by": 5}, "user:eva") == {"it is not known who agreed"}
	denied("adam", "user:eva") == {"it is not known who agreed"}
}

test_an_unknown_requester_is_denied_unless_optional if {
	reason := {"it is not known for whom this is done, so nobody can agree as another person"}
	denied(null, "") == reason
	denied(null, null) == reason
	denied_by(object.union(settings, {"requester": "optional"}), {"by": "adam"}, "") == set()
}

test_misspelt_settings_deny if {
	misset("x") == {"the settings data.approval are not an object"}
	misset({"tag": []}) == {"the setting data.approval.tag is unknown or of the wrong type"}
	misset({"approvers": [1]}) == {"the setting data.approval.approvers is not a list of texts"}
	misset({"requester": "perhaps"}) == {"the setting data.approval.requester is neither required nor optional"}
}

test_everybody_who_agreed_is_looked_at if {
	said := [{"by": "adam"}, {"by": "user:eva"}]
	denied({"by": "adam", "at": "2026-11-23T10:00:00Z", "answers": said}, "user:eva") == {"who asked for it cannot agree to it"}
	named := object.union(settings, {"approvers": ["adam", "tom"]})
	others := [{"by": "adam"}, {"by": "mallory"}]
	approval_of_two := {"by": "adam", "at": "2026-11-23T10:00:00Z", "answers": others}
	denied_by(named, approval_of_two, "user:eva") == {"who agreed is none of the approvers"}
}

demanded_by(set_to, name) := duties if {
	asked := object.union(request(null, "user:eva"), {"tool": {"name": name, "tags": []}})
	duties := approval.oblige with input as asked with data.approval as set_to
}

test_it_demands_people_of_the_gate if {
	demanded_by(settings, "wipe") == {{"kind": "approve"}}
	demanded_by(settings, "read") == set()
	two := object.union(settings, {"quorum": 2, "roles": ["a", "b"], "distinct": true, "authenticated": true})
	demanded_by(two, "wipe") == {{"kind": "approve", "quorum": 2, "roles": ["a", "b"], "distinct": true, "authenticated": true}}
	demanded_by(object.union(settings, {"amend": ["amount"]}), "wipe") == {{"kind": "approve"}, {"kind": "amend", "args": ["amount"]}}
	misset({"quorum": "two"}) == {"the setting data.approval.quorum is unknown or of the wrong type"}
}
