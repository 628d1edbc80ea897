package openclaw.policies.assistant

import rego.v1

allow if input.kind == "model"

allow if {
	"read" in input.tool.tags
	"reader" in input.principal.roles
}

deny contains "an assistant deletes nothing" if "delete" in input.tool.tags
