package openclaw.policies.team_test

import rego.v1

import data.openclaw.policies.team

mail(trust) := {
	"kind": "tool",
	"principal": {"roles": ["web"]},
	"tool": {"name": "send_mail", "args": {"to": "a@b.example"}},
	"flow": {"args": {"to": {"trust": trust}}},
}

test_a_recipient_of_the_user if count(team.deny) == 0 with input as mail("trusted")

test_a_recipient_of_a_page if {
	team.deny == {"the recipient a@b.example was named by nobody but a page of the web"} with input as mail("untrusted")
}
