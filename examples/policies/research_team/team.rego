package openclaw.policies.team

import rego.v1

allow if input.kind in {"model", "handoff"}

allow if {
	input.tool.name in {"read_page", "send_mail"}
	"web" in input.principal.roles
}

deny contains sprintf("the recipient %v was named by nobody but a page of the web", [input.tool.args.to]) if {
	input.tool.name == "send_mail"
	input.flow.args.to.trust != "trusted"
}
