package openclaw.policies.shop

import rego.v1

allow if input.kind == "model"

allow if {
	input.tool.name in {"stock", "order"}
	"buyer" in input.principal.roles
}

ask contains "orders of more than three are confirmed" if {
	input.tool.name == "order"
	input.tool.args.amount > 3
}
